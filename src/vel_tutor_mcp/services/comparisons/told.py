"""Comparisons as their users see them. (Pure.)"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vel_tutor_mcp.models import NanoUsd, Task, TaskStatus
from vel_tutor_mcp.services.outputs import given_by
from vel_tutor_mcp.services.reports import moment, shortened, shown_error, shown_usd
from vel_tutor_mcp.store.comparisons import Comparison, Entry

_UNNAMED = "It has no answer; which model it is, and why, is told once every answer is rated."


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldComparison:
    """A comparison with all that is known of it. `ratings` are of one person, by the task; `tasks`, by id, may be left
    out.
    """

    comparison: Comparison
    entries: Sequence[Entry]
    ratings: Mapping[str, int]
    tasks: Mapping[str, Task] = field(default_factory=dict)

    @property
    def status(self) -> TaskStatus:
        return standing([entry.status for entry in self.entries])

    @property
    def answered(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.status is TaskStatus.COMPLETED]

    @property
    def rated(self) -> int:
        """How many of the answers the person has rated."""
        return sum(entry.place.task_id in self.ratings for entry in self.answered)

    @property
    def is_open(self) -> bool:
        """Whether an answer may still be to come, or to be rated."""
        return not self.status.ended or self.rated < len(self.answered)


def standing(statuses: Sequence[TaskStatus]) -> TaskStatus:
    """How a comparison stands whose tasks stand so: one answer completes it, for the others have theirs told."""
    if not all(status.ended for status in statuses):
        return TaskStatus.IN_PROGRESS
    return next(
        status for status in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED) if status in statuses
    )


def full_comparison(told: ToldComparison, *, blind: bool = False) -> dict[str, Any]:
    """Everything about it; `blind`: as long as there is something to rate, nothing tells which model wrote what."""
    is_hidden = blind and told.is_open
    cost = None if is_hidden else _cost(told)
    shown = [_hidden(told, entry) if is_hidden else _shown(told, entry) for entry in told.entries]
    return _common(told) | {
        "prompt": told.comparison.prompt,
        "cost_usd": cost,
        "blind": is_hidden,
        "entries": shown,
    }


def short_comparison(told: ToldComparison) -> dict[str, Any]:
    """The form that lists carry."""
    return _common(told) | {
        "prompt": shortened(told.comparison.prompt),
        "cost_usd": _cost(told),
        "answered": len(told.answered),
        "rated": told.rated,
    }


def _common(told: ToldComparison) -> dict[str, Any]:
    comparison = told.comparison
    return {
        "id": comparison.id,
        "agent": comparison.agent_name,
        "task_type": comparison.task_type.value,
        "created_at": moment(comparison.created_at),
        "status": told.status.value,
        "models": [entry.place.name for entry in sorted(told.entries, key=lambda entry: entry.place.number)],
    }


def _cost(told: ToldComparison) -> float | None:
    return shown_usd(NanoUsd(sum(entry.cost_nanousd for entry in told.entries)))


def _shown(told: ToldComparison, entry: Entry) -> dict[str, Any]:
    task = told.tasks[entry.place.task_id]
    return _written(told, entry) | {
        "model": entry.place.name,
        "cost_usd": shown_usd(entry.cost_nanousd),
        "total_ms": entry.total_ms,
        "first_token_ms": entry.first_token_ms,
        "tokens_out": entry.tokens_out,
        "error": shown_error(task.error),
    }


def _hidden(told: ToldComparison, entry: Entry) -> dict[str, Any]:
    error = told.tasks[entry.place.task_id].error
    nothing = dict.fromkeys(("model", "cost_usd", "total_ms", "first_token_ms", "tokens_out"))
    unnamed = {"code": error.code, "message": _UNNAMED} if error else None
    return _written(told, entry) | nothing | {"error": unnamed}


def _written(told: ToldComparison, entry: Entry) -> dict[str, Any]:
    task = told.tasks[entry.place.task_id]
    return {
        "label": chr(ord("A") + entry.place.position),
        "task": task.id,
        "status": entry.status.value,
        "output": given_by(task),
        "partial": task.partial,
        "rating": told.ratings.get(task.id),
    }

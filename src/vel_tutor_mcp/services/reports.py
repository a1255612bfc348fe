"""The task as its users see it: one shape for tools, resources, REST and command line (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vel_tutor_mcp.models import (
    NANO_PER_USD,
    Agent,
    Attempt,
    AuditEntry,
    Decision,
    NanoUsd,
    Task,
    TaskError,
    TaskStatus,
)
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.services.outputs import given_by
from vel_tutor_mcp.task_lists import PROMPT_SHOWN, ListedTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A task with all that is known of it; `waits`: what for, where its history does not say."""

    task: Task
    attempts: Sequence[Attempt]
    decision: Decision | None
    history: Sequence[TaskEvent]
    waits: str | None = None

    @property
    def status(self) -> TaskStatus:
        return self.task.status


def shown_usd(nano: NanoUsd | None) -> float | None:
    return None if nano is None else nano / NANO_PER_USD


def moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def full_task(told: Told) -> dict[str, Any]:
    """Everything about the task, with its prompt shortened."""
    task, attempts = told.task, told.attempts
    return short_task(task) | {
        "output": given_by(task),
        "partial": task.partial,
        "cost_usd": shown_usd(NanoUsd(sum(attempt.cost_nanousd or 0 for attempt in attempts))),
        "tokens_in": sum(attempt.tokens_in or 0 for attempt in attempts),
        "tokens_out": sum(attempt.tokens_out or 0 for attempt in attempts),
        "timing": _timing(task, attempts),
        "attempts": [_attempt(attempt) for attempt in attempts],
        "decision": shown_decision(told.decision) if told.decision else None,
        "history": [
            {"at": moment(event.at), "kind": event.kind, "message": event.message, "percent": event.percent}
            for event in told.history
        ],
    }


def listed_task(task: ListedTask) -> dict[str, Any]:
    """The form that lists carry over REST, and what is exported: with the agent's id and what the task took."""
    return short_task(task) | {
        "agent_id": task.agent_id,
        "attempts": task.attempts,
        "cost_usd": shown_usd(task.cost_nanousd),
        "total_ms": _between(task.retried_at or task.created_at, task.ended_at),
    }


def short_task(task: Task | ListedTask) -> dict[str, Any]:
    """The form that lists carry."""
    task_type = task.task_type or task.inferred_type
    of_run = {"run": task.run_id, "step": task.step_id, "item": task.item} if task.run_id else {}
    return of_run | {
        "id": task.id,
        "status": task.status.value,
        "agent": task.agent_name,
        "task_type": task_type.value if task_type else None,
        "priority": task.priority.value,
        "prompt": shortened(task.prompt),
        "provider": task.provider,
        "model": task.model,
        "error": shown_error(task.error),
        "created_at": moment(task.created_at),
        "updated_at": moment(task.updated_at),
    }


def shown_error(error: TaskError | None) -> dict[str, str] | None:
    return {"code": error.code, "message": error.message} if error else None


def shortened(text: str, length: int = PROMPT_SHOWN) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def shown_decision(decision: Decision) -> dict[str, Any]:
    return {
        "task_type": decision.task_type.value,
        "confidence": decision.confidence,
        "policy": decision.policy.value,
        "candidates": [
            {
                "provider": candidate.provider,
                "model": candidate.model,
                "p_ok": candidate.p_ok,
                "evidence": candidate.evidence,
                "p_up": candidate.p_up,
                "expected_cost_usd": shown_usd(candidate.expected_cost_nanousd),
                "expected_latency_ms": candidate.expected_latency_ms,
                "utility": candidate.utility,
            }
            for candidate in decision.candidates
        ],
        "excluded": [{"provider": row.provider, "model": row.model, "reason": row.reason} for row in decision.excluded],
        "reasons": list(decision.reasons),
        "propensity": decision.propensity,
        "explored": decision.explored,
    }


def shown_agent(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "name": agent.name,
        "type": agent.type.value,
        "status": agent.status.value,
        "version": agent.version,
        "config": agent.config.model_dump(mode="json"),
        "created_at": moment(agent.created_at),
        "updated_at": moment(agent.updated_at),
    }


def full_agent(agent: Agent, versions: Mapping[int, datetime]) -> dict[str, Any]:
    """The agent, and when each of its versions was made."""
    made = [{"version": number, "created_at": moment(at)} for number, at in versions.items()]
    return shown_agent(agent) | {"versions": made}


def shown_entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "at": moment(entry.at),
        "principal": entry.principal,
        "action": entry.action,
        "subject": entry.subject,
        "payload": entry.payload,
        "hash": entry.hash,
    }


def _timing(task: Task, attempts: Sequence[Attempt]) -> dict[str, int | None]:
    begun = task.retried_at or task.created_at
    heard = [attempt.first_token_ms for attempt in attempts if attempt.first_token_ms is not None]
    return {
        "queued_ms": _between(begun, task.started_at),
        "first_token_ms": heard[-1] if heard else None,
        "total_ms": _between(begun, task.ended_at),
    }


def _between(start: datetime, end: datetime | None) -> int | None:
    return max(0, round((end - start).total_seconds() * 1000)) if end else None


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "provider": attempt.provider,
        "model": attempt.model,
        "outcome": attempt.outcome.value,
        "error": attempt.error,
        "tokens_in": attempt.tokens_in,
        "tokens_out": attempt.tokens_out,
        "cost_usd": shown_usd(attempt.cost_nanousd),
        "first_token_ms": attempt.first_token_ms,
        "total_ms": attempt.total_ms,
        "started_at": moment(attempt.started_at),
    }

"""What attempts come to, and how sums of them are told apart (pure)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from vel_tutor_mcp.store.latencies import Latencies

NUMBERS = (
    "tasks", "attempts", "completed", "fallbacks", "hedges", "tokens_in", "tokens_out", "cost_nanousd",
    "answers_tokens_in", "answers_tokens_out", "answers_nanousd",
)  # fmt: skip


class Grouping(StrEnum):
    """What one row of the roll-ups sums up.

    `CALLS`: the attempts of all owners by agent, model and type of task. `OWN_CALLS`: the same of one owner.
    `OWNER`: all attempts of one owner.
    """

    CALLS = "calls"
    OWN_CALLS = "own_calls"
    OWNER = "owner"


# By what the rows of each kind are told apart.
DIMENSIONS = {
    Grouping.CALLS: ("organisation_id", "agent", "provider", "model", "task_type"),
    Grouping.OWN_CALLS: ("organisation_id", "owner_id", "agent", "provider", "model", "task_type"),
    Grouping.OWNER: ("organisation_id", "owner_id"),
}


@dataclass(slots=True)
class Sums:
    """What attempts come to. `latencies` are those of answers; `answers_...` count answers alone."""

    tasks: int = 0
    attempts: int = 0
    completed: int = 0
    fallbacks: int = 0
    hedges: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost_nanousd: int = 0
    answers_tokens_in: int = 0
    answers_tokens_out: int = 0
    answers_nanousd: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    def add(self, other: "Sums") -> None:
        self.add_numbers(other)
        self.latencies.update(other.latencies)

    def add_numbers(self, other: Any) -> None:
        """Of sums, or of a row that has all `NUMBERS`."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + int(getattr(other, name)))

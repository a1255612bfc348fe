"""What attempts come to, and how sums of them are told apart (pure)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from vel_tutor_mcp.models import NanoUsd, Outcome
from vel_tutor_mcp.store.latencies import Latencies, bucket_of

NUMBERS = (
    "tasks", "attempts", "completed", "fallbacks", "hedges", "tokens_in", "tokens_out", "cost_nanousd",
    "answers_tokens_in", "answers_tokens_out", "answers_nanousd",
)  # fmt: skip


class Kind(StrEnum):
    """What one row of the roll-ups sums up.

    `CALLS`: the attempts of all owners by agent, model and type of task. `OWN_CALLS`: the same of one owner.
    `OWNER`: all attempts of one owner.
    """

    CALLS = "calls"
    OWN_CALLS = "own_calls"
    OWNER = "owner"


class Cell(NamedTuple):
    """Which attempts are summed up: those of the organisation that agree in all that is not None."""

    organisation_id: str
    kind: Kind
    owner_id: str | None
    agent: str | None
    provider: str | None
    model: str | None
    task_type: str | None


class Call(NamedTuple):
    """One ended attempt, as reports see it.

    `hedged`: it began beside an earlier one of its task that was late. `fell_back`: an earlier one of its task, to
    another model, failed.
    """

    organisation_id: str
    owner_id: str
    agent: str
    provider: str
    model: str
    task_type: str
    number: int
    outcome: Outcome
    fell_back: bool
    hedged: bool
    tokens_in: int
    tokens_out: int
    cost_nanousd: NanoUsd
    total_ms: int | None
    ended_at: datetime

    def cells(self) -> Iterator[Cell]:
        """The sums that it is part of, one of each kind."""
        of_call = self.agent, self.provider, self.model, self.task_type
        yield Cell(self.organisation_id, Kind.CALLS, None, *of_call)
        yield Cell(self.organisation_id, Kind.OWN_CALLS, self.owner_id, *of_call)
        yield Cell(self.organisation_id, Kind.OWNER, self.owner_id, None, None, None, None)


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

    def count(self, call: Call) -> None:
        """Add one attempt. A task is counted where it was first asked, so that no sum of sums counts it twice."""
        self.tasks += call.number == 1
        self.attempts += 1
        self.hedges += call.hedged
        self.tokens_in += call.tokens_in
        self.tokens_out += call.tokens_out
        self.cost_nanousd += call.cost_nanousd
        if call.outcome is Outcome.COMPLETED:
            self._count_answer(call)

    def _count_answer(self, call: Call) -> None:
        self.completed += 1
        self.fallbacks += call.fell_back
        self.answers_tokens_in += call.tokens_in
        self.answers_tokens_out += call.tokens_out
        self.answers_nanousd += call.cost_nanousd
        if call.total_ms is not None:
            self.latencies[bucket_of(call.total_ms)] += 1

    def add(self, other: "Sums") -> None:
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies.update(other.latencies)

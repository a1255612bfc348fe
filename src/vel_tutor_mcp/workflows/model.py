"""Workflows, runs and their steps as they are stored and told of."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from vel_tutor_mcp.models import NanoUsd, TaskError, TaskStatus


class StepStatus(StrEnum):
    """`WAITING` has not begun; `SKIPPED` never will, and `CANCELLED` was stopped by the run's own end."""

    WAITING = "waiting"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in STEP_ENDED


STEP_ENDED = frozenset({StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED})


class How(StrEnum):
    """Where a decision came from. `RELAYED`: a model's or script's word; the first three: a person's own."""

    ELICITED = "elicited"
    TERMINAL = "terminal"
    SIGNED_IN = "signed_in"
    RELAYED = "relayed"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A named definition; `version` counts its definitions from 1, and a run keeps the one it began with."""

    id: str
    owner_id: str
    organisation_id: str
    name: str
    version: int
    template: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a workflow. `awaiting_approval` is its state while any approval waits for its decision.

    `traceparent` is where in a trace it was started, if that was traced.
    """

    id: str
    owner_id: str
    organisation_id: str
    workflow_id: str
    workflow_name: str
    workflow_version: int
    status: TaskStatus
    inputs: dict[str, Any]
    max_cost_nanousd: NanoUsd | None = None
    error: TaskError | None = None
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStep:
    """A step of a run. `seen` is what it was given: a map its items, an approval its question and whether it insists on
    a person, work on a project which and what of it; a task keeps its prompt itself. An error on a running step says
    why it is being stopped. `home` is set while the bridge to Task Master has to do with it: which home's, or empty
    until one has taken it on.
    """

    run_id: str
    step_id: str
    position: int
    status: StepStatus = StepStatus.WAITING
    seen: dict[str, Any] | None = None
    output: Any = None
    error: TaskError | None = None
    started_at: datetime | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None
    home: str | None = None

    @property
    def insists(self) -> bool:
        """Whether an approval takes a person's own word only."""
        return bool((self.seen or {}).get("human"))

    @property
    def refused_in_person(self) -> bool:
        """Whether a person has rejected it with their own word."""
        decided = self.output if isinstance(self.output, dict) else {}
        return decided.get("approved") is False and decided.get("how") in {How.ELICITED, How.TERMINAL, How.SIGNED_IN}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One line of a run's history; `step_id` is None where it is of the run itself. `percent` 0-100."""

    step_id: str | None
    kind: str
    message: str
    percent: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a caller asks for; `workflow` is an id or a name."""

    workflow: str
    inputs: dict[str, Any]
    max_cost_usd: float | None = None
    idempotency_key: str | None = None

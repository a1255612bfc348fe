"""Lists of tasks: which are wanted, and what of each is shown."""

from dataclasses import dataclass
from datetime import datetime

from vel_tutor_mcp.models import NanoUsd, Priority, TaskError, TaskStatus, TaskType

PROMPT_SHOWN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks are wanted: `agent` is an id or a name, `query` text in the prompt, `model` a model's id, with its
    provider before it or without. They were submitted from `since` on and before `until`, both ISO 8601.
    """

    status: TaskStatus | None = None
    agent: str | None = None
    query: str | None = None
    provider: str | None = None
    model: str | None = None
    task_type: TaskType | None = None
    since: str | None = None
    until: str | None = None


EVERY = TaskFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTask:
    """What a list has of a task: see `Task`. The prompt may be cut behind what is shown; `cost_nanousd` is of all
    its `attempts`, of which that is the number.
    """

    id: str
    agent_id: str
    agent_name: str
    status: TaskStatus
    prompt: str
    task_type: TaskType | None
    inferred_type: TaskType | None
    priority: Priority
    provider: str | None
    model: str | None
    error: TaskError | None
    created_at: datetime
    updated_at: datetime
    retried_at: datetime | None
    ended_at: datetime | None
    run_id: str | None
    step_id: str | None
    item: int
    attempts: int
    cost_nanousd: NanoUsd

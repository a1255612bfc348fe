"""What the routes answer, for the documentation: the fields that are always there; there may be more."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Row = TypeVar("Row")


class Open(BaseModel):
    """More fields may follow."""

    model_config = ConfigDict(extra="allow")


class Meta(BaseModel):
    total: int
    limit: int
    offset: int


class Listed(BaseModel, Generic[Row]):
    """A part of a list, newest first."""

    data: list[Row]
    meta: Meta


class Health(Open):
    status: str
    version: str
    reason: str | None
    timestamp: str
    uptime: float
    dependencies: dict[str, str]


class User(Open):
    id: str
    email: str | None
    role: str
    organisation: str
    created_at: str
    updated_at: str


class SignedIn(Open):
    user: User
    token: str
    expires_at: str
    refresh_token: str


class RateLimits(Open):
    """`effective` is what holds, 0 for no limit; `used` is of users alone."""

    tasks_per_hour: int | None
    requests_per_minute: int | None
    effective: dict[str, int]
    used: dict[str, int] | None


class Agent(Open):
    id: str
    name: str
    type: str
    status: str
    version: int
    config: dict[str, Any]
    created_at: str
    updated_at: str


class AgentTested(Open):
    test_id: str
    status: str
    result: str
    execution_time_ms: int
    provider_used: str | None


class TaskShort(Open):
    id: str
    agent_id: str
    agent: str
    description: str
    prompt: str
    status: str
    priority: str
    task_type: str | None
    created_at: str
    updated_at: str


class TaskResult(Open):
    output: Any
    provider_used: str | None
    model: str | None
    execution_time_ms: int | None


class Task(TaskShort):
    parameters: dict[str, Any]
    result: TaskResult | None
    history: list[dict[str, Any]]
    cost_usd: float
    attempts: list[dict[str, Any]]
    status_url: str

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


class Me(User):
    """`may` are operations, as in docs/accounts.md."""

    may: list[str]


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


class ListedTask(TaskShort):
    attempts: int
    cost_usd: float
    total_ms: int | None


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


class WorkflowShort(Open):
    id: str
    name: str
    version: int
    template: bool


class Workflow(WorkflowShort):
    definition: dict[str, Any]
    graph: str
    versions: list[dict[str, Any]]


class RunShort(Open):
    id: str
    status: str
    workflow: str
    workflow_id: str
    version: int
    created_at: str


class Run(RunShort):
    output: Any
    cost_usd: float
    approvals: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    graph: str
    history: list[dict[str, Any]]


class ComparisonHead(Open):
    """`models` as they were asked for."""

    id: str
    prompt: str
    agent: str
    task_type: str
    created_at: str
    status: str
    models: list[str]


class ComparisonShort(ComparisonHead):
    """`answered` and `rated` (by whoever asks) count answers."""

    answered: int
    rated: int
    cost_usd: float


class ComparisonEntry(Open):
    """A model's answer; `rating` is one's own, times are of the call that answered. Where it is blind, what could tell
    the model is null.
    """

    label: str
    model: str | None
    task: str
    status: str
    output: Any
    partial: bool
    cost_usd: float | None
    total_ms: int | None
    first_token_ms: int | None
    tokens_out: int | None
    rating: int | None
    error: dict[str, str] | None


class Comparison(ComparisonHead):
    """`blind`: whether it is hidden which model wrote what. `entries` stand in an order that chance has chosen."""

    cost_usd: float | None
    blind: bool
    entries: list[ComparisonEntry]


class ModelStanding(Open):
    """Over all comparisons: cost and time are of an answer."""

    model: str
    asked: int
    answers: int
    ratings: int
    mean_rating: float | None
    mean_cost_usd: float | None
    median_ms: int | None


class PairStanding(Open):
    """`mean_difference` is a's ratings less b's, in points; `p_adjusted` is null where too few prompts tell."""

    a: str
    b: str
    prompts: int
    differing: int
    mean_difference: float
    p_value: float
    p_adjusted: float | None
    significant: bool
    verdict: str


class Standings(Open):
    models: list[ModelStanding]
    pairs: list[PairStanding]
    test: str
    alpha: float
    comparisons: int
    only_the_newest: bool


class Approval(Open):
    """What waits for a decision; `human` says that it takes a person's own word only."""

    run: str
    workflow: str
    step: str
    prompt: str
    human: bool
    asked_at: str
    due_at: str | None
    on_timeout: str | None


class Breaker(Open):
    state: str
    failures: int
    opened_at: str | None
    retry_at: str | None


class ProviderModel(Open):
    """`p_up` and `latency_ms`, of an answer of 500 tokens, are what the next call may expect."""

    model: str
    tier: str
    retired: bool
    priced: bool
    breaker: Breaker
    p_up: float
    latency_ms: int


class Provider(Open):
    provider: str
    configured: bool
    models: list[ProviderModel]


class Providers(BaseModel):
    data: list[Provider]


class Changes(BaseModel):
    """`stamp` is for the next question."""

    stamp: str
    changed: list[str]


class Entry(Open):
    sequence: int
    at: str
    principal: str
    action: str
    subject: str
    payload: dict[str, Any]
    hash: str


class Usage(Open):
    period: str
    group_by: str
    since: str
    until: str
    groups: list[dict[str, Any]]
    cost_usd: float
    projection: dict[str, Any]
    budgets: list[dict[str, Any]]


class UsageSeries(Open):
    """Each list of a group has one number for each moment of `at`, where a step begins."""

    step: str
    since: str
    until: str
    at: list[str]
    groups: list[dict[str, Any]]


class Budget(Open):
    scope: str
    subject: str
    period: str
    kind: str
    limit_usd: float
    spent_usd: float
    left_usd: float


class Budgets(BaseModel):
    data: list[Budget]


class Verdict(BaseModel):
    """`fault` names the first entry that is not as it was written; `proof` says on what the verdict rests."""

    ok: bool
    entries: int
    first: int | None
    last: int | None
    signed_through: int | None
    keys: list[str]
    fault: dict[str, Any] | None
    proof: str


class Integration(Open):
    """`key_ends` are the last characters of one's own key; of another's it is empty."""

    provider: str
    status: str
    owner_id: str
    base_url: str | None
    key_ends: str
    tested_at: str | None
    error: str | None


class Rotation(BaseModel):
    """How many keys were sealed anew, how many had been already, and why some could not be opened."""

    sealed: int
    current: int
    unopened: list[str]


class Token(Open):
    """`kind` is `client` for an issued one, `oauth` for what somebody allowed a client in the browser."""

    id: str
    kind: str
    name: str | None
    client_id: str | None
    owner_id: str
    created_at: str
    expires_at: str
    revoked_at: str | None


class IssuedToken(Token):
    """With the token itself, which is kept nowhere."""

    token: str

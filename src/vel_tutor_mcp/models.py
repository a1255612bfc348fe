"""The domain's types: frozen, free of behaviour that touches the world.

Money is a whole number of nano-US-dollars (1 USD = 1,000,000,000) everywhere inside, so that sums are exact; doors show
US dollars. Times are timezone-aware UTC. Ids are UUID strings.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from vel_tutor_mcp.policies import Policy as Policy  # noqa: PLC0414 - the form of what is exported anew

NanoUsd = NewType("NanoUsd", int)
NANO_PER_USD = 1_000_000_000

MAX_PROMPT_CHARACTERS = 100_000
# Of people and models, and of providers: PostgreSQL refuses what is longer, so others' names are cut or left out.
LONGEST_NAME, LONGEST_PROVIDER = 160, 60
# Of an outside issuer's address, and of those whom it names: more than OpenID Connect lets them have.
LONGEST_ISSUER, LONGEST_SUBJECT = 300, 255
# Of a step's id, and of an item's of Task Master.
LONGEST_STEP, LONGEST_ITEM = 40, 121
# So that no sum of nano-US-dollars is more than a database's 64 bits hold.
MAX_USD = 1_000_000

Row = TypeVar("Row")

Start = str | int | None
"""Where a page of a list begins: behind the row that a cursor names, or behind so many rows; None: at the first."""


class TaskType(StrEnum):
    REASONING = "reasoning"
    CODE_GENERATION = "code_generation"
    CODE_DEBUG = "code_debug"
    SUMMARIZATION = "summarization"
    EXTRACTION = "extraction"
    TRANSLATION = "translation"
    CREATIVE = "creative"
    RESEARCH = "research"
    GENERAL = "general"


_TASK_TYPES = ", ".join(TaskType)


class TaskStatus(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    AWAITING_APPROVAL = "awaiting_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED})


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class AgentType(StrEnum):
    MCP_ORCHESTRATOR = "mcp_orchestrator"
    CODE_GENERATOR = "code_generator"
    RESEARCHER = "researcher"


class AgentStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    ERROR = "error"


class Outcome(StrEnum):
    """How an attempt ended. `OPEN` has not; `CUT` was stopped by a crash or a shutdown, its usage unknown."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CUT = "cut"


class FailureKind(StrEnum):
    """Why one call to one model failed; `routing.retry` decides what follows from it."""

    AUTHENTICATION = "authentication"
    NOT_FOUND = "not_found"
    BAD_REQUEST = "bad_request"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    MALFORMED = "malformed"
    INVALID_OUTPUT = "invalid_output"
    OVER_BUDGET = "over_budget"
    NO_KEY = "no_key"


Role = Literal["admin", "org_admin", "agent_manager", "task_executor", "viewer"]
By = Literal["sign_in", "oauth", "client"]
"""What somebody came in by: their own sign-in, to the operating system too; a client that they let in in the browser;
or a token that was issued to a client.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking, and from where: `address` and `user_agent` are of the request, None where there is none."""

    user_id: str
    organisation_id: str
    name: str
    role: Role
    by: By = "sign_in"
    address: str | None = None
    user_agent: str | None = None


class AgentConfig(BaseModel):
    """How an agent answers and how its tasks are routed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system_prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)] = ""
    providers: Annotated[tuple[str, ...], Field(description="allowed, in order; empty: all")] = ()
    model_preferences: Annotated[dict[TaskType, str], Field(description=f"task type ({_TASK_TYPES}): model")] = {}
    policy: Policy = Policy.BALANCED
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    max_retries: Annotated[int, Field(ge=0, le=10)] = 3
    timeout_seconds: Annotated[int, Field(ge=1, le=600, description="of one call to a model")] = 120
    budget_usd_per_task: Annotated[float | None, Field(gt=0)] = None
    fallback: bool = True
    response_schema: Annotated[dict[str, Any] | None, Field(description="JSON Schema the answer must match")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A configured role. `version` counts its configurations from 1; a task keeps the one it was given."""

    id: str
    owner_id: str
    organisation_id: str
    name: str
    type: AgentType
    status: AgentStatus
    config: AgentConfig
    version: int
    created_at: datetime
    updated_at: datetime


# A decision makes one of these for each model of the catalog; a tuple is made in a third of a dataclass's time.
class Candidate(NamedTuple):
    """A provider and model that could answer, with what is expected of it.

    `p_ok`: probability that its answer is good enough; `p_up`: that it answers at all (both 0-1). `evidence`: for how
    many answers the feedback in `p_ok` counts.
    """

    provider: str
    model: str
    p_ok: float
    p_up: float
    expected_cost_nanousd: NanoUsd
    expected_latency_ms: int
    utility: float
    evidence: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


class Excluded(NamedTuple):
    """A model that was not a candidate, and why, in words."""

    provider: str
    model: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The candidates in the order in which they are tried, with the reasons in words.

    `propensity`: the probability (0-1) with which the first one was to be the first; `explored`: it is not the best by
    what is known, and was drawn to learn how good it is.
    """

    task_type: TaskType
    confidence: float
    policy: Policy
    candidates: tuple[Candidate, ...]
    excluded: tuple[Excluded, ...]
    reasons: tuple[str, ...]
    propensity: float = 1.0
    explored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What feedback says of a model's answers to tasks of one type: for how many good and bad ones it counts, at `at`.

    See `routing.learning`.
    """

    good: float
    bad: float
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to one model for a task. `attempt_set` counts the task's runs from 1, `number` the calls in the set."""

    id: str
    task_id: str
    attempt_set: int
    number: int
    provider: str
    model: str
    outcome: Outcome
    failure: FailureKind | None = None
    error: str | None = None
    retry_after: float | None = None
    partial: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_nanousd: NanoUsd | None = None
    first_token_ms: int | None = None
    total_ms: int | None = None
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskError:
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """What a caller asks for; `agent` is an id or a name. See `tools/task_submit.py` for what each field means.

    `config` holds fields of the agent's configuration to be other for this task alone.
    """

    prompt: str
    agent: str = "default"
    task_type: TaskType | None = None
    priority: Priority = Priority.MEDIUM
    parameters: dict[str, Any] = field(default_factory=dict)
    response_schema: dict[str, Any] | None = None
    max_cost_usd: float | None = None
    idempotency_key: str | None = None
    config: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One unit of work for an agent. `task_type` is what the caller said, `inferred_type` what the router took it for.

    `attempt_set` is 1 for the first run and grows with each `task_retry`. `executor` is the process that has it;
    `running` stays true when that process dies, which is how the next one knows. `recoveries` counts such deaths
    since the last finished attempt.

    A task of a run belongs to its step `step_id`, for item number `item` of a map; `retries_left` are the step's. While
    it is pending it waits its turn, until `not_before` and for what `waits_for` names: the money of its run, or a place
    at a provider, which it keeps, claimed, until it calls; `turn` counts from 1 how often it had to.

    `config_changes` are fields of its agent's configuration that are other for this task alone. `traceparent` is where
    in a trace it was submitted, if that was traced.
    """

    id: str
    owner_id: str
    organisation_id: str
    agent_id: str
    agent_name: str
    agent_version: int
    status: TaskStatus
    prompt: str
    task_type: TaskType | None
    inferred_type: TaskType | None = None
    priority: Priority
    parameters: dict[str, Any] = field(default_factory=dict)
    response_schema: dict[str, Any] | None = None
    config_changes: dict[str, Any] | None = None
    traceparent: str | None = None
    max_cost_nanousd: NanoUsd | None = None
    attempt_set: int = 1
    recoveries: int = 0
    cancel_requested: bool = False
    run_id: str | None = None
    step_id: str | None = None
    item: int = 0
    retries_left: int = 0
    turn: int = 1
    not_before: datetime | None = None
    waits_for: str | None = None
    executor: str | None = None
    running: bool = False
    output: str | None = None
    partial: bool = False
    provider: str | None = None
    model: str | None = None
    error: TaskError | None = None
    created_at: datetime
    updated_at: datetime
    retried_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One turn of an attempt set of a task: what the engine is given to do; its `id` never runs twice."""

    task_id: str
    attempt_set: int
    turn: int = 1

    @property
    def id(self) -> str:
        set_id = f"{self.task_id}:{self.attempt_set}"
        return set_id if self.turn == 1 else f"{set_id}:{self.turn}"

    @classmethod
    def of(cls, work_id: str) -> "Work":
        task_id, *numbers = work_id.split(":")
        return cls(task_id, *map(int, numbers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most calls to a provider, over all processes on a database: open at once, and begun in any 60 seconds."""

    concurrent: int | None = None
    per_minute: int | None = None

    def __str__(self) -> str:
        told = (str(self.concurrent or ""), f"{self.per_minute} a minute" if self.per_minute else "")
        return f"limit {' and '.join(filter(None, told))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One link of the hash chain; see `store.audit` for how `hash` is computed."""

    sequence: int
    at: datetime
    organisation_id: str
    principal: str
    action: str
    subject: str
    payload: dict[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """A page of a list; `cursors` holds for each row the cursor that continues after it, `more` whether rows follow.

    `total` is how many rows the list has, where the page was asked for by a number of rows.
    """

    rows: tuple[Row, ...]
    cursors: tuple[str, ...]
    more: bool
    total: int | None = None

    @property
    def cursor(self) -> str | None:
        """Asks for the next page; None where this is the last."""
        return self.cursors[-1] if self.more else None

    def first(self, count: int) -> "Page[Row]":
        """The page cut to at most `count` rows."""
        if count >= len(self.rows):
            return self
        return Page(self.rows[:count], self.cursors[:count], more=True, total=self.total)

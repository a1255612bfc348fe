"""What the routes take, with an example of each."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from vel_tutor_mcp.models import (
    LONGEST_NAME,
    LONGEST_PROVIDER,
    MAX_PROMPT_CHARACTERS,
    MAX_USD,
    AgentConfig,
    AgentType,
    Priority,
    TaskType,
)
from vel_tutor_mcp.services.access import MOST_DAYS
from vel_tutor_mcp.services.comparisons.request import FEWEST_MODELS, MOST_MODELS
from vel_tutor_mcp.services.integrations import LONGEST_KEY
from vel_tutor_mcp.store.standing import Period, Scope

_LONGEST = 200
_LONGEST_MODEL = LONGEST_PROVIDER + 1 + LONGEST_NAME
# What the original called it.
_TASK_TYPES = {"complex_reasoning": "reasoning"}

Email = Annotated[str, Field(max_length=_LONGEST, examples=["ada@example.org"])]
Password = Annotated[SecretStr, Field(max_length=_LONGEST, examples=["Correct-Horse-7"])]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Body(BaseModel):
    """Fields that are not known are refused, so that none is meant and not heard."""

    model_config = ConfigDict(extra="forbid")


class Login(Body):
    email: Email
    password: Password


class Refresh(Body):
    refresh_token: Annotated[SecretStr, Field(max_length=_LONGEST)]


class Me(Body):
    """What is to change; a new password ends every sign-in."""

    current_password: Password
    email: Email | None = None
    password: Password | None = None


class NewUser(Body):
    email: Email
    password: Password
    role: Annotated[str, Field(max_length=20, examples=["task_executor"], description="`user` is `task_executor`")]
    organisation: Annotated[Name | None, Field(description="the caller's own, if left out")] = None


class Role(Body):
    role: Annotated[str, Field(max_length=20, examples=["viewer"])]


def _of_today(config: Any) -> Any:
    """The configuration with the original's names of task types as ours."""
    preferences = config.get("model_preferences") if isinstance(config, Mapping) else None
    if not isinstance(preferences, Mapping):
        return config
    return {**config, "model_preferences": {_TASK_TYPES.get(name, name): row for name, row in preferences.items()}}


class NewAgent(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "reviewer", "type": "code_generator", "config": {"system_prompt": "Review strictly."}},
            ]
        },
    )

    name: Name
    type: AgentType = AgentType.MCP_ORCHESTRATOR
    config: Annotated[AgentConfig, BeforeValidator(_of_today)] = AgentConfig()


class AgentChange(Body):
    """What is to change; `config` holds just the fields to change, and makes a new version."""

    name: Name | None = None
    status: Literal["active", "inactive"] | None = None
    config: Annotated[dict[str, Any] | None, BeforeValidator(_of_today), Field(examples=[{"policy": "cheapest"}])] = (
        None
    )


class AgentTest(Body):
    test_payload: Annotated[str | dict[str, Any], Field(description="the prompt", examples=["Hello"])] = "Hello"
    test_type: Annotated[str | None, Field(max_length=_LONGEST, description="a name of the caller's own")] = None
    dry_run: Annotated[bool, Field(description="free; false makes one small paid call, which is a task")] = True


class NewTask(Body):
    """`description` is taken for `prompt`, and `agent_id` for `agent`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prompt": "Say hello in three languages.", "priority": "high"}]},
    )

    prompt: Annotated[
        str,
        Field(validation_alias=AliasChoices("prompt", "description"), min_length=1, max_length=MAX_PROMPT_CHARACTERS),
    ]
    agent: Annotated[
        str, Field(validation_alias=AliasChoices("agent", "agent_id"), max_length=100, description="id or name")
    ] = "default"
    task_type: Annotated[TaskType | None, Field(description="inferred if left out")] = None
    priority: Priority = Priority.MEDIUM
    parameters: Annotated[dict[str, Any], Field(description="data for the task, sent with the prompt")] = {}
    response_schema: Annotated[dict[str, Any] | None, Field(description="JSON Schema the answer must match")] = None
    max_cost_usd: Annotated[float | None, Field(gt=0, le=MAX_USD, description="hard limit, all attempts together")] = (
        None
    )
    idempotency_key: Annotated[
        str | None, Field(min_length=1, max_length=_LONGEST, description="as the header Idempotency-Key")
    ] = None
    wait_seconds: Annotated[int, Field(ge=0, le=50, description="how long to wait for the answer")] = 0


class RateLimits(Body):
    tasks_per_hour: Annotated[int | None, Field(ge=1, le=1_000_000, examples=[500])] = None
    requests_per_minute: Annotated[int | None, Field(ge=1, le=1_000_000)] = None


class NewWorkflow(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "ask-first",
                    "definition": {"steps": [{"id": "ok", "kind": "approval", "prompt": "Go on?"}]},
                },
            ]
        },
    )

    name: Name
    definition: Annotated[dict[str, Any], Field(description="its steps; see guide://workflows")]


class NewComparison(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"prompt": "Say hello.", "models": ["openai/gpt-4o-mini", "groq/openai/gpt-oss-20b"]}]
        },
    )

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]
    models: Annotated[
        list[Annotated[str, Field(max_length=_LONGEST_MODEL)]],
        Field(min_length=FEWEST_MODELS, max_length=MOST_MODELS, description="`provider/model`, as in /api/providers"),
    ]
    agent: Annotated[
        str, Field(max_length=100, description="id or name; its configuration holds but for the model")
    ] = "default"
    task_type: Annotated[TaskType | None, Field(description="inferred if left out")] = None
    max_cost_usd: Annotated[float | None, Field(gt=0, le=MAX_USD, description="hard limit, all models together")] = None


class NewRun(Body):
    inputs: dict[str, Any] = {}
    max_cost_usd: Annotated[float | None, Field(gt=0, le=MAX_USD, description="hard limit, all steps together")] = None
    wait_seconds: Annotated[int, Field(ge=0, le=50, description="for its end, or an approval")] = 0


class RunRetry(Body):
    step: Annotated[str | None, Field(max_length=100, description="all that failed it, if left out")] = None


class Decision(Body):
    approve: bool
    comment: Annotated[str | None, Field(max_length=2000)] = None


class Budget(Body):
    scope: Scope
    subject: Annotated[str | None, Field(max_length=200, description="id or name; oneself, if left out")] = None
    period: Annotated[Period | None, Field(description="of a task or a run: its whole life")] = None
    limit_usd: Annotated[float, Field(gt=0, le=MAX_USD, examples=[5.0])]
    hard: Annotated[bool, Field(description="false warns and lets through")] = True


class Rating(Body):
    rating: Annotated[int, Field(ge=1, le=5, description="1: useless, 5: perfect")]
    comment: Annotated[str | None, Field(max_length=2000)] = None


class ProviderKey(Body):
    """A key comes in and never goes out. Only a server of one's own, at `base_url`, may take none."""

    key: Annotated[SecretStr | None, Field(max_length=LONGEST_KEY, examples=["the-key-of-your-account"])] = None
    base_url: Annotated[str | None, Field(description="the provider's own address, if left out")] = None


class NewToken(Body):
    name: Annotated[Name, Field(examples=["cursor-at-work"], description="what it is for")]
    days: Annotated[int, Field(ge=1, le=MOST_DAYS, description="how long it is good")] = 90
    user: Annotated[str | None, Field(max_length=_LONGEST, description="id, e-mail or name; oneself, if left out")] = (
        None
    )

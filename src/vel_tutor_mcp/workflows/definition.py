"""The form of a workflow's definition, as JSON holds it; `graph` checks what the form alone cannot say."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from vel_tutor_mcp.models import LONGEST_STEP, MAX_PROMPT_CHARACTERS, MAX_USD, Priority, TaskType

MOST_STEPS = 100
MOST_ITEMS = 1000
MOST_ITEMS_AT_ONCE = 20
LONGEST_WAIT_SECONDS = 90 * 24 * 60 * 60

NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(max_length=LONGEST_STEP, pattern=NAME_PATTERN)]
Template = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]
AgentName = Annotated[str, Field(min_length=1, max_length=100)]
Seconds = Annotated[int, Field(ge=1, le=LONGEST_WAIT_SECONDS)]


class _Part(BaseModel):
    # Strict: "3" is no number and 1 no boolean. What JSON has no type for, tuples and enums, is taken from what it has.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Retry(_Part):
    """`attempts` counts the first one; before each further one `backoff_seconds` pass, doubled every time."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 1
    backoff_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0


class Goto(_Part):
    """Where a run goes on when the step has failed."""

    goto: Name


# Told apart by their form, so that a fault in one is not told of as one in the other.
OnError = Annotated[
    Annotated[Literal["fail", "continue"], Tag("word")] | Annotated[Goto, Tag("object")],
    Discriminator(lambda value: "object" if isinstance(value, (dict, Goto)) else "word"),
]


class _Step(_Part):
    """What all kinds of steps have.

    `needs` are the steps that end before; `when` is an expression (`expression`). `timeout_seconds` bounds a map or an
    approval as a whole, and each attempt of a task, waiting for its turn included.
    """

    id: Name
    needs: Annotated[tuple[Name, ...], Field(max_length=MOST_STEPS, strict=False)] = ()
    when: str | None = None
    on_error: OnError = "fail"
    timeout_seconds: Seconds | None = None

    @property
    def goto(self) -> str | None:
        return self.on_error.goto if isinstance(self.on_error, Goto) else None


class _Asking(_Step):
    """What is asked of an agent: `prompt` is a text with placeholders (`text`), the rest as for a task."""

    agent: AgentName = "default"
    prompt: Template
    task_type: Annotated[TaskType | None, Field(strict=False)] = None
    priority: Annotated[Priority, Field(strict=False)] = Priority.MEDIUM
    response_schema: dict[str, Any] | None = None
    max_cost_usd: Annotated[float | None, Field(gt=0, le=MAX_USD)] = None
    retry: Retry = Retry()

    @property
    def all_agents(self) -> tuple[str, ...]:
        return (self.agent,)


class TaskStep(_Asking):
    """One task; its output is the answer."""

    kind: Literal["task"]


class MapStep(_Asking):
    """A task for each item of the list at the path `over`, at most `parallel` at once.

    Its output tells of each item: `{"items": [answer or null, ...], "succeeded": n, "failed": n, "errors": [...]}`. It
    fails only where every item has.
    """

    kind: Literal["map"]
    over: Annotated[str, Field(max_length=200)]
    parallel: Annotated[int, Field(ge=1, le=MOST_ITEMS_AT_ONCE)] = MOST_ITEMS_AT_ONCE


class ApprovalStep(_Step):
    """A person's decision; `prompt` is what they are asked. Rejecting fails the step.

    With `human`, no model may relay the decision. At the time-out the rule `on_timeout` decides.
    """

    kind: Literal["approval"]
    prompt: Template
    human: bool = False
    on_timeout: Literal["reject", "approve"] = "reject"


class TaskMasterStep(_Step):
    """Work on a Task Master project: each item is claimed in its tasks.json, done by an agent, and written back.

    `project`, an absolute path, and `tag` are texts with placeholders. `ids` is the path of a list of items; without
    one it is all that is ready and becomes so with `all_ready`, else the next one. `agents` are by task type, `agent`
    is for all others. A result is `done`, or with `review_agent` what that one says: else it waits for a person.
    It fails only where every item has. `max_cost_usd` is of each task.
    """

    kind: Literal["taskmaster"]
    project: Template
    tag: Annotated[str, Field(max_length=1000)] = ""
    ids: Annotated[str | None, Field(max_length=200)] = None
    all_ready: bool = False
    agent: AgentName = "default"
    agents: dict[Annotated[TaskType, Field(strict=False)], AgentName] = {}
    review_agent: AgentName | None = None
    parallel: Annotated[int, Field(ge=1, le=MOST_ITEMS_AT_ONCE)] = 5
    priority: Annotated[Priority, Field(strict=False)] = Priority.MEDIUM
    max_cost_usd: Annotated[float | None, Field(gt=0, le=MAX_USD)] = None
    retry: Retry = Retry()

    @property
    def all_agents(self) -> tuple[str, ...]:
        return (self.agent, *self.agents.values(), *([self.review_agent] if self.review_agent else []))


class PlanStep(_Step):
    """What Task Master is to plan, as the run's inputs say (`services.plans`). It stands in our own workflow."""

    kind: Literal["plan"]


Step = Annotated[TaskStep | MapStep | ApprovalStep | TaskMasterStep | PlanStep, Field(discriminator="kind")]


class Definition(_Part):
    """A workflow. `inputs` is the JSON Schema of what a run is given; a template is offered to users as a prompt.

    What a run gives is what is found first at the paths of `output`; without them, what its last steps gave.
    """

    description: Annotated[str, Field(max_length=1000)] = ""
    template: bool = False
    inputs: dict[str, Any] = {"type": "object"}
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS, strict=False)]
    output: Annotated[tuple[str, ...], Field(max_length=MOST_STEPS, strict=False)] = ()

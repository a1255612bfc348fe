"""The suite's tools that ask the client back: in the middle of a call for clients of a handshake, else by a result that
says what is asked.

They ask as our own tools do, by `Resolve`, but where the suite names the questions itself.
"""

from typing import Annotated, Any

from conformance_fixtures import fixture
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.resolve import ListRoots, Sample
from mcp_types import (
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field, JsonValue

from vel_tutor_mcp.doors.desk import Desk, prompt

SIZES: list[JsonValue] = ["small", "medium", "large"]
TITLED: list[JsonValue] = [{"const": "low", "title": "Low"}, {"const": "high", "title": "High"}]


class Reached(BaseModel):
    """How a person may be reached."""

    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    """A form that is filled in already."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Annotated[str, Field(json_schema_extra={"enum": ["active", "inactive", "pending"]})] = "active"
    verified: bool = True


class Choices(BaseModel):
    """A form of all kinds of choices."""

    untitledSingle: str = Field(json_schema_extra={"enum": SIZES})
    titledSingle: str = Field(json_schema_extra={"oneOf": TITLED})
    legacyEnum: str = Field(json_schema_extra={"enum": SIZES, "enumNames": SIZES})
    untitledMulti: list[str] = Field(json_schema_extra={"items": {"type": "string", "enum": SIZES}})
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": TITLED}})


def sample(prompt: str) -> Sample:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return Sample([message], max_tokens=100)


def said(result: CreateMessageResult) -> str:
    return f"LLM response: {result.content.text if isinstance(result.content, TextContent) else ''}"


async def by_prompt(prompt: str) -> Sample:
    return sample(prompt)


async def by_message(message: str) -> Elicit[Reached]:
    return Elicit(message, Reached)


async def defaults() -> Elicit[Defaults]:
    return Elicit("Is this right?", Defaults)


async def choices() -> Elicit[Choices]:
    return Elicit("Which ones?", Choices)


async def roots() -> ListRoots:
    return ListRoots()


async def capital() -> Sample:
    return sample("What is the capital of France?")


def outcome(answer: ElicitationResult[Any]) -> str:
    given = answer.data.model_dump_json() if isinstance(answer, AcceptedElicitation) else "{}"
    return f"Elicitation completed: action={answer.action}, content={given}"


@fixture
async def test_sampling(desk: Desk, prompt: str, answer: Annotated[CreateMessageResult, Resolve(by_prompt)]) -> str:
    """Have the client's model answer a prompt."""
    return said(answer)


@fixture
async def test_elicitation(
    desk: Desk, message: str, answer: Annotated[ElicitationResult[Reached], Resolve(by_message)]
) -> str:
    """Ask the user how they may be reached."""
    return outcome(answer)


@fixture
async def test_elicitation_sep1034_defaults(
    desk: Desk, answer: Annotated[ElicitationResult[Defaults], Resolve(defaults)]
) -> str:
    """Show the user a form that is filled in already."""
    return outcome(answer)


@fixture
async def test_elicitation_sep1330_enums(
    desk: Desk, answer: Annotated[ElicitationResult[Choices], Resolve(choices)]
) -> str:
    """Show the user a form of all kinds of choices."""
    return outcome(answer)


@fixture
async def test_streaming_elicitation(
    desk: Desk, answer: Annotated[ElicitationResult[Defaults], Resolve(defaults)]
) -> str:
    """Ask the user, on a stream."""
    return outcome(answer)


@fixture
async def test_missing_capability(desk: Desk, answer: Annotated[CreateMessageResult, Resolve(capital)]) -> str:
    """Need a model of the client's."""
    return said(answer)


@fixture
async def test_input_required_result_sampling(
    desk: Desk, answer: Annotated[CreateMessageResult, Resolve(capital)]
) -> str:
    """Have the client's model say what the capital of France is."""
    return said(answer)


@fixture
async def test_input_required_result_list_roots(desk: Desk, answer: Annotated[ListRootsResult, Resolve(roots)]) -> str:
    """Say which folders the client shows."""
    return f"Roots: {', '.join(str(root.uri) for root in answer.roots)}"


def form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def model(prompt: str) -> CreateMessageRequest:
    return CreateMessageRequest(params=sample(prompt).params)


def answered(ctx: Context, key: str, field: str) -> Any:
    """What the user wrote into the field; None if they were not asked, or wrote nothing."""
    answer = (ctx.input_responses or {}).get(key)
    return (answer.content or {}).get(field) if isinstance(answer, ElicitResult) else None


def needed(questions: dict[str, InputRequest], state: str | None = None) -> InputRequiredResult:
    return InputRequiredResult(input_requests=questions, request_state=state)


@fixture
async def test_input_required_result_elicitation(desk: Desk, ctx: Context) -> str | InputRequiredResult:
    """Ask the user's name, and greet them."""
    name = answered(ctx, "user_name", "name")
    return f"Hello, {name}!" if name else needed({"user_name": form("What is your name?", "name")})


@fixture
async def test_input_required_result_request_state(desk: Desk, ctx: Context) -> str | InputRequiredResult:
    """Have the user confirm, and the client keep what this server knows."""
    if ctx.request_state == "asked" and answered(ctx, "confirm", "ok"):
        return "state-ok"
    return needed({"confirm": form("Please confirm", "ok", "boolean")}, "asked")


@fixture
async def test_input_required_result_tampered_state(desk: Desk, ctx: Context) -> str | InputRequiredResult:
    """Take no state that a client has changed."""
    return await test_input_required_result_request_state(desk, ctx)


@fixture
async def test_input_required_result_multiple_inputs(desk: Desk, ctx: Context) -> str | InputRequiredResult:
    """Ask the user, the client's model and the client at once."""
    questions: dict[str, InputRequest] = {
        "user_name": form("What is your name?", "name"),
        "greeting": model("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    missing = questions.keys() - (ctx.input_responses or {}).keys()
    return needed(questions, "asked") if missing else "all answered"


@fixture
async def test_input_required_result_multi_round(desk: Desk, ctx: Context) -> str | InputRequiredResult:
    """Ask the user two questions, one after the other."""
    if ctx.request_state is None:
        return needed({"step1": form("Step 1: What is your name?", "name")}, "first")
    if ctx.request_state == "first":
        name = answered(ctx, "step1", "name")
        return needed({"step2": form("Step 2: What is your favorite color?", "color")}, f"second:{name}")
    return f"{ctx.request_state.removeprefix('second:')} likes {answered(ctx, 'step2', 'color')}"


@fixture
async def test_input_required_result_capabilities(desk: Desk, ctx: Context) -> str | InputRequiredResult:
    """Ask what this client can be asked."""
    able = ctx.client_capabilities
    questions: dict[str, InputRequest] = {}
    if able is not None and able.sampling is not None:
        questions["greeting"] = model("Generate a greeting")
    if able is not None and able.elicitation is not None:
        questions["user_name"] = form("What is your name?", "name")
    return needed(questions) if questions else "nobody to ask"


@prompt("After a question")
async def test_input_required_result_prompt(ctx: Context) -> str | InputRequiredResult:
    """Ask the user for the context first."""
    context = answered(ctx, "user_context", "context")
    if not context:
        return needed({"user_context": form("What context should the prompt use?", "context")})
    return f"Go on in this context: {context}"

"""The Tasks extension of MCP (SEP-2663): calls that begin lasting work are answered with a handle at once.

It keeps nothing of its own: whatever it says is read from the store, so handles are good in every process and after
every restart.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, RequestHandler
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    Notification,
    RequestParams,
    SubscriptionFilter,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field, ValidationError

from vel_tutor_mcp.doors import handle
from vel_tutor_mcp.doors.approvals import Decision
from vel_tutor_mcp.doors.desk import Desk, ToolCard, asks_in_forms
from vel_tutor_mcp.doors.reply import answer_to, sentence
from vel_tutor_mcp.doors.surface import Surface
from vel_tutor_mcp.errors import Conflict, NotFound, VelError
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.workflows.model import How, Run, RunStep

if TYPE_CHECKING:
    from vel_tutor_mcp.services.changes import End, Tell

TASKS = "io.modelcontextprotocol/tasks"

Ctx = ServerRequestContext[Any, Any]

_MODERN = frozenset(MODERN_PROTOCOL_VERSIONS)
_ELICITATION: dict[str, Any] = {"requiredCapabilities": {"elicitation": {}}}
_CANNOT_ASK = (
    "Nothing was decided; this client does not say that it asks its user in forms; decide with workflow_decide."
)
_NOT_FILLED_IN = (
    "Nothing was decided; an answer does not fill in the form that its user was shown; send it as requestedSchema says."
)


@dataclass(frozen=True, slots=True)
class HandleChanged:
    """There is something new of the work that is held by this handle."""

    handle: str


class HandleNotification(Notification[dict[str, Any], Literal["notifications/tasks"]]):
    """How work stands, sent to who listens."""

    method: Literal["notifications/tasks"] = "notifications/tasks"


class HandleParams(RequestParams):
    """What every request of the extension names."""

    task_id: str = Field(max_length=100)


class UpdateParams(HandleParams):
    """Answers of the client's person, by the keys of what they were asked."""

    input_responses: dict[str, Any]


class TasksExtension(Extension):
    """Answers calls of tools whose card says `lasting` with handles, for clients that declare the extension.

    Unknown handles and those of others look alike. What a person decides through a client is decided by the service and
    the rules by which `workflow_decide` does it. Where a tool is switched off, so is what does the same here.
    """

    identifier = TASKS

    def __init__(self, desk: Desk, cards: Mapping[str, ToolCard], surface: Surface) -> None:
        self._desk = desk
        self._cards = cards
        self._surface = surface

    def methods(self) -> Sequence[MethodBinding]:
        return [
            MethodBinding("tasks/get", HandleParams, _served(self._get), _MODERN),
            MethodBinding("tasks/update", UpdateParams, _served(self._update), _MODERN),
            MethodBinding("tasks/cancel", HandleParams, _served(self._cancel), _MODERN),
        ]

    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        card = self._cards.get(params.name)
        if card is None or not card.lasting or not _declared(ctx):
            return await call_next(ctx)
        params.arguments = (params.arguments or {}) | {"wait_seconds": 0}  # the client waits by its handle
        replied = await call_next(ctx)
        if not isinstance(replied, CallToolResult) or replied.is_error or replied.structured_content is None:
            return replied
        app, me = await self._desk.enter()
        told = await app.runs.look(me, replied.structured_content["id"])
        # Work may have ended by now: then the call has its answer, and a handle would only cost a second question.
        if handle.rests(told, asks=_asks(ctx)):
            return handle.result(told)
        return {"resultType": "task"} | handle.state(told)

    async def follow(self, task_id: str, tell: "Tell") -> "End":
        """Tell of the work whose handle this is, now and whenever there is something new.

        Raises:
            NotFound: there is none that the caller may see. Conflict: they follow too much.
        """
        app, me = await self._desk.enter()
        told, _ = await self._held(task_id)
        follow = app.changes.task if isinstance(told, Told) else app.changes.run
        end = await follow(me, handle.parts(task_id)[0], tell)
        tell()
        return end

    async def notification(self, ctx: Ctx, changed: HandleChanged, meta: dict[str, Any]) -> HandleNotification:
        """What who listens is told: what `tasks/get` gives at this moment."""
        params = await _translated(self._get(ctx, HandleParams(task_id=changed.handle)))
        return HandleNotification(params=params | {"_meta": meta})

    async def _get(self, ctx: Ctx, params: HandleParams) -> dict[str, Any]:
        told, meant = await self._held(params.task_id)
        if meant < handle.turn(told):
            return handle.earlier(told, meant)
        return handle.whole(told, asks=_asks(ctx))

    async def _cancel(self, ctx: Ctx, params: HandleParams) -> dict[str, Any]:  # noqa: ARG002 - the SDK's own signature
        self._surface.check("task_cancel", self._cards["task_cancel"])
        told, meant = await self._held(params.task_id)
        # A handle of an earlier time names work that has ended; what goes on under a later one is not stopped by it.
        if meant == handle.turn(told):
            app, me = await self._desk.enter()
            with suppress(Conflict):  # it has ended, which is as good
                await app.runs.stop(me, handle.parts(params.task_id)[0])
        return {}

    async def _update(self, ctx: Ctx, params: UpdateParams) -> dict[str, Any]:
        self._surface.check("workflow_decide", self._cards["workflow_decide"])
        told, meant = await self._held(params.task_id)
        asked = handle.questions(told) if meant == handle.turn(told) else {}
        answered = {key: place for key, place in asked.items() if key in params.input_responses}
        if answered and not _asks(ctx):
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, _CANNOT_ASK, _ELICITATION)
        # All are read before the first is decided: with one that cannot be read, nothing is.
        words = [(*place, _word(params.input_responses[key])) for key, place in answered.items()]
        for run, step, word in words:
            if word is not None:
                await self._decide(run, step, word)
        return {}

    async def _decide(self, run: Run, step: RunStep, word: Decision) -> None:
        app, me = await self._desk.enter()
        with suppress(Conflict):  # somebody else was first
            await app.runs.decide(me, run.id, step.step_id, How.ELICITED, word.comment or None, approve=word.approve)

    async def _held(self, task_id: str) -> tuple[handle.Work, int]:
        """The work whose handle this is, and which time of it is meant."""
        app, me = await self._desk.enter()
        subject_id, meant = handle.parts(task_id)
        told = await app.runs.look(me, subject_id)
        if not 1 <= meant <= handle.turn(told):
            raise NotFound(f"There is no such handle; {subject_id} was not begun so often; see {handle.of(told)}.")
        return told, meant


def _served(serve: Callable[[Ctx, Any], Awaitable[dict[str, Any]]]) -> RequestHandler:
    """The method for who declares the extension; every failure is one sentence."""

    async def served(ctx: Ctx, params: HandleParams) -> dict[str, Any]:
        require_client_extension(ctx, TASKS)
        _check_header(ctx, params.task_id)
        return await _translated(serve(ctx, params))

    return served


async def _translated(told: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    try:
        return await told
    except VelError as problem:
        ours = answer_to(problem).status >= HTTPStatus.INTERNAL_SERVER_ERROR
        raise MCPError(INTERNAL_ERROR if ours else INVALID_PARAMS, sentence(problem)) from None


def handles_in(ctx: Ctx, asked: SubscriptionFilter) -> list[HandleChanged]:
    """What is asked for of the extension, by who declares it.

    Raises:
        MCPError: they do not declare it, or it is no list of ids.
    """
    named = (asked.model_extra or {}).get("taskIds")
    if named is None:
        return []
    require_client_extension(ctx, TASKS)
    if not isinstance(named, list) or not all(isinstance(task_id, str) for task_id in named):
        raise MCPError(INVALID_PARAMS, "Nothing is listened to; taskIds is no list of ids; correct it and ask again.")
    return [HandleChanged(task_id) for task_id in dict.fromkeys(named)]


def _check_header(ctx: Ctx, task_id: str) -> None:
    """Over Streamable HTTP a proxy may route by a header: what it says must be what is asked for."""
    headers = ctx.request.headers if ctx.request is not None else {}
    if MCP_METHOD_HEADER in headers and decode_header_value(headers.get(MCP_NAME_HEADER)) != task_id:
        raise MCPError(
            HEADER_MISMATCH, "The request was not taken; its header Mcp-Name is not the taskId; send the same in both."
        )


def _declared(ctx: Ctx) -> bool:
    capabilities = ctx.session.client_capabilities
    declared = capabilities.extensions if capabilities else None
    return ctx.protocol_version in _MODERN and declared is not None and TASKS in declared


def _asks(ctx: Ctx) -> bool:
    return asks_in_forms(ctx.session.client_capabilities)


def _word(response: Any) -> Decision | None:
    """What the person decided; None where they did not.

    Raises:
        MCPError: it does not fill in the form that they were shown.
    """
    try:
        answer = ElicitResult.model_validate(response)
        return Decision.model_validate(answer.content) if answer.action == "accept" else None
    except ValidationError:
        raise MCPError(INVALID_PARAMS, _NOT_FILLED_IN) from None

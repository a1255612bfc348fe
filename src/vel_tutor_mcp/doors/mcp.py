"""The MCP server, made of the leaf folders: one object for every protocol era and transport."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp import MCPError
from mcp.server import CacheHint, MCPServer, ServerRequestContext
from mcp.server.apps import Apps
from mcp.server.caching import CacheableMethod, apply_cache_hint
from mcp.server.context import ServerMiddleware
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    Completion,
    CompletionArgument,
    GetPromptResult,
    InputRequiredResult,
    Prompt,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceLink,
    ResourceTemplate,
    ResourceTemplateReference,
)
from mcp_types import Tool as PublishedTool
from pydantic import ValidationError

from vel_tutor_mcp import __version__, leaves
from vel_tutor_mcp.doors import completion, states, templates
from vel_tutor_mcp.doors.desk import Complete, Desk, PromptCard, ResourceCard, ToolCard
from vel_tutor_mcp.doors.progress import telling
from vel_tutor_mcp.doors.reply import bad_arguments, refused, sentence
from vel_tutor_mcp.doors.slim import slim
from vel_tutor_mcp.doors.subscriptions import Subscriptions
from vel_tutor_mcp.doors.surface import EVERYTHING, Surface, toolset_of
from vel_tutor_mcp.doors.tasks_extension import TasksExtension
from vel_tutor_mcp.errors import Forbidden, InputError, NotFound, VelError

if TYPE_CHECKING:
    from vel_tutor_mcp.workflows.graph import Graph

INSTRUCTIONS = (
    "Give work to a team of AI agents. task_submit sends a task to an agent (`default` if none is named) and returns "
    "the answer, or an id to follow with task_get(wait_seconds=50). Tasks survive restarts, so never submit one twice: "
    "use task_get or an idempotency_key. route_explain tells for free which model would answer and what it would cost. "
    "max_cost_usd is a hard limit. agent_create saves instructions and routing under a name. A failed task says what "
    "to do; task_retry runs it again. workflow_run starts a saved workflow of several steps; where it waits for a "
    "person, ask them, never decide for them. Long answers are in task://{id}/output; guide://{topic} explains more."
)

# What is listed depends on the settings, which stay as long as the process does, and on the caller's role; prompts, on
# what they save.
_LISTS_STAY = CacheHint(ttl_ms=300_000, scope="private")
_STAYS: Mapping[CacheableMethod, CacheHint] = {
    "tools/list": _LISTS_STAY,
    "resources/list": _LISTS_STAY,
    "resources/templates/list": _LISTS_STAY,
    "server/discover": CacheHint(ttl_ms=300_000, scope="public"),
}
# Of resources by their scheme; all others may change at any moment.
_READS_STAY: Mapping[str, CacheHint] = {
    "guide": CacheHint(ttl_ms=3_600_000, scope="public"),
    "ui": CacheHint(ttl_ms=3_600_000, scope="public"),
    "models": CacheHint(ttl_ms=60_000, scope="private"),
}
# The protocol's version that brought links to resources into results.
_LINKS_SINCE = "2025-06-18"

_log = logging.getLogger(__name__)


class Server(MCPServer[Desk]):
    """Publishes schemas in their smallest form, tools to whom they are for, what is of use with these tools, and the
    user's templates as prompts; every failure is one sentence. A `stateless` one keeps no sessions over HTTP.
    """

    def __init__(self, desk: Desk, surface: Surface, *, stateless: bool = False, **options: Any) -> None:
        self.cards: dict[str, ToolCard] = {}
        handles = TasksExtension(desk, self.cards, surface)
        super().__init__(
            "vel-tutor-mcp",
            title="Vel Tutor",
            version=__version__,
            instructions=INSTRUCTIONS,
            extensions=[handles, Apps()],  # which says that there are some: the leaves are them
            cache_hints=_STAYS,
            **options,
        )
        self._lowlevel_server.middleware.insert(0, states.worded)  # outermost: it words what the SDK's own refuse
        self._desk = desk
        self.stateless = stateless
        self._surface = surface
        self.tools_of_prompts: dict[str, tuple[str, ...]] = {}
        self.completes: dict[str, Mapping[str, Complete]] = {}
        self.completion()(self.complete)  # type: ignore[no-untyped-call]  # the SDK gives it no types
        self.subscriptions = Subscriptions(desk, handles)
        # 2.3 has no public way to serve those of the handshake era.
        self.subscriptions.serve(self._lowlevel_server, sessions=not stateless)

    def watch(self, middleware: ServerMiddleware[Any]) -> None:
        """Have it around every request and notification, outermost."""
        self._lowlevel_server.middleware.insert(0, middleware)

    async def converse(
        self, incoming: ObjectReceiveStream[SessionMessage | Exception], outgoing: ObjectSendStream[SessionMessage]
    ) -> None:
        """Serve one client over these streams, until `incoming` ends."""
        low = self._lowlevel_server  # 2.3 has no public way to streams of one's own
        await low.run(incoming, outgoing, low.create_initialization_options())

    async def list_tools(self) -> list[PublishedTool]:
        published = [tool for tool in await super().list_tools() if self._offers(tool.name)]
        return [tool.model_copy(update={"input_schema": slim(tool.input_schema)}) for tool in published]

    async def list_resources(self) -> list[Resource]:
        toolsets = self._toolsets()
        return [row for row in await super().list_resources() if toolset_of(row.uri) in toolsets]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        toolsets = self._toolsets()
        return [row for row in await super().list_resource_templates() if toolset_of(row.uri_template) in toolsets]

    # 2.3 has hints for a method as a whole alone, and resources differ.
    async def _handle_read_resource(
        self, ctx: ServerRequestContext[Desk], params: ReadResourceRequestParams
    ) -> ReadResourceResult | InputRequiredResult:
        read = await super()._handle_read_resource(ctx, params)
        hint = _READS_STAY.get(params.uri.partition(":")[0])
        return apply_cache_hint(read, hint) if hint and isinstance(read, ReadResourceResult) else read

    async def list_prompts(self) -> list[Prompt]:
        shipped = await super().list_prompts()
        # A template never hides a shipped prompt, also not one that is not offered to this caller.
        taken = {prompt.name for prompt in shipped}
        found = await self._templates()
        offered = [prompt for prompt in shipped if self._offers_prompt(prompt.name)]
        return offered + [templates.published(name, graph) for name, graph in found.items() if name not in taken]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Desk, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        given = arguments or {}
        try:
            for prompt in await super().list_prompts():
                if prompt.name == name and self._offers_prompt(name):
                    _check_arguments(prompt, given)
                    return await super().get_prompt(name, given, context)
            graph = (await self._templates()).get(name)
            if graph is None:
                raise NotFound("There is no such prompt; prompts are listed by prompts/list; choose one of these.")
            return templates.filled(name, graph, given)
        except VelError as problem:
            raise MCPError(INVALID_PARAMS, sentence(problem)) from None

    async def complete(
        self, ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, _: Any
    ) -> Completion:
        """How the argument of a prompt, or of a resource template, may go on."""
        named = ref.name if isinstance(ref, PromptReference) else ref.uri
        try:
            if named in self.completes:
                complete = self.completes[named].get(argument.name)
                return completion.shown(await complete(self._desk, argument.value) if complete else ())
            graph = (await self._templates()).get(named)
        except VelError:
            return completion.shown(())  # whoever is typing is not told of faults
        return completion.shown(
            completion.begins(templates.choices(graph, argument.name), argument.value) if graph else ()
        )

    async def _templates(self) -> "Mapping[str, Graph]":
        """The user's templates, for whom may run them; none while the product is not open, for the shipped prompts need
        no product.
        """
        if not self._offers(templates.TOOL):
            return {}
        try:
            app, me = await self._desk.enter()
            return await app.workflows.templates(me)
        except VelError:
            return {}

    def _offers(self, tool: str) -> bool:
        card = self.cards[tool]
        return self._desk.lets(card.operation) and self._surface.offers(tool, card)

    def _offers_prompt(self, shipped: str) -> bool:
        return all(map(self._offers, self.tools_of_prompts[shipped]))

    def _toolsets(self) -> set[str | None]:
        """Those of which the caller has a tool; whatever is of none is for everybody."""
        return {toolset_of(tool) for tool in self.cards if self._offers(tool)} | {None}

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Desk, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        if context is None:
            return await super().call_tool(name, arguments)
        async with telling(context):
            try:
                # A client may call what is not listed for it. Roles are checked by the services, settings here.
                if name in self.cards:
                    self._surface.check(name, self.cards[name])
                result = await super().call_tool(name, arguments, context)
            except Forbidden as problem:
                return refused(sentence(problem))
            except ToolError as problem:
                return refused(_tool_sentence(name, problem))
        return result if _knows_links(context) else _without_links(result)


def make_server(desk: Desk, surface: Surface = EVERYTHING, **options: Any) -> Server:
    """The server with every leaf on it, for any number of connections: the product is opened and closed elsewhere."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Desk]) -> AsyncIterator[Desk]:
        yield desk  # the SDK comes by once per connection of the SSE pair, once per process otherwise

    server = Server(desk, surface, lifespan=lifespan, **options)
    for folder in ("tools", "resources", "prompts"):
        for leaf in leaves.load(folder):
            publish(server, leaf, desk)
    return server


def publish(server: Server, leaf: Callable[..., Awaitable[Any]], desk: Desk) -> None:
    """Put the leaf on the server, as what its card says that it is."""
    card: ToolCard | ResourceCard | PromptCard = leaf.card  # type: ignore[attr-defined]  # set by `desk`
    match card:
        case ToolCard():
            _add_tool(server, leaf, card, desk)
        case ResourceCard():
            _add_resource(server, leaf, card, desk)
        case PromptCard():
            _add_prompt(server, leaf, card)


def _add_tool(server: Server, leaf: Callable[..., Awaitable[Any]], card: ToolCard, desk: Desk) -> None:
    server.cards[leaf.__name__] = card
    server.add_tool(
        _behind(desk, leaf),
        title=card.title,
        description=" ".join((leaf.__doc__ or "").split()),
        annotations=card.annotations,
        meta=_of_apps(card),
        structured_output=False,
    )


def _add_resource(server: Server, leaf: Callable[..., Awaitable[Any]], card: ResourceCard, desk: Desk) -> None:
    server.completes[card.uri] = card.completes
    description = " ".join((leaf.__doc__ or "").split())
    take = server.resource(
        card.uri,
        name=leaf.__name__,
        title=card.title,
        description=description,
        mime_type=card.mime_type,
        meta=_of_apps(card),
    )
    take(_readable(_behind(desk, leaf)))
    if card.follows is not None:
        server.subscriptions.offer(card.uri, card.follows)


def _add_prompt(server: Server, leaf: Callable[..., Awaitable[Any]], card: PromptCard) -> None:
    server.tools_of_prompts[leaf.__name__] = card.tools
    server.completes[leaf.__name__] = card.completes
    server.prompt(name=leaf.__name__, title=card.title, description=leaf.__doc__)(leaf)


def _check_arguments(prompt: Prompt, given: Mapping[str, Any]) -> None:
    arguments = prompt.arguments or ()
    templates.check_given(f"prompt {prompt.name}", [row.name for row in arguments if row.required], given)
    known = [row.name for row in arguments]
    if not given.keys() <= set(known):
        raise InputError(
            f"The prompt {prompt.name} has no such argument; it takes {', '.join(known)} alone; leave the others out."
        )


def _of_apps(card: ToolCard | ResourceCard) -> dict[str, Any] | None:
    return None if card.ui is None else {"ui": dict(card.ui)}


def _behind(desk: Desk, leaf: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The leaf without its first parameter, the desk, which is filled in here: callers neither see nor set it."""

    async def call(**arguments: Any) -> Any:
        return await leaf(desk, **arguments)

    signature = inspect.signature(leaf, eval_str=True)
    rest = list(signature.parameters.values())[1:]
    call.__name__ = leaf.__name__
    call.__doc__ = leaf.__doc__
    # The SDK makes the schema of arguments from these, and asks for both.
    call.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]  # read by inspect.signature
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in rest}
    return call


def _readable(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def reading(**arguments: Any) -> Any:
        try:
            return await read(**arguments)
        except NotFound as problem:
            raise ResourceNotFoundError(sentence(problem)) from problem
        except VelError as problem:
            raise ResourceError(sentence(problem)) from problem

    reading.__name__ = read.__name__
    reading.__signature__ = inspect.signature(read)  # type: ignore[attr-defined]  # read by inspect.signature
    reading.__annotations__ = read.__annotations__
    return reading


def _knows_links(context: Context[Desk, Any]) -> bool:
    """Whether the caller's protocol has links to resources; an answer with what it has not would be no answer."""
    return (context.request_context.protocol_version or "") >= _LINKS_SINCE


def _without_links(result: CallToolResult | InputRequiredResult) -> CallToolResult | InputRequiredResult:
    if isinstance(result, InputRequiredResult):
        return result
    content = [block for block in result.content if not isinstance(block, ResourceLink)]
    return result.model_copy(update={"content": content})


def _tool_sentence(name: str, problem: ToolError) -> str:
    cause = problem.__cause__
    if isinstance(cause, VelError):
        return sentence(cause)
    if isinstance(cause, ValidationError):
        return bad_arguments(name, cause)
    if isinstance(cause, ToolError):  # the SDK's own word on an answer to a form
        return (
            f"{name} did nothing; what this client sent back does not fill in the form that its user was shown; call "
            "again, so that they are asked once more."
        )
    if cause is None:
        return f"{problem}; tools are listed by tools/list."
    _log.error("The tool %s met an unexpected fault.", name, exc_info=cause)
    return (
        f"{name} failed on an unexpected fault ({type(cause).__name__}); the server's log on stderr has the details; "
        "try again, and report it if it stays."
    )

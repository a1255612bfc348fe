"""The MCP server, made of the leaf folders: one object for every protocol era and transport."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp_types import INVALID_PARAMS, CallToolResult, GetPromptResult, InputRequiredResult, Prompt
from mcp_types import Tool as PublishedTool
from pydantic import ValidationError

from vel_tutor_mcp import __version__, leaves
from vel_tutor_mcp.doors import templates
from vel_tutor_mcp.doors.desk import Desk, PromptCard, ResourceCard, ToolCard
from vel_tutor_mcp.doors.reply import bad_arguments, refused, sentence
from vel_tutor_mcp.doors.subscriptions import Subscriptions
from vel_tutor_mcp.doors.tasks_extension import TasksExtension
from vel_tutor_mcp.errors import NotFound, VelError

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

_log = logging.getLogger(__name__)


class Server(MCPServer[Desk]):
    """Publishes schemas in their smallest form, tools to whom they are for, and the user's templates as prompts; every
    failure is one sentence. A `stateless` one keeps no sessions over HTTP.
    """

    def __init__(self, desk: Desk, *, stateless: bool = False, **options: Any) -> None:
        self.cards: dict[str, ToolCard] = {}
        handles = TasksExtension(desk, self.cards)
        super().__init__(
            "vel-tutor-mcp",
            title="Vel Tutor",
            version=__version__,
            instructions=INSTRUCTIONS,
            extensions=[handles],
            **options,
        )
        self._desk = desk
        self.stateless = stateless
        self.subscriptions = Subscriptions(desk, handles)
        # 2.3 has no public way to serve those of the handshake era.
        self.subscriptions.serve(self._lowlevel_server, sessions=not stateless)

    async def list_tools(self) -> list[PublishedTool]:
        published = [tool for tool in await super().list_tools() if self._desk.lets(self.cards[tool.name].operation)]
        return [tool.model_copy(update={"input_schema": slim(tool.input_schema)}) for tool in published]

    async def list_prompts(self) -> list[Prompt]:
        shipped = await super().list_prompts()
        taken = {prompt.name for prompt in shipped}
        found = await self._templates()
        return shipped + [templates.published(name, graph) for name, graph in found.items() if name not in taken]

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[Desk, Any] | None = None
    ) -> GetPromptResult | InputRequiredResult:
        given = arguments or {}
        try:
            for prompt in await super().list_prompts():
                if prompt.name == name:
                    required = [argument.name for argument in prompt.arguments or () if argument.required]
                    templates.check_given(f"prompt {name}", required, given)
                    return await super().get_prompt(name, given, context)
            graph = (await self._templates()).get(name)
            if graph is None:
                raise NotFound("There is no such prompt; prompts are listed by prompts/list; choose one of these.")
            return templates.filled(name, graph, given)
        except VelError as problem:
            raise MCPError(INVALID_PARAMS, sentence(problem)) from None

    async def _templates(self) -> "Mapping[str, Graph]":
        """The user's templates; none while the product is not open, for the shipped prompts need no product."""
        try:
            app, me = await self._desk.enter()
            return await app.workflows.templates(me)
        except VelError:
            return {}

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Desk, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as problem:
            return refused(_tool_sentence(name, problem))


def make_server(desk: Desk, **options: Any) -> Server:
    """The server with every leaf on it, for any number of connections: the product is opened and closed elsewhere."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Desk]) -> AsyncIterator[Desk]:
        yield desk  # the SDK comes by once per connection of the SSE pair, once per process otherwise

    server = Server(desk, lifespan=lifespan, **options)
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
            server.prompt(name=leaf.__name__, title=card.title, description=leaf.__doc__)(leaf)


def _add_tool(server: Server, leaf: Callable[..., Awaitable[Any]], card: ToolCard, desk: Desk) -> None:
    server.cards[leaf.__name__] = card
    server.add_tool(
        _behind(desk, leaf),
        title=card.title,
        description=" ".join((leaf.__doc__ or "").split()),
        annotations=card.annotations,
        structured_output=False,
    )


def _add_resource(server: Server, leaf: Callable[..., Awaitable[Any]], card: ResourceCard, desk: Desk) -> None:
    description = " ".join((leaf.__doc__ or "").split())
    take = server.resource(
        card.uri, name=leaf.__name__, title=card.title, description=description, mime_type=card.mime_type
    )
    take(_readable(_behind(desk, leaf)))
    if card.follows is not None:
        server.subscriptions.offer(card.uri, card.follows)


def _behind(desk: Desk, leaf: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The leaf without its first parameter, the desk, which is filled in here: callers neither see nor set it."""

    async def call(**arguments: Any) -> Any:
        return await leaf(desk, **arguments)

    signature = inspect.signature(leaf, eval_str=True)
    rest = list(signature.parameters.values())[1:]
    call.__name__ = leaf.__name__
    call.__doc__ = leaf.__doc__
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


def slim(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what says nothing taken out: generated titles, `null` beside a type, and definitions used by
    reference put in place.
    """
    definitions = schema.get("$defs", {})

    def cut(node: Any) -> Any:
        if isinstance(node, list):
            return [cut(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            rest = {name: value for name, value in node.items() if name != "$ref"}
            return cut(definitions[node["$ref"].rsplit("/", 1)[-1]] | rest)
        return _without_null(
            {name: _cut_member(name, value, cut) for name, value in node.items() if _says(name, value)}
        )

    slimmed: dict[str, Any] = cut({name: value for name, value in schema.items() if name != "$defs"})
    return slimmed


def _says(name: str, value: Any) -> bool:
    generated = name in {"title", "description"} and isinstance(value, str) and (name == "title" or "\n" in value)
    return not generated and not (name == "default" and value is None)


def _cut_member(name: str, value: Any, cut: Callable[[Any], Any]) -> Any:
    if name == "properties":  # its names are the caller's, not the schema's
        return {argument: cut(node) for argument, node in value.items()}
    return value if name in {"default", "enum", "const"} else cut(value)


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return node
    only: dict[str, Any] = choices[0]
    return only | {name: value for name, value in node.items() if name != "anyOf"}

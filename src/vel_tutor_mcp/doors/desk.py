"""What a leaf gets from the door: the product once it is up, who is asking, and the leaf's card.

It imports nothing heavy: leaves are loaded before the first answer, the product after it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from mcp.server.mcpserver import Context
from mcp_types import ToolAnnotations
from pydantic import Field

from vel_tutor_mcp.errors import VelError

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.models import News, Principal

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(destructive_hint=False, open_world_hint=False)
STOPS = ToolAnnotations(destructive_hint=True, open_world_hint=False)
CALLS_OUT = ToolAnnotations(destructive_hint=False, open_world_hint=True)

Limit = Annotated[int, Field(ge=1, le=100)]
Wait = Annotated[int, Field(ge=0, le=50)]
NameRef = Annotated[str, Field(max_length=100, description="id or name")]

_SMALLEST_STEP = 0.01


@dataclass(frozen=True, slots=True)
class ToolCard:
    """How a tool is published."""

    title: str
    annotations: ToolAnnotations


@dataclass(frozen=True, slots=True)
class ResourceCard:
    """How a resource is published; `{name}` in the URI is an argument of the function."""

    uri: str
    title: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class PromptCard:
    """How a prompt is published."""

    title: str


Leaf = TypeVar("Leaf", bound=Callable[..., Awaitable[Any]])


def tool(title: str, annotations: ToolAnnotations) -> Callable[[Leaf], Leaf]:
    """Publish the function, whose docstring is the description that models read."""
    return _carded(ToolCard(title, annotations))


def resource(uri: str, title: str, mime_type: str = "application/json") -> Callable[[Leaf], Leaf]:
    """Publish the function as a resource, or a resource template where the URI has variables."""
    return _carded(ResourceCard(uri, title, mime_type))


def prompt(title: str) -> Callable[[Leaf], Leaf]:
    """Publish the function, which is given no desk, as a prompt."""
    return _carded(PromptCard(title))


def _carded(card: ToolCard | ResourceCard | PromptCard) -> Callable[[Leaf], Leaf]:
    def mark(leaf: Leaf) -> Leaf:
        leaf.card = card  # type: ignore[attr-defined]  # functions take attributes; typing has no word for it
        return leaf

    return mark


class Desk:
    """The product behind the door. It is opened after the door already answers; a call that comes earlier waits."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.problem: VelError | None = None
        self._settled = asyncio.Event()

    def opened(self, app: "App") -> None:
        self.app, self.problem = app, None
        self._settled.set()

    def failed(self, problem: VelError) -> None:
        """Every call from now on fails with this problem, unless the product is opened after all."""
        self.problem = problem
        self._settled.set()

    async def settled(self) -> None:
        """Until the product is open, or did not open for the first time."""
        await self._settled.wait()

    async def enter(self) -> "tuple[App, Principal]":
        """The product, and who is asking.

        Raises:
            ConfigurationError: it could not be opened; says why.
            Unavailable: it could not be opened yet; says why.
        """
        await self._settled.wait()
        if self.app is None:
            assert self.problem is not None
            raise self.problem.with_traceback(None)  # else every call would leave its frames in it
        return self.app, self.app.local_principal


def can_ask(ctx: Context[Any, Any]) -> bool:
    """Whether the client asks its user in forms; in the older protocol that was all that elicitation meant."""
    capabilities = ctx.client_capabilities
    asks = capabilities.elicitation if capabilities else None
    return asks is not None and (asks.form is not None or asks.url is None)


def progress(ctx: Context) -> "Callable[[News], Awaitable[None]]":
    """Tell a task's news to the caller as MCP progress, which must grow with each message."""
    told = 0.0

    async def tell(news: "News") -> None:
        nonlocal told
        told = max(news.percent, told + _SMALLEST_STEP)
        await ctx.report_progress(told, 100, news.message)

    return tell

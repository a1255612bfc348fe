"""What a leaf gets from the door: the product once it is up, who is asking, and the leaf's card.

It imports nothing heavy: leaves are loaded before the first answer, the product after it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from mcp.server.apps import APP_MIME_TYPE
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.mcpserver import Context
from mcp_types import ClientCapabilities, ToolAnnotations
from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from vel_tutor_mcp.auth.roles import Operation, may
from vel_tutor_mcp.errors import Unauthenticated, VelError
from vel_tutor_mcp.news import Followed
from vel_tutor_mcp.policies import Policy

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.auth.accounts import Caller
    from vel_tutor_mcp.models import Principal

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(destructive_hint=False, open_world_hint=False)
STOPS = ToolAnnotations(destructive_hint=True, open_world_hint=False)
CALLS_OUT = ToolAnnotations(destructive_hint=False, open_world_hint=True)

Limit = Annotated[int, Field(ge=1, le=100)]
Wait = Annotated[int, Field(ge=0, le=50)]
NameRef = Annotated[str, Field(max_length=100, description="id or name")]

# Policies that can be tried out in the place of an agent's own: one that is fixed is nothing without its order.
_TRIED = [policy.value for policy in Policy if policy is not Policy.FIXED]


def _tried(policy: Policy) -> Policy:
    if policy.value not in _TRIED:
        raise PydanticCustomError("enum", "Input should be one of {expected}", {"expected": ", ".join(_TRIED)})
    return policy


OtherPolicy = Annotated[Policy, AfterValidator(_tried), WithJsonSchema({"enum": _TRIED, "type": "string"})]

# For clients with MCP Apps, in `_meta.ui`: which page shows what a tool answers, and which tools are that page's own.
DASHBOARD = "ui://vel-tutor/dashboard.html"
SHOWN = {"resourceUri": DASHBOARD}
FOR_APPS = {"visibility": ["app"]}


@dataclass(frozen=True, slots=True)
class ToolCard:
    """How a tool is published, and to whom: those whose role has the operation. `lasting` ones begin a task or run;
    `ui` is for clients with MCP Apps.
    """

    title: str
    annotations: ToolAnnotations
    operation: Operation
    lasting: bool = False
    ui: Mapping[str, Any] | None = None


Complete = Callable[["Desk", str], Awaitable[Sequence[str]]]
"""What an argument may be that begins so: of what the caller may read, the likeliest first."""


@dataclass(frozen=True, slots=True)
class ResourceCard:
    """How a resource is published; `{name}` in the URI is an argument of the function, with what completes it. Where it
    `follows` something, it can be subscribed to, and `{id}` says which thing, if there are several. `ui` is for clients
    with MCP Apps.
    """

    uri: str
    title: str
    mime_type: str
    follows: Followed | None
    completes: Mapping[str, Complete]
    ui: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PromptCard:
    """How a prompt is published, and to whom: those who have the tools that it speaks of."""

    title: str
    tools: tuple[str, ...]
    completes: Mapping[str, Complete]


Leaf = TypeVar("Leaf", bound=Callable[..., Awaitable[Any]])


def tool(
    title: str,
    annotations: ToolAnnotations,
    operation: Operation,
    *,
    lasting: bool = False,
    ui: Mapping[str, Any] | None = None,
) -> Callable[[Leaf], Leaf]:
    """Publish the function, whose docstring is the description that models read, to those who may do the operation."""
    return _carded(ToolCard(title, annotations, operation, lasting, ui))


def resource(
    uri: str, title: str, mime_type: str = "application/json", follows: Followed | None = None, **completes: Complete
) -> Callable[[Leaf], Leaf]:
    """Publish the function as a resource, or a resource template where the URI has variables, completed by the
    functions given for them.
    """
    return _carded(ResourceCard(uri, title, mime_type, follows, completes))


def app_page(uri: str, title: str, **ui: Any) -> Callable[[Leaf], Leaf]:
    """Publish the function as a page, which clients with MCP Apps show; `ui` says how."""
    return _carded(ResourceCard(uri, title, APP_MIME_TYPE, None, {}, ui))


def prompt(title: str, *tools: str, **completes: Complete) -> Callable[[Leaf], Leaf]:
    """Publish the function, which is given no desk, as a prompt to those who have the tools that it speaks of; its
    arguments are completed by the functions given for them.
    """
    return _carded(PromptCard(title, tools, completes))


def _carded(card: ToolCard | ResourceCard | PromptCard) -> Callable[[Leaf], Leaf]:
    def mark(leaf: Leaf) -> Leaf:
        leaf.card = card  # type: ignore[attr-defined]  # functions take attributes; typing has no word for it
        return leaf

    return mark


class Desk:
    """The product behind the door. It is opened after the door already answers; a call that comes earlier waits.

    Args:
        local: who asks without a token is the local user; else nobody comes in without one.
    """

    def __init__(self, *, local: bool = True) -> None:
        self._local = local
        self.app: App | None = None
        self.problem: VelError | None = None
        self.rest: ASGIApp | None = None  # for calls from within: made by the first one
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
            Unauthenticated: that is not known. ConfigurationError, Unavailable: as `product`.
        """
        app = await self.product()
        caller = self.caller()
        return app, app.local_principal if caller is None else caller.principal

    async def product(self) -> "App":
        """The product, once it is open.

        Raises:
            ConfigurationError: it could not be opened; says why.
            Unavailable: it could not be opened yet; says why.
        """
        # Set once and never cleared: after a first failure the newest problem is told at once.
        await self._settled.wait()
        if self.app is None:
            assert self.problem is not None
            raise self.problem.with_traceback(None)  # else every call would leave its frames in it
        return self.app

    def lets(self, operation: Operation) -> bool:
        """Whether the role of who is asking has the operation."""
        caller = self.caller()
        return caller is None or may(caller.principal.role, operation)

    def caller(self) -> "Caller | None":
        """Who is asking by a token; None for the local user.

        Raises:
            Unauthenticated: that is not known.
        """
        caller: Caller | None = getattr(auth_context_var.get(), "caller", None)
        if caller is None and not self._local:
            raise Unauthenticated("It is not known who is asking; there is no token; sign in.")
        return caller


def can_ask(ctx: Context[Any, Any]) -> bool:
    """Whether the client asks its user in forms; in the older protocol that was all that elicitation meant."""
    return asks_in_forms(ctx.client_capabilities)


def asks_in_forms(capabilities: ClientCapabilities | None) -> bool:
    # MCP 2025-11-25, client/elicitation: an empty capability means forms alone.
    asks = capabilities.elicitation if capabilities else None
    return asks is not None and (asks.form is not None or asks.url is None)

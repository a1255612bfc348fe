"""The requests that this process has answered, counted by route, and those of MCP by method and tool.

Nothing that a stranger writes becomes a label: what is not known counts as `other`, a path without a route as `none`.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types import CallToolResult
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.bearings import take_up
from vel_tutor_mcp.services.histograms import Histogram

FOUND = "vel_tutor.route"
_VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHODS = frozenset(
    {
        "completion/complete", "initialize", "logging/setLevel", "ping", "prompts/get", "prompts/list",
        "resources/list", "resources/read", "resources/subscribe", "resources/templates/list", "resources/unsubscribe",
        "server/discover", "subscriptions/listen", "tasks/cancel", "tasks/get", "tasks/update", "tools/call",
        "tools/list",
    }
)  # fmt: skip
LEFT = 499  # by nginx's custom: the client left before there was an answer


@dataclass(slots=True)
class Traffic:
    """Requests by (verb, route, status) and MCP's by (method, tool, outcome); how long they took; how many are open."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    seconds: defaultdict[tuple[str, str], Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    open: int = 0
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    call_seconds: defaultdict[tuple[str, str], Histogram] = field(default_factory=lambda: defaultdict(Histogram))


class Counted:
    """Around everything: counts each request, whoever answers it, and gives it an id for the log."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A list, for scopes are copied on their way in: what `Routed` puts into it is seen here.
        began, status, found = time.monotonic(), LEFT, ["none"]

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        # Never given back: uvicorn has a task of its own for each request.
        take_up(request=uuid4().hex)
        self._traffic.open += 1
        try:
            await self._app({**scope, FOUND: found}, receive, noting)
        finally:
            self._traffic.open -= 1
            verb = verb_of(scope)
            self._traffic.requests[verb, found[0], status] += 1
            self._traffic.seconds[verb, found[0]].add(time.monotonic() - began)


class Routed:
    """Next to the router: tells `Counted` which route was taken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if FOUND in scope:
                scope[FOUND][0] = route_of(scope)


def verb_of(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _VERBS else "other"


def route_of(scope: Scope) -> str:
    """The template of the route that the router chose; `none` where it found none."""
    if "route" in scope:
        return str(scope["route"].path)
    if "endpoint" not in scope:
        return "none"
    # Without the route there is only the path, with what a stranger has put into it.
    if scope.get("path_params"):
        return "other"
    return str(scope.get("root_path") or scope["path"])  # a mount, or a route that has its path by the letter


class CountedCalls:
    """Around every request of MCP."""

    def __init__(self, traffic: Traffic, tools: Iterable[str]) -> None:
        self._traffic = traffic
        self._tools = frozenset(tools)

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:  # a notification, which nobody answers
            return await call_next(ctx)
        began, outcome = time.monotonic(), "error"
        try:
            result = await call_next(ctx)
            outcome = "refused" if is_refused(result) else "ok"
            return result
        finally:
            named = named_call(ctx, self._tools)
            self._traffic.calls[*named, outcome] += 1
            self._traffic.call_seconds[named].add(time.monotonic() - began)


def named_call(ctx: ServerRequestContext[Any, Any], tools: Collection[str]) -> tuple[str, str]:
    """The method, and which of these tools is called by it."""
    if ctx.method != "tools/call":
        return (ctx.method if ctx.method in _METHODS else "other"), ""
    tool = (ctx.params or {}).get("name")
    return ctx.method, tool if isinstance(tool, str) and tool in tools else "other"


def is_refused(result: HandlerResult) -> bool:
    """Whether a tool answered with an error."""
    return result.is_error if isinstance(result, CallToolResult) else bool((result or {}).get("isError"))  # type: ignore[union-attr]

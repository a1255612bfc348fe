"""The spans of requests: those of HTTP, and those of MCP over each transport.

A trace that a request names is gone on with only where the caller is who started this process: over stdio, and with
`--no-auth`. Over the network it is linked to: no stranger puts spans into a trace of ours, or decides what is kept.
"""

from collections.abc import Collection, Iterable
from typing import Any

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.doors.metrics.traffic import FOUND, is_refused, named_call, verb_of
from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.tracing.spans import Attributes, Origin

_FIRST_FAULT = 500


class Traced:
    """Around each request over HTTP, but those for the paths that machines ask for again and again."""

    def __init__(self, app: ASGIApp, untold: Collection[str], *, trusted: bool) -> None:
        self._app = app
        self._untold = untold
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not spans.on() or scope["type"] != "http" or scope["path"] in self._untold:
            await self._app(scope, receive, send)
            return
        verb, status = verb_of(scope), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        origin = _origin(Headers(scope=scope).get("traceparent"), trusted=self._trusted)
        begun: Attributes = {"http.request.method": verb, "url.scheme": scope["scheme"]}
        with spans.span(verb, "server", begun, origin=origin) as span:
            try:
                await self._app(scope, receive, noting)
            finally:
                route = scope[FOUND][0]
                if route not in {"none", "other"}:
                    span.rename(f"{verb} {route}")
                    span.tell({"http.route": route})
                span.tell({"http.response.status_code": status or None})
            if status >= _FIRST_FAULT:
                span.fail(str(status))


class TracedCalls:
    """Around each request of MCP; `transport` is how OpenTelemetry names what carries it."""

    def __init__(self, tools: Iterable[str], transport: str, *, trusted: bool) -> None:
        self._tools = frozenset(tools)
        self._transport = transport
        self._trusted = trusted

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if not spans.on() or ctx.request_id is None:
            return await call_next(ctx)
        method, tool = named_call(ctx, self._tools)
        begun: Attributes = {
            "mcp.method.name": method,
            "mcp.protocol.version": ctx.protocol_version,
            "network.transport": self._transport,
            "gen_ai.operation.name": "execute_tool" if tool else None,
            "gen_ai.tool.name": tool or None,
        }
        origin = _origin((ctx.meta or {}).get("traceparent"), trusted=self._trusted)
        with spans.span(f"{method} {tool}".rstrip(), "server", begun, origin=origin) as span:
            try:
                result = await call_next(ctx)
            except MCPError as problem:
                span.tell({"rpc.response.status_code": str(problem.error.code)})
                raise
            if is_refused(result):
                span.fail("tool_error")
            return result


def _origin(traceparent: object, *, trusted: bool) -> Origin | None:
    return Origin(traceparent, trusted) if isinstance(traceparent, str) else None

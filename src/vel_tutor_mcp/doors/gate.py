"""The gate before everything that is served over HTTP: who may come in, and how all are shown out at the end."""

import asyncio
from contextlib import suppress

from anyio import BrokenResourceError, ClosedResourceError
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What is raised in the middle of a request whose client, or whose stream of an SSE pair, has gone: no fault of ours.
GONE = (ClientDisconnect, BrokenResourceError, ClosedResourceError)

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_DISCONNECT: Message = {"type": "http.disconnect"}
_STOPPING = "The server is being stopped; nothing new is begun; try again when it is back."


class Gate:
    """Lets in requests for this host that no foreign web page has sent, until it is shut.

    Args:
        host: what the server is bound to, with brackets where it is an IPv6 address.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        names = sorted({*_LOOPBACK, host})
        self._app = app
        self._shut = False
        self._over = asyncio.Event()
        self._inside: set[asyncio.Task[None]] = set()
        # Any port: the name is what a page that was rebound to this machine cannot have, and tunnels change the port.
        self._security = TransportSecurityMiddleware(
            TransportSecuritySettings(
                allowed_hosts=[*names, *(f"{name}:*" for name in names)],
                allowed_origins=[f"http://{name}{port}" for name in names for port in ("", ":*")],
            )
        )

    def shut(self) -> None:
        """Let nobody in any more; who is inside may finish."""
        self._shut = True

    async def empty(self, seconds: float) -> None:
        """End what is still open, such as streams that have no end of their own; wait for those who read slowly."""
        self._over.set()
        if self._inside:
            await asyncio.wait(self._inside, timeout=seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._security.validate_request(Request(scope))
        if refusal is not None:
            await refusal(scope, receive, send)
        elif self._shut:
            await _stopping(scope, receive, send)
        else:
            await self._visited(_Visit(self._over, receive, send), scope)

    async def _visited(self, visit: "_Visit", scope: Scope) -> None:
        this = asyncio.current_task()
        assert this is not None
        self._inside.add(this)
        try:
            await visit.run(self._app, scope)
        finally:
            self._inside.discard(this)


_stopping = PlainTextResponse(_STOPPING, status_code=503, headers={"connection": "close"})


class _Visit:
    """One request. When all are shown out, the app sees its client go, and the client a proper end of the answer."""

    def __init__(self, over: asyncio.Event, receive: Receive, send: Send) -> None:
        self._over = over
        self._receive = receive
        self._send = send
        self._dismissed = False
        self._begun = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        with suppress(*GONE):
            await app(scope, self.receive, self.send)
        if self._dismissed and self._begun:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        elif self._dismissed:
            await _stopping(scope, self._receive, self._send)

    async def receive(self) -> Message:
        coming = asyncio.ensure_future(self._receive())
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            coming.cancel()
            over.cancel()
        self._dismissed = True
        return _DISCONNECT

    async def send(self, message: Message) -> None:
        if self._dismissed:  # `run` says what is left to be said
            return
        self._begun = True
        await self._send(message)

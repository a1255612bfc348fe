"""The gate before everything that is served over HTTP: who may come in, and how all are shown out at the end."""

import asyncio
import re
from collections.abc import Collection
from contextlib import suppress

from anyio import BrokenResourceError, ClosedResourceError
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.doors.bearer import address_of
from vel_tutor_mcp.doors.bounds import CLOSE, Refusal, beyond
from vel_tutor_mcp.doors.notes import Note
from vel_tutor_mcp.doors.refusals import refusal
from vel_tutor_mcp.doors.watch import SHOW_OUT

# What is raised in the middle of a request whose client, or whose stream of an SSE pair, has gone: no fault of ours.
GONE = (ClientDisconnect, BrokenResourceError, ClosedResourceError)

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_PAGES = ("http", "https")
_PORT = re.compile(r":\d{1,5}\Z")
_STOPPING: Refusal = (
    503,
    "UNAVAILABLE",
    "The server is being stopped; nothing new is begun; try again when it is back.",
)
_HOST: Refusal = (
    421, "MISDIRECTED_REQUEST", "This server has no such name; it would go into VEL_TUTOR_ALLOWED_HOSTS; use its own."
)  # fmt: skip
_ORIGIN: Refusal = (
    403, "UNAUTHORIZED", "Pages of this origin may not ask; only its own are heard; use a client that is no page."
)  # fmt: skip


class Gate:
    """Lets in requests for this host that no foreign web page has sent, until it is shut.

    Args:
        hosts: its names beside this machine's own, with brackets where one is an IPv6 address.
        note: is told what is refused; None: nobody is.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], note: Note | None = None) -> None:
        self._names = frozenset({*_LOOPBACK, *hosts})
        self._app = app
        self._note = note
        self._shut = False
        self._inside: set[_Visit] = set()

    def shut(self) -> None:
        """Let nobody in any more; who is inside may finish."""
        self._shut = True

    async def empty(self, seconds: float) -> None:
        """End what is still open, such as streams that have no end of their own; wait so long for slow readers."""
        for visit in self._inside:
            visit.show_out(_STOPPING)
        if self._inside:
            await asyncio.wait({visit.over for visit in self._inside}, timeout=seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        barred = beyond(headers) or self._foreign(headers)
        # Who comes while the server stops has done nothing that belongs on record.
        if barred and self._note:
            self._note(barred[2], address_of(scope))
        refused = barred or (_STOPPING if self._shut else None)
        if refused is not None:
            await refusal(scope["path"], *refused, CLOSE if self._shut else None)(scope, receive, send)
            return
        visit = _Visit(scope, receive, send)
        self._inside.add(visit)
        try:
            await visit.run(self._app)
        finally:
            self._inside.discard(visit)

    def _foreign(self, headers: Headers) -> Refusal | None:
        # Any port: the name is what a page that was rebound to this machine cannot have, and tunnels change the port.
        if _PORT.sub("", headers.get("host", "").lower()) not in self._names:
            return _HOST
        origin = headers.get("origin", "").lower()
        # Programs send none; browsers send one with whatever a page asks of another origin, or changes.
        if not origin:
            return None
        scheme, _, host = origin.partition("://")
        # With its own TLS or a proxy's, its own pages are of https.
        return None if scheme in _PAGES and _PORT.sub("", host) in self._names else _ORIGIN


class _Visit:
    """One request. Where it is shown out, the client gets a proper end of its answer, and the app sees it go.

    `over` is done once the client has its answer, or is gone: the app may still be busy after that.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._out: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
        self._scope = {**scope, SHOW_OUT: self.show_out}
        self._receive = receive
        self._send = send
        self._begun = False
        self._dismissed = False

    def show_out(self, why: Refusal) -> None:
        """End it where it waits for its client; `why` is told where nothing was answered yet."""
        if not self._out.done():
            self._out.set_result(why)

    async def run(self, app: ASGIApp) -> None:
        try:
            with suppress(*GONE):
                await app(self._scope, self.receive, self.send)
        finally:
            self._is_over()

    async def receive(self) -> Message:
        coming = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait((coming, self._out), return_when=asyncio.FIRST_COMPLETED)
            message = coming.result() if coming.done() else await self._dismiss(self._out.result())
        finally:
            # Nothing is lost by it: uvicorn takes out of its buffer only what it returns at once.
            coming.cancel()
        if message["type"] == "http.disconnect":
            self._is_over()
        return message

    async def send(self, message: Message) -> None:
        # An app that has not noticed yet may go on sending; the answer has its end already.
        if not self._dismissed:
            self._begun = True
            await self._send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._is_over()

    async def _dismiss(self, why: Refusal) -> Message:
        if not self._dismissed and not self.over.done():
            self._dismissed = True
            # A stream gets its last piece, so that its client sees an end and no broken connection.
            if self._begun:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await refusal(self._scope["path"], *why, CLOSE)(self._scope, self._receive, self._send)
        return {"type": "http.disconnect"}

    def _is_over(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

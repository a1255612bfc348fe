"""What a request may be like, whatever it asks for: how large its head and its body are, how deep the body nests, and
how long it may take to come. What is beyond is refused before anybody reads or validates it.
"""

import asyncio
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.doors.bearer import address_of
from vel_tutor_mcp.doors.notes import Note
from vel_tutor_mcp.doors.refusals import refusal

MOST_HEADERS, MOST_HEADER_BYTES = 100, 16_384
# Room for the longest prompt, each of whose characters may take 12 bytes in JSON.
MOST_BODY_BYTES = 2_000_000
MOST_LEVELS, MOST_VALUES = 64, 100_000
BODY_SECONDS = 30.0

Refusal = tuple[int, str, str]

TOO_LARGE: Refusal = (413, "PAYLOAD_TOO_LARGE", "The body is too large; at most 2 MB are taken; send less.")
LARGE_HEAD: Refusal = (
    431,
    "HEADERS_TOO_LARGE",
    "The headers are too large; at most 100 and 16 kB are taken; send fewer.",
)
_SLOW: Refusal = (408, "REQUEST_TIMEOUT", "The body came too slowly; all of it must be here in 30 s; send it again.")
_DEEP: Refusal = (
    400, "VALIDATION_ERROR", f"The body nests too deep; at most {MOST_LEVELS} levels are taken; send a simpler one."
)  # fmt: skip
_MANY: Refusal = (
    400, "VALIDATION_ERROR", f"The body has too many values; at most {MOST_VALUES:,} are taken; send fewer."
)  # fmt: skip
_NUL: Refusal = (400, "VALIDATION_ERROR", "The body is no UTF-8 text; it holds a NUL; send JSON in UTF-8.")

# Possessive throughout, so that it never goes back: its time grows with the length alone.
# To the end of the body where a string has none: else each quotation mark in it would be tried as a beginning.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b"[]{},:"))
# What is sent beyond a bound is read for a little, for a client that reads nothing before it has sent everything.
_LINGER_SECONDS, _LINGER_BYTES = 1.0, 4 * MOST_BODY_BYTES
CLOSE = {"connection": "close"}


class Bounds:
    """Reads the body for the app behind it, which gets it whole; `note` is told what is refused, None: nobody is."""

    def __init__(self, app: ASGIApp, body_seconds: float = BODY_SECONDS, note: Note | None = None) -> None:
        self._app = app
        self._note = note
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if not _has_body(headers):
            await self._app(scope, receive, send)
            return
        body = await self._read(headers, receive)
        if isinstance(body, tuple):
            if self._note:
                self._note(body[2], address_of(scope))
            await refusal(scope["path"], *body, CLOSE)(scope, receive, send)
            return
        first = {"type": "http.request", "body": body} if isinstance(body, bytes) else body
        await self._app(scope, _replayed(first, receive), send)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | Message | Refusal:
        told = headers.get("content-length", "0")
        if int(told) > MOST_BODY_BYTES:  # h11 lets no other than digits in
            # Who asks first (RFC 9110, section 10.1.1) has sent nothing yet, and reading would tell them to go on.
            if "expect" not in headers:
                await _linger(receive)
            return TOO_LARGE
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _whole(receive)
        except TimeoutError:
            return _SLOW
        # The client has gone: the app behind hears that in place of a body.
        if not isinstance(body, bytearray):
            return body
        if len(body) > MOST_BODY_BYTES:
            await _linger(receive)
            return TOO_LARGE
        return tangle(body) or bytes(body)


def beyond(headers: Headers) -> Refusal | None:
    """Why the head is not taken; None where it is. (Pure.)"""
    size = sum(len(name) + len(value) for name, value in headers.raw)
    return LARGE_HEAD if len(headers.raw) > MOST_HEADERS or size > MOST_HEADER_BYTES else None


def tangle(body: bytes | bytearray) -> Refusal | None:
    """Why JSON is not taken, by its form alone; None where it is, whether it is JSON or not. (Pure.)"""
    if b"\0" in body:  # UTF-16 and 32, which parsers would read and we should not see through
        return _NUL
    if body.count(b'"') - body.count(b'\\"') > 2 * MOST_VALUES:  # to spare the time for what is too much anyway
        return _MANY
    marks = _STRINGS.sub(b"", body).translate(None, _ALL_BUT_MARKS)
    if len(marks) > MOST_VALUES:
        return _MANY
    level = 0
    for mark in marks:
        if mark in b"[{":
            level += 1
            if level > MOST_LEVELS:
                return _DEEP
        elif mark in b"]}":
            level -= 1
    return None


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _whole(receive: Receive) -> bytearray | Message:
    """The body, or as much of it as shows that it is too large; what is heard instead where the client is gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message
        body += message.get("body", b"")
        if not message.get("more_body", False) or len(body) > MOST_BODY_BYTES:
            return body


async def _linger(receive: Receive) -> None:
    read = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while read < _LINGER_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _replayed(first: Message, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return first

    return replayed

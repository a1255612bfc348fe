"""What is around every route of REST and the gateway: a bound for bodies, and headers that tell of limits."""

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.doors.bearer import answer
from vel_tutor_mcp.services.rates import Allowance

TOO_LARGE = ("PAYLOAD_TOO_LARGE", "The body is too large; at most 2 MB are taken; send less.")
_LARGEST_BYTES = 2_000_000
_OURS = ("/api/", "/v1/")


class Wrapping:
    """Refuses larger bodies, also where nobody says beforehand how long they are, and tells what is left of a limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_OURS):
            await self._app(scope, receive, send)
        elif _told_length(scope) > _LARGEST_BYTES:
            await answer(413, *TOO_LARGE)(scope, receive, send)
        else:
            state = scope.setdefault("state", {})
            await self._app(scope, _bounded(receive), _telling(state, send))


def limit_headers(allowance: Allowance) -> dict[str, str]:
    """`Reset` is when the limit begins anew, in seconds since 1970."""
    return {
        "x-ratelimit-limit": str(allowance.limit),
        "x-ratelimit-remaining": str(allowance.remaining),
        "x-ratelimit-reset": str(int(allowance.resets_at.timestamp())),
    }


def _telling(state: MutableMapping[str, Any], send: Send) -> Send:
    async def telling(message: Message) -> None:
        allowance = state.get("allowance")
        if message["type"] == "http.response.start" and allowance is not None:
            MutableHeaders(scope=message).update(limit_headers(allowance))
        await send(message)

    return telling


def _told_length(scope: Scope) -> int:
    try:
        return int(Headers(scope=scope).get("content-length", "0"))
    except ValueError:  # h11 lets no such request in
        return 0


def _bounded(receive: Receive) -> Receive:
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > _LARGEST_BYTES:
            raise HTTPException(413)
        return message

    return bounded

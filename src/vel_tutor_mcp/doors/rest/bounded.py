"""Bodies are read up to a bound, also where nobody says beforehand how long they are."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.doors.bearer import answer

TOO_LARGE = ("PAYLOAD_TOO_LARGE", "The body is too large; at most 2 MB are taken; send less.")
_LARGEST_BYTES = 2_000_000
_OURS = ("/api/", "/v1/")


class Bounded:
    """Refuses larger bodies to the routes of REST and the gateway."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_OURS):
            await self._app(scope, receive, send)
        elif _told_length(scope) > _LARGEST_BYTES:
            await answer(413, *TOO_LARGE)(scope, receive, send)
        else:
            await self._app(scope, _bounded(receive), send)


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

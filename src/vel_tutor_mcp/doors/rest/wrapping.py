"""What is around every route of REST and the gateway: headers that tell of limits."""

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vel_tutor_mcp.services.rates import Allowance

_OURS = ("/api/", "/v1/")


class Wrapping:
    """Tells what is left of a limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_OURS):
            await self._app(scope, receive, send)
        else:
            # The mapping behind `request.state`, into which the route puts its allowance later.
            await self._app(scope, receive, _telling(scope.setdefault("state", {}), send))


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

"""What every answer tells browsers: that it is data and no page, and nobody else's to keep or to show."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# A year.
_HTTPS_ONLY = {"strict-transport-security": "max-age=31536000"}


class Headers:
    """Adds them where the answer has none of its own; by `https`, that there is nothing without it."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._told = {**ALWAYS, **(_HTTPS_ONLY if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._told.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, telling)

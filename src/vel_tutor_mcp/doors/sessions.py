"""Sessions of handshake clients over Streamable HTTP: how many are kept for those who ask nothing at the moment.

The SDK keeps 10,000 of them for half an hour each, and refuses whoever comes then; each takes 35 kB.
"""

import math

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

MOST_SESSIONS = 1000


class Sessions:
    """Ends the session that has been idle for the longest time where `most` are open and one more may begin.

    Its client is answered 404 then, and greets anew, as the protocol says. Who has a request under way, or listens,
    stays: those have a connection each, which are bounded (`doors.room`).
    """

    def __init__(self, app: ASGIApp, manager: StreamableHTTPSessionManager, most: int = MOST_SESSIONS) -> None:
        self._app = app
        self._manager = manager
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/mcp" and "mcp-session-id" not in Headers(scope=scope):
            self._make_room()
        await self._app(scope, receive, send)

    def _make_room(self) -> None:
        kept = self._manager._server_instances  # noqa: SLF001 - 2.3 tells nobody which sessions there are
        if len(kept) < self._most:
            return
        scopes = [session.idle_scope for session in kept.values() if session.idle_scope is not None]
        # The SDK puts the deadline off for ever while a request or a stream of the session is open.
        idle = [scope for scope in scopes if scope.deadline < math.inf and not scope.cancel_called]
        if idle:
            min(idle, key=lambda scope: scope.deadline).cancel()

"""The routes of OAuth, all of which are open: who comes to them has no token yet."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.oauth.authorize import Authorize
from vel_tutor_mcp.doors.oauth.endpoints import endpoint, metadata, register, revoke, token

METADATA = "/.well-known/oauth-authorization-server"
_AUTHORIZE, _TOKEN, _REGISTER, _REVOKE = (f"/oauth/{name}" for name in ("authorize", "token", "register", "revoke"))
OPEN_TO_ALL = frozenset({METADATA, _AUTHORIZE, _TOKEN, _REGISTER, _REVOKE})


def oauth_routes(desk: Desk, url: str, *, documents: bool) -> list[BaseRoute]:
    """The routes of the authorization server at `url`, which reads `documents` of clients, or does not."""
    page = Authorize(desk, url)

    async def told(_: Request) -> JSONResponse:
        return JSONResponse(metadata(url, documents=documents))

    return [
        Route(METADATA, told, methods=["GET"]),
        Route(_AUTHORIZE, page.answer, methods=["GET", "POST"]),
        Route(_TOKEN, endpoint(desk, token), methods=["POST"]),
        Route(_REGISTER, endpoint(desk, register), methods=["POST"]),
        Route(_REVOKE, endpoint(desk, revoke), methods=["POST"]),
    ]

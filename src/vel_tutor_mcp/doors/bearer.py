"""Who is asking over HTTP: every request brings a bearer token, but those for what is open to all."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vel_tutor_mcp.auth.accounts import Caller
from vel_tutor_mcp.auth.oauth import SCOPE, WAYS_IN
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.reply import sentence
from vel_tutor_mcp.doors.watch import LOOK_SECONDS, Watch
from vel_tutor_mcp.errors import IssuerAway, Unauthenticated, VelError
from vel_tutor_mcp.services.reports import moment

METADATA = "/.well-known/oauth-protected-resource"
# Of which way in a path is part: clients want its metadata to name the URL that they were given (RFC 9728, 3.3).
_WAY_OF = {**{way: way for way in WAYS_IN}, "/messages/": "/sse"}
_SCHEME = "bearer "


class SignedIn(AuthenticatedUser):
    """Who is asking, as the SDK knows them: it lets nobody else into the sessions that they open."""

    def __init__(self, caller: Caller, issuer: str) -> None:
        principal = caller.principal
        known = AccessToken(  # the token itself stays out: what is not there is in no log
            token="", client_id=principal.user_id, scopes=[], subject=principal.user_id, claims={"iss": issuer}
        )
        super().__init__(known)
        self.caller = caller


class Bearer:
    """Lets in requests with a good token, as who it is of: `scope["user"]` is `SignedIn` then, and the desk knows them.

    Args:
        url: the server's own, for which tokens are good.
        open_to_all: paths that need none.
        look_seconds: how often it is looked whether the tokens of open requests are still good.
    """

    def __init__(
        self, app: ASGIApp, desk: Desk, url: str, open_to_all: Collection[str], look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._open = app
        self._known = AuthContextMiddleware(app)
        self._desk = desk
        self._url = url
        self._watch = Watch(desk, look_seconds)
        self._open_to_all = frozenset(open_to_all) | {METADATA, *(f"{METADATA}{way}" for way in WAYS_IN)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._open_to_all:
            await self._open(scope, receive, send)
            return
        try:
            caller = await self._caller(scope)
        except Unauthenticated as problem:
            await self._unknown(scope, sentence(problem))(scope, receive, send)
        except VelError as problem:
            # Not 401, by which clients begin to sign in anew: the token may well be good.
            await answer(503, "UNAVAILABLE", sentence(problem), {"retry-after": "5"})(scope, receive, send)
        else:
            # For as long as the request is open: a token can be revoked in the middle of a stream.
            with self._watch.over(caller, scope):
                await self._known({**scope, "user": SignedIn(caller, self._url)}, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        token = token_of(scope)
        if not token:
            raise Unauthenticated("There is no token; every request needs one; send Authorization: Bearer ...")
        access = (await self._desk.product()).access
        try:
            return await access.verify(token)
        except (Unauthenticated, IssuerAway) as problem:
            subject = problem.subject if isinstance(problem, Unauthenticated) else None
            await access.note_refusal(sentence(problem), address_of(scope), subject)
            raise

    def _unknown(self, scope: Scope, why: str) -> Response:
        """401, and where it says who gives tokens; the kind of error only where there was a token at all (RFC 6750)."""
        error = f'error="invalid_token", error_description="{why}", ' if token_of(scope) else ""
        way = _WAY_OF.get(scope["path"], "")
        challenge = f'Bearer {error}resource_metadata="{self._url}{METADATA}{way}"'
        return answer(401, "AUTHENTICATION_REQUIRED", why, {"www-authenticate": challenge})


def metadata(url: str, way: str, issuer: str | None) -> dict[str, Any]:
    """What RFC 9728 has a server say of itself to clients that have no token yet; `issuer` is an outside one.

    `way` is the path that it is told of, empty for the server as a whole.
    Providers of OpenID Connect give nothing to clients that ask for no scope, and know none of ours.
    """
    return {
        "resource": f"{url}{way}",
        "authorization_servers": [issuer or url],
        "scopes_supported": ["openid" if issuer else SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": "Vel Tutor",
    }


def address_of(scope: Scope) -> str:
    """From where the request comes."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def answer(
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    details: Sequence[Mapping[str, str]] = (),
) -> Response:
    """An error as all routes tell it; `details` say of fields what is wrong with them."""
    body = json.dumps(error_of(code, message, details))
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def error_of(code: str, message: str, details: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """What such an answer says."""
    return {
        "error": {"code": code, "message": message, "details": list(details)},
        "timestamp": moment(datetime.now(UTC)),
    }


def token_of(scope: Scope) -> str:
    """The token that the request brings; empty where it brings none."""
    given = Headers(scope=scope).get("authorization", "")
    # In upper or lower case: RFC 9110, section 11.1.
    return given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""

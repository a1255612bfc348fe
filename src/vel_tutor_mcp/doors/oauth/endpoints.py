"""What clients ask without a browser: to be registered, for tokens, and to end them. All of it is JSON, and public."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vel_tutor_mcp.auth.oauth import SCOPE
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.oauth.answering import Answering, answered
from vel_tutor_mcp.doors.oauth.forms import body_of, form_of
from vel_tutor_mcp.doors.reply import answer_to, sentence
from vel_tutor_mcp.errors import OAuthRefused, TooManyTries, VelError
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.pairs import SignedIn

if TYPE_CHECKING:
    from vel_tutor_mcp.services.oauth import OAuth

Endpoint = Callable[[Request], Awaitable[Response]]

# RFC 6749, section 5.1, asks for it wherever a token is told.
_NEVER_KEPT = {"cache-control": "no-store"}


def metadata(url: str, *, documents: bool) -> dict[str, Any]:
    """What RFC 8414 has an authorization server say of itself; `documents` of clients are read, or not."""
    # Clients that have a document register no more where they see this, and could not sign in if nobody read it.
    known_by = {"client_id_metadata_document_supported": True} if documents else {}
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/oauth/authorize",
        "token_endpoint": f"{url}/oauth/token",
        "registration_endpoint": f"{url}/oauth/register",
        "revocation_endpoint": f"{url}/oauth/revoke",
        "scopes_supported": [SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        **known_by,
    }


def endpoint(desk: Desk, answering: Answering) -> Endpoint:
    """The route of what answers so; refusals are told in the words of RFC 6749."""

    async def answer(request: Request) -> Response:
        return await answered(desk, request, answering, _refused)

    return answer


async def register(oauth: "OAuth", request: Request, address: str) -> Response:
    try:
        described = json.loads(await body_of(request))
    except (ValueError, RecursionError):
        described = None  # refused like all else that describes nothing
    return JSONResponse(dict(await oauth.register(described, address)), 201, _NEVER_KEPT)


async def token(oauth: "OAuth", request: Request, address: str) -> Response:
    form = await form_of(request)
    match form.values.get("grant_type"):
        case "authorization_code":
            signed_in = await oauth.redeem(form.values, form.resources, address)
        case "refresh_token":
            signed_in = await oauth.refresh(form.values, form.resources, address)
        case _:
            raise OAuthRefused(
                "unsupported_grant_type",
                "No token is given; grant_type is authorization_code or refresh_token here; send one of these.",
            )
    return JSONResponse(_told(signed_in), 200, _NEVER_KEPT)


async def revoke(oauth: "OAuth", request: Request, _: str) -> Response:
    await oauth.revoke((await form_of(request)).values)
    # Also for a token that nobody knows: RFC 7009, section 2.2.
    return Response(status_code=200, headers=_NEVER_KEPT)


def _told(signed_in: SignedIn) -> dict[str, Any]:
    return {
        "access_token": signed_in.token,
        "token_type": "Bearer",
        "expires_in": int((signed_in.expires_at - record.now()).total_seconds()),
        "refresh_token": signed_in.refresh_token,
        "scope": SCOPE,
    }


def _refused(problem: VelError) -> Response:
    error = problem.error if isinstance(problem, OAuthRefused) else "temporarily_unavailable"
    waits = {"retry-after": str(problem.retry_after)} if isinstance(problem, TooManyTries) else {}
    told = {"error": error, "error_description": sentence(problem)}
    return JSONResponse(told, answer_to(problem).status, _NEVER_KEPT | waits)

"""Tokens for clients: issued, listed and revoked, for oneself or by administrators for others."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.bearer import answer
from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, Key, Part, Visit, listed, once
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.access import shown

router = APIRouter(prefix="/api/tokens", tags=["tokens"], responses=documented(400, 401, 403, 404, 429, 503))
_TOLD = (
    "The token was issued for the first request with this key; it was told then, and is kept nowhere; use that one, or "
    "revoke it and issue another."
)


@router.post(
    "",
    status_code=201,
    response_model=answers.IssuedToken,
    responses=documented(409, 413, 415),
    dependencies=TAKES_JSON,
)
async def issue_token(visit: Visit, body: bodies.NewToken, key: Key = None) -> Response:
    """A token for a client. It is told this once: with the same key the answer is 409 from then on."""

    async def issue() -> JSONResponse:
        issued = await visit.app.access.issue(visit.me, body.name, body.days, body.user)
        told = shown(issued.grant) | {"token": issued.token}
        return JSONResponse(told, status_code=201, headers={"cache-control": "no-store"})

    return await once(visit, key, "tokens", body, issue, again=answer(409, "CONFLICT", _TOLD))


@router.get("", response_model=answers.Listed[answers.Token])
async def list_tokens(
    visit: Visit,
    part: Part,
    user: Annotated[str | None, Query(max_length=200, description="id, e-mail or name; oneself, if left out")] = None,
) -> JSONResponse:
    """What was issued to clients, without the tokens themselves."""
    page = await visit.app.access.issued(visit.me, user, limit=part.limit, cursor=part.offset)
    return listed(page, part, shown)


@router.delete("/{token}", response_model=answers.Token)
async def revoke_token(visit: Visit, token: Id) -> JSONResponse:
    """End what the token is good by; its next request is refused."""
    return JSONResponse(shown(await visit.app.access.revoke(visit.me, token)))

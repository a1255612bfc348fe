"""Signing in and out, one's own account, and the accounts that an administrator looks after."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.auth.roles import operations_of
from vel_tutor_mcp.doors.bearer import address_of
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, Key, Part, Visit, listed, once
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.accounts import role_named, shown
from vel_tutor_mcp.services.pairs import SignedIn
from vel_tutor_mcp.services.reports import moment

auth = APIRouter(prefix="/api/auth", tags=["auth"])
users = APIRouter(prefix="/api/users", tags=["users"], responses=documented(400, 401, 403, 429, 503))
_WITH_BODY = documented(413, 415)
_OF_STRANGERS = documented(400, 401, 413, 415, 429, 503)


@auth.post("/login", response_model=answers.SignedIn, responses=_OF_STRANGERS, dependencies=TAKES_JSON)
async def login(request: Request, body: bodies.Login) -> JSONResponse:
    """Sign in: a token for 24 hours, and one that brings the next pair, once. Five tries a minute are looked at."""
    desk: Desk = request.app.state.desk
    access = (await desk.product()).access
    return _signed_in(await access.sign_in(body.email, body.password.get_secret_value(), address_of(request.scope)))


@auth.post("/refresh", response_model=answers.SignedIn, responses=_OF_STRANGERS, dependencies=TAKES_JSON)
async def refresh(request: Request, body: bodies.Refresh) -> JSONResponse:
    """The next pair of tokens. A refresh token is good once: whoever brings it again ends the sign-in."""
    desk: Desk = request.app.state.desk
    access = (await desk.product()).access
    return _signed_in(await access.refresh(body.refresh_token.get_secret_value(), address_of(request.scope)))


@auth.post("/logout", status_code=204, response_class=Response, responses=documented(401, 429, 503))
async def logout(visit: Visit) -> Response:
    """End what the token is good by, with all tokens of that sign-in."""
    if visit.caller is not None:
        await visit.app.access.sign_out(visit.caller)
    return Response(status_code=204)


@users.get("/me", response_model=answers.Me)
async def me(visit: Visit) -> JSONResponse:
    """One's own account, and what one may do, with the token that one came with."""
    return JSONResponse(shown(await visit.app.accounts.me(visit.me)) | {"may": operations_of(visit.me)})


@users.put("/me", response_model=answers.User, responses=_WITH_BODY | documented(409), dependencies=TAKES_JSON)
async def change_me(visit: Visit, body: bodies.Me) -> JSONResponse:
    """Change one's e-mail or password, with the present password."""
    account = await visit.app.accounts.change(
        visit.me,
        body.current_password.get_secret_value(),
        email=body.email,
        password=body.password.get_secret_value() if body.password else None,
        address=visit.address,
    )
    return JSONResponse(shown(account))


@users.post(
    "", status_code=201, response_model=answers.User, responses=_WITH_BODY | documented(409), dependencies=TAKES_JSON
)
async def create_user(visit: Visit, body: bodies.NewUser, key: Key = None) -> Response:
    """A new account, with an agent `default` and the shipped templates."""

    async def create() -> JSONResponse:
        account = await visit.app.accounts.create(
            visit.me, body.email, body.password.get_secret_value(), role_named(body.role), body.organisation
        )
        return JSONResponse(shown(account), status_code=201)

    return await once(visit, key, "users", body, create)


@users.get("", response_model=answers.Listed[answers.User])
async def list_users(
    visit: Visit, part: Part, role: Annotated[str | None, Query(max_length=20)] = None
) -> JSONResponse:
    """The accounts that one looks after."""
    wanted = role_named(role) if role is not None else None
    page = await visit.app.accounts.list(visit.me, role=wanted, limit=part.limit, cursor=part.offset)
    return listed(page, part, shown)


@users.put(
    "/{user}/role", response_model=answers.User, responses=_WITH_BODY | documented(404, 409), dependencies=TAKES_JSON
)
async def set_role(visit: Visit, user: Id, body: bodies.Role) -> JSONResponse:
    """Give somebody else another role, from their next request on."""
    return JSONResponse(shown(await visit.app.accounts.set_role(visit.me, user, role_named(body.role))))


@users.delete("/{user}", response_model=answers.User, responses=documented(404, 409))
async def disable_user(visit: Visit, user: Id) -> JSONResponse:
    """Disable the account: it is kept, all that it is signed in by ends, and it is let in no more."""
    return JSONResponse(shown(await visit.app.accounts.disable(visit.me, user)))


@users.post("/{user}/enable", response_model=answers.User, responses=documented(404, 409))
async def enable_user(visit: Visit, user: Id) -> JSONResponse:
    """Let a disabled account in again, which signs in anew: what it was signed in by stays ended."""
    return JSONResponse(shown(await visit.app.accounts.enable(visit.me, user)))


def _signed_in(signed_in: SignedIn) -> JSONResponse:
    told = {
        "user": shown(signed_in.account),
        "token": signed_in.token,
        "expires_at": moment(signed_in.expires_at),
        "refresh_token": signed_in.refresh_token,
    }
    return JSONResponse(told, headers={"cache-control": "no-store"})

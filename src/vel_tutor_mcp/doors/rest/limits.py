"""How often people may ask: limits of users, and of each member of an organisation."""

from fastapi import APIRouter
from starlette.responses import JSONResponse

from vel_tutor_mcp.auth.accounts import RateLimits
from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, NameOrId, Visit
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.rates import LimitScope

router = APIRouter(prefix="/api", tags=["rate limits"], responses=documented(400, 401, 403, 404, 429, 503))
_OF_USER = "/users/{user}/rate-limits"
_OF_ORGANISATION = "/organisations/{organisation}/rate-limits"
_WITH_BODY = documented(413, 415)


@router.get(_OF_USER, response_model=answers.RateLimits)
async def get_limits_of_user(visit: Visit, user: Id) -> JSONResponse:
    """What is set for the user, what holds, and what they have used in this hour and minute."""
    return JSONResponse((await visit.app.rates.get(visit.me, "user", user)).shown())


@router.put(_OF_USER, response_model=answers.RateLimits, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def set_limits_of_user(visit: Visit, user: Id, body: bodies.RateLimits) -> JSONResponse:
    """Set both limits; null leaves one to the organisation, or to the settings."""
    return await _set(visit, "user", user, RateLimits(body.tasks_per_hour, body.requests_per_minute))


@router.delete(_OF_USER, response_model=answers.RateLimits)
async def remove_limits_of_user(visit: Visit, user: Id) -> JSONResponse:
    """Leave both limits to the organisation, or to the settings."""
    return await _set(visit, "user", user, RateLimits())


@router.get(_OF_ORGANISATION, response_model=answers.RateLimits)
async def get_limits_of_organisation(visit: Visit, organisation: NameOrId) -> JSONResponse:
    """What is set for each member of the organisation, and what holds."""
    return JSONResponse((await visit.app.rates.get(visit.me, "organisation", organisation)).shown())


@router.put(_OF_ORGANISATION, response_model=answers.RateLimits, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def set_limits_of_organisation(visit: Visit, organisation: NameOrId, body: bodies.RateLimits) -> JSONResponse:
    """Set both limits for each member who has none of their own; null leaves one to the settings."""
    limits = RateLimits(body.tasks_per_hour, body.requests_per_minute)
    return await _set(visit, "organisation", organisation, limits)


@router.delete(_OF_ORGANISATION, response_model=answers.RateLimits)
async def remove_limits_of_organisation(visit: Visit, organisation: NameOrId) -> JSONResponse:
    """Leave both limits of its members to the settings."""
    return await _set(visit, "organisation", organisation, RateLimits())


async def _set(visit: Visit, scope: LimitScope, subject: str, limits: RateLimits) -> JSONResponse:
    return JSONResponse((await visit.app.rates.set(visit.me, scope, subject, limits)).shown())

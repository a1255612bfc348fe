"""What a page that stays open asks: how the providers are doing, and what has changed since it last looked."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest import answers
from vel_tutor_mcp.doors.rest.asking import Visit
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.areas import MAX_WAIT_SECONDS

router = APIRouter(prefix="/api", tags=["overview"], responses=documented(400, 401, 403, 429, 503))
Since = Annotated[str, Query(max_length=1000, description="the stamp of the last answer")]
Wait = Annotated[int, Query(ge=0, le=MAX_WAIT_SECONDS, description="for a change")]


@router.get("/providers", response_model=answers.Providers)
async def list_providers(visit: Visit) -> JSONResponse:
    """Every provider, whether your tasks can be asked of it, and how its models are doing."""
    return JSONResponse({"data": await visit.app.routes.providers(visit.me)})


@router.get("/changes", response_model=answers.Changes)
async def await_changes(visit: Visit, since: Since = "", wait_seconds: Wait = 0) -> JSONResponse:
    """Which areas of what you may see have changed since `since`; without it, all. Answers as soon as one has."""
    found = await visit.app.changes.areas(visit.me, since, wait_seconds)
    return JSONResponse({"stamp": found.stamp, "changed": found.areas})

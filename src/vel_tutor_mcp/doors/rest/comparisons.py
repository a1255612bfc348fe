"""Comparisons of models on one prompt. Answers are rated as those of any task."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Id, Key, Part, Visit, listed
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
from vel_tutor_mcp.services.comparisons.told import full_comparison, short_comparison
from vel_tutor_mcp.services.rates import Quota

router = APIRouter(prefix="/api/comparisons", tags=["comparisons"], responses=documented(400, 401, 403, 429, 503))
_WITH_BODY = documented(404, 409, 413, 415)
_OF_ONE = documented(404)


@router.post("", status_code=201, response_model=answers.Comparison, responses=_WITH_BODY, dependencies=TAKES_JSON)
async def start_comparison(visit: Visit, body: bodies.NewComparison, key: Key = None) -> JSONResponse:
    """Ask several models the same, a task each: all of them, or none. The same key with the same request: the same
    comparison.
    """
    await visit.count(Quota.TASK, len(body.models))
    request = ComparisonRequest(
        prompt=body.prompt,
        models=tuple(body.models),
        agent=body.agent,
        task_type=body.task_type,
        max_cost_usd=body.max_cost_usd,
        idempotency_key=key,
    )
    comparison = await visit.app.comparisons.start(visit.me, request)
    told = await visit.app.comparisons.tell(visit.me, comparison.id)
    headers = {"location": f"/api/comparisons/{comparison.id}"}
    return JSONResponse(full_comparison(told), status_code=201, headers=headers)


@router.get("", response_model=answers.Listed[answers.ComparisonShort])
async def list_comparisons(visit: Visit, part: Part) -> JSONResponse:
    """The comparisons that one may see, newest first, without their answers."""
    page = await visit.app.comparisons.list(visit.me, limit=part.limit, cursor=part.offset)
    return listed(page, part, short_comparison)


@router.get("/standings", response_model=answers.Standings)
async def tell_standings(visit: Visit, task_type: TaskType | None = None) -> JSONResponse:
    """What the ratings come to: each model, and whether each pair's difference is more than chance."""
    return JSONResponse(await visit.app.comparisons.standings(visit.me, task_type))


@router.get("/{comparison}", response_model=answers.Comparison, responses=_OF_ONE)
async def get_comparison(
    visit: Visit,
    comparison: Id,
    blind: Annotated[bool, Query(description="hide which model wrote what until you have rated every answer")] = False,
) -> JSONResponse:
    """The answers side by side."""
    return JSONResponse(full_comparison(await visit.app.comparisons.tell(visit.me, comparison), blind=blind))

"""What was done and what it cost: the audit trail, usage, budgets."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Part, Visit, listed
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.reports import shown_entry
from vel_tutor_mcp.services.usage import Period as UsagePeriod
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.store.usage import Group

router = APIRouter(prefix="/api", tags=["records"], responses=documented(400, 401, 403, 429, 503))
Moment = Annotated[str | None, Query(max_length=40, description="ISO 8601")]
Subject = Annotated[str | None, Query(max_length=200, description="id or name; oneself, if left out")]


@router.get("/audit", response_model=answers.Listed[answers.Entry])
async def search_audit(
    visit: Visit,
    part: Part,
    action: Annotated[str | None, Query(max_length=50, description="such as task_submitted")] = None,
    principal: Annotated[str | None, Query(max_length=200)] = None,
    subject: Annotated[str | None, Query(max_length=200, description="such as task:<id>")] = None,
    since: Moment = None,
    until: Moment = None,
) -> JSONResponse:
    """Who did what to what, and when, newest first."""
    page = await visit.app.audit.search(
        visit.me,
        action=action,
        principal=principal,
        subject=subject,
        since=since,
        until=until,
        limit=part.limit,
        cursor=part.offset,
    )
    return listed(page, part, shown_entry)


@router.get("/usage", response_model=answers.Usage)
async def report_usage(visit: Visit, period: UsagePeriod = "day", group_by: Group = "provider") -> JSONResponse:
    """Tasks, tokens, cost, latency and success of the last day, week or month, and how one's budgets stand."""
    return JSONResponse((await visit.app.usage.report(visit.me, period, group_by)).shown())


@router.get("/budgets", response_model=answers.Budgets)
async def list_budgets(visit: Visit) -> JSONResponse:
    return JSONResponse({"data": [budget.shown() for budget in await visit.app.budgets.list(visit.me)]})


@router.put("/budgets", response_model=answers.Budget, responses=documented(404, 413, 415), dependencies=TAKES_JSON)
async def set_budget(visit: Visit, body: bodies.Budget) -> JSONResponse:
    """Set the budget of a subject for a period, in the place of an earlier one."""
    told = await visit.app.budgets.set(visit.me, body.scope, body.subject, body.period, body.limit_usd, hard=body.hard)
    return JSONResponse(told.shown())


@router.delete("/budgets", status_code=204, response_class=Response, responses=documented(404))
async def remove_budget(visit: Visit, scope: Scope, subject: Subject = None, period: Period | None = None) -> Response:
    await visit.app.budgets.remove(visit.me, scope, subject, period)
    return Response(status_code=204)

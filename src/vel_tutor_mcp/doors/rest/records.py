"""What was done and what it may cost: the audit trail, budgets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import JSONResponse, StreamingResponse

from vel_tutor_mcp.doors.rest import answers, bodies
from vel_tutor_mcp.doors.rest.asking import TAKES_JSON, Moment, Part, Visit, listed
from vel_tutor_mcp.doors.rest.piping import piped
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.audit.export import Format
from vel_tutor_mcp.services.reports import shown_entry
from vel_tutor_mcp.store.standing import Period, Scope

router = APIRouter(prefix="/api", tags=["records"], responses=documented(400, 401, 403, 429, 503))
_KINDS: Mapping[Format, str] = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
_EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for kind in _KINDS.values()}}}
Subject = Annotated[str | None, Query(max_length=200, description="id or name; oneself, if left out")]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted."""

    action: Annotated[str | None, Query(max_length=50, description="such as task_submitted")] = None
    principal: Annotated[str | None, Query(max_length=200)] = None
    subject: Annotated[str | None, Query(max_length=200, description="such as task:<id>")] = None
    since: Moment = None
    until: Moment = None


Wanted = Annotated[Filter, Depends()]


@router.get("/audit", response_model=answers.Listed[answers.Entry])
async def search_audit(visit: Visit, part: Part, wanted: Wanted) -> JSONResponse:
    """Who did what to what, and when, newest first."""
    page = await visit.app.audit.search(visit.me, **asdict(wanted), limit=part.limit, cursor=part.offset)
    return listed(page, part, shown_entry)


@router.get("/audit/verify", response_model=answers.Verdict)
async def verify_audit(visit: Visit) -> JSONResponse:
    """Prove that no entry in the database was changed, removed, swapped or added; else name the first that was."""
    return JSONResponse((await visit.app.audit.verify(visit.me)).shown())


@router.get("/audit/export", response_class=StreamingResponse, responses=_EXPORTED)
async def export_audit(
    visit: Visit,
    wanted: Wanted,
    form: Annotated[Format, Query(alias="format", description="jsonl can be proven; csv is for tables")] = "jsonl",
) -> StreamingResponse:
    """The entries that one may see, oldest first, as a file. An answer that was cut off is not whole."""
    text = await piped(lambda write: visit.app.audit.export(visit.me, form, write, **asdict(wanted)))
    headers = {"content-disposition": f'attachment; filename="audit.{form}"', "cache-control": "no-store"}
    return StreamingResponse(text, media_type=_KINDS[form], headers=headers)


@router.get("/budgets", response_model=answers.Budgets)
async def list_budgets(visit: Visit) -> JSONResponse:
    """The budgets that one may see, and how they stand."""
    return JSONResponse({"data": [budget.shown() for budget in await visit.app.budgets.list(visit.me)]})


@router.put("/budgets", response_model=answers.Budget, responses=documented(404, 413, 415), dependencies=TAKES_JSON)
async def set_budget(visit: Visit, body: bodies.Budget) -> JSONResponse:
    """Set the budget of a subject for a period, in the place of an earlier one."""
    told = await visit.app.budgets.set(visit.me, body.scope, body.subject, body.period, body.limit_usd, hard=body.hard)
    return JSONResponse(told.shown())


@router.delete("/budgets", status_code=204, response_class=Response, responses=documented(404))
async def remove_budget(visit: Visit, scope: Scope, subject: Subject = None, period: Period | None = None) -> Response:
    """Take the budget away."""
    await visit.app.budgets.remove(visit.me, scope, subject, period)
    return Response(status_code=204)

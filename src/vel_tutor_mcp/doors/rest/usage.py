"""What was used and what it cost: a report, the same step by step, and as a file."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest import answers
from vel_tutor_mcp.doors.rest.asking import Visit
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.sheets import sheet_line
from vel_tutor_mcp.services.usage_reports import COLUMNS, Series
from vel_tutor_mcp.store.spans import ReportPeriod
from vel_tutor_mcp.store.usage import Group, Only

router = APIRouter(prefix="/api/usage", tags=["usage"], responses=documented(400, 401, 403, 429, 503))
Format = Literal["json", "csv"]
_EXPORTED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}, "application/json": {}}}}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls are counted."""

    provider: Annotated[str | None, Query(max_length=60)] = None
    model: Annotated[str | None, Query(max_length=200, description="such as openai/gpt-4o-mini")] = None
    agent: Annotated[str | None, Query(max_length=100, description="its name")] = None


Wanted = Annotated[Filter, Depends()]


@router.get("", response_model=answers.Usage)
async def report_usage(visit: Visit, period: ReportPeriod = "day", group_by: Group = "provider") -> JSONResponse:
    """Tasks, tokens, cost, latency and success of a period, what it saved, and what the month will come to."""
    return JSONResponse((await visit.app.usage.report(visit.me, period, group_by)).shown())


@router.get("/series", response_model=answers.UsageSeries)
async def list_usage(
    visit: Visit, wanted: Wanted, period: ReportPeriod = "day", group_by: Group = "provider"
) -> JSONResponse:
    """The same by the hour (of a day) or by the day; of many groups the dearest alone, the others as `other`."""
    found = await visit.app.usage.series(visit.me, period, group_by, Only(**asdict(wanted)))
    return JSONResponse(found.shown())


@router.get("/export", response_class=Response, responses=_EXPORTED)
async def export_usage(
    visit: Visit,
    wanted: Wanted,
    period: ReportPeriod = "month",
    group_by: Group = "provider",
    form: Annotated[Format, Query(alias="format")] = "csv",
) -> Response:
    """The series as a file: a row for each step of each group in which there was anything."""
    found = await visit.app.usage.series(visit.me, period, group_by, Only(**asdict(wanted)), None)
    headers = {"content-disposition": f'attachment; filename="usage.{form}"', "cache-control": "no-store"}
    if form == "json":
        return JSONResponse(found.table(), headers=headers)
    return Response(_sheet(found), media_type="text/csv", headers=headers)


def _sheet(found: Series) -> str:
    lines = [sheet_line(COLUMNS), *(sheet_line(row[name] for name in COLUMNS) for row in found.rows())]
    return "".join(f"{line}\n" for line in lines)

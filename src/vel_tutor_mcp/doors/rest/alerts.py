"""Alerts. The answers of these routes are here too."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse

from vel_tutor_mcp.doors.rest.answers import Listed, Open
from vel_tutor_mcp.doors.rest.asking import Id, Part, Visit, listed
from vel_tutor_mcp.doors.rest.problems import documented
from vel_tutor_mcp.services.alerts.raising import shown
from vel_tutor_mcp.store.alerts import State

router = APIRouter(prefix="/api/alerts", tags=["alerts"], responses=documented(400, 401, 403, 429, 503))


class Alert(Open):
    """`value` and `threshold` are shares of a budget or of calls, times the usual, or calls that failed, by `kind`."""

    id: str
    kind: str
    severity: str
    subject: str
    message: str
    value: float
    threshold: float
    opened_at: str
    closed_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None


@router.get("", response_model=Listed[Alert])
async def list_alerts(
    visit: Visit, part: Part, state: Annotated[State, Query(description="closed ones stay for 90 days")] = "open"
) -> JSONResponse:
    """What is wrong, or was: newest first."""
    page = await visit.app.alerts.list(visit.me, state=state, limit=part.limit, cursor=part.offset)
    return listed(page, part, shown)


@router.post("/{alert}/acknowledge", response_model=Alert, responses=documented(404))
async def acknowledge_alert(visit: Visit, alert: Id) -> JSONResponse:
    """Note that one has seen it. It stays open until what is wrong is well again."""
    return JSONResponse(shown(await visit.app.alerts.acknowledge(visit.me, alert)))

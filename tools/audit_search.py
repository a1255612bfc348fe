from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Limit, tool
from vel_tutor_mcp.doors.reply import listed
from vel_tutor_mcp.models import AuditEntry
from vel_tutor_mcp.services.reports import moment, shown_entry

Moment = Annotated[str | None, Field(max_length=40, description="ISO 8601")]


@tool("Search audit", READS, Operation.AUDIT_READ)
async def audit_search(
    desk: Desk,
    action: Annotated[str | None, Field(max_length=50, description="such as task_submitted")] = None,
    principal: Annotated[str | None, Field(description="name of who did it")] = None,
    subject: Annotated[str | None, Field(max_length=200, description="such as task:<id>")] = None,
    since: Moment = None,
    until: Moment = None,
    limit: Limit = 20,
    cursor: str | None = None,
) -> CallToolResult:
    """Search the audit trail, newest first: who did what to what, and when. For costs use usage_report."""
    app, me = await desk.enter()
    page = await app.audit.search(
        me,
        action=action,
        principal=principal,
        subject=subject,
        since=since,
        until=until,
        limit=limit,
        cursor=cursor,
    )
    return listed("entries", page, shown_entry, _line)


def _line(entry: AuditEntry) -> str:
    return f"{entry.sequence} {moment(entry.at)} {entry.principal} {entry.action} {entry.subject}"

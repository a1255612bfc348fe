from typing import Literal

from mcp_types import CallToolResult

from vel_tutor_mcp.doors.desk import READS, Desk, tool
from vel_tutor_mcp.doors.reply import replied


@tool("Usage report", READS)
async def usage_report(
    desk: Desk,
    period: Literal["day", "week", "month"] = "day",
    group_by: Literal["provider", "model", "agent", "user", "task_type"] = "provider",
) -> CallToolResult:
    """Tasks, tokens, cost, latency, success and fallbacks of the last day, week or month, and what the same work would
    have cost on the strongest model alone; and how your budgets stand.
    """
    app, me = await desk.enter()
    report = await app.usage.report(me, period, group_by)
    return replied(report.text(), report.shown())

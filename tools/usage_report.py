from typing import Literal

from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, OtherPolicy, tool
from vel_tutor_mcp.doors.reply import replied


@tool("Usage report", READS, Operation.USAGE_READ)
async def usage_report(
    desk: Desk,
    period: Literal["day", "week", "month"] = "day",
    group_by: Literal["provider", "model", "agent", "user", "task_type", "day"] = "provider",
    what_if_policy: OtherPolicy | None = None,
) -> CallToolResult:
    """Tasks, tokens, cost, latency, success and fallbacks of the last day, week or month; what the strongest model
    alone would have cost, or another policy come to; how your budgets stand, and what this month may come to.
    """
    app, me = await desk.enter()
    report = await app.usage.report(me, period, group_by)
    text = "\n".join(filter(None, [await app.alerts.line(me), report.text()]))
    if what_if_policy is None:
        return replied(text, report.shown())
    other = await app.what_if.replay(me, period, what_if_policy)
    return replied(f"{text}\n{other.text()}", report.shown() | {"what_if": other.shown()})

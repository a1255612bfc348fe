from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, SHOWN, Desk, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.models import Page, TaskStatus
from vel_tutor_mcp.services.reports import short_task
from vel_tutor_mcp.services.run_reports import Asked, shown_asked
from vel_tutor_mcp.task_lists import TaskFilter

View = Literal["tasks", "runs", "approvals", "costs", "performance", "audit", "compare", "alerts", "webhooks"]

_FEW = 5
_NOTHING_WAITS: Page[Asked] = Page((), (), more=False, total=0)


@tool("Show dashboard", READS, Operation.TASK_READ, ui=SHOWN)
async def dashboard_show(
    desk: Desk, view: View = "tasks", id: Annotated[str | None, Field(max_length=100)] = None
) -> CallToolResult:
    """Show a person the dashboard, at a view or a task or run by id; the answer sums up open work, waiting approvals
    and the cost of the last day.
    """
    app, me = await desk.enter()
    pending = await app.tasks.list(me, TaskFilter(status=TaskStatus.PENDING), limit=_FEW, cursor=0)
    running = await app.tasks.list(me, TaskFilter(status=TaskStatus.IN_PROGRESS), limit=_FEW, cursor=0)
    decides = desk.lets(Operation.RUN_CHANGE)
    waiting = await app.runs.awaiting(me, limit=_FEW) if decides else _NOTHING_WAITS
    alerts = await app.alerts.list(me, limit=1, cursor=0)
    newest = alerts.rows[0].message if alerts.rows else None
    cost_usd = (await app.usage.report(me, "day", "provider")).shown()["cost_usd"]
    text = (
        f"Tasks in progress: {running.total}, waiting for their turn: {pending.total}. Approvals that wait for a "
        f"person: {waiting.total}. Cost of the last day: ${cost_usd:.6f}. "
        f"Open alerts: {alerts.total}{f', the newest: {newest}' if newest else '.'} "
        "Where this client shows no dashboard, use task_list, workflow_get and usage_report."
    )
    data = {
        "view": view,
        "id": id,
        "tasks_in_progress": running.total,
        "tasks_pending": pending.total,
        "open_tasks": [short_task(task) for task in (*running.rows, *pending.rows)],
        "approvals_waiting": waiting.total,
        "approvals": [shown_asked(asked) for asked in waiting.rows],
        "cost_of_day_usd": cost_usd,
        "alerts_open": alerts.total,
        "newest_alert": newest,
    }
    return replied(text, data)

from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, SHOWN, Desk, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.services.reports import short_task
from vel_tutor_mcp.services.run_reports import short_run
from vel_tutor_mcp.task_lists import TaskFilter

View = Literal["tasks", "runs", "approvals", "costs", "performance", "audit", "compare", "alerts", "webhooks"]

_NEWEST = 5


@tool("Show dashboard", READS, Operation.TASK_READ, ui=SHOWN)
async def dashboard_show(
    desk: Desk, view: View = "tasks", id: Annotated[str | None, Field(max_length=100)] = None
) -> CallToolResult:
    """Show a person the dashboard, at a view or a task or run by id; the answer sums up open work, waiting approvals
    and the cost of the last day.
    """
    app, me = await desk.enter()
    pending = await app.tasks.list(me, TaskFilter(status=TaskStatus.PENDING), limit=_NEWEST, cursor=0)
    running = await app.tasks.list(me, TaskFilter(status=TaskStatus.IN_PROGRESS), limit=_NEWEST, cursor=0)
    waiting = await app.runs.list(me, status=TaskStatus.AWAITING_APPROVAL, limit=_NEWEST, cursor=0)
    usage = (await app.usage.report(me, "day", "provider")).shown()
    text = (
        f"{running.total} tasks are in progress and {pending.total} wait for their turn; {waiting.total} runs wait for "
        f"a person; the last day cost ${usage['cost_usd']:.6f}. Where this client shows no dashboard, use task_list, "
        "workflow_get and usage_report."
    )
    data = {
        "view": view,
        "id": id,
        "tasks_in_progress": running.total,
        "tasks_pending": pending.total,
        "newest_tasks": [short_task(task) for task in (*running.rows, *pending.rows)],
        "runs_awaiting_approval": waiting.total,
        "newest_runs_awaiting_approval": [short_run(run) for run in waiting.rows],
        "cost_of_day_usd": usage["cost_usd"],
    }
    return replied(text, data)

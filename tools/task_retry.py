from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.reply import task_replied


@tool("Retry task", CALLS_OUT, Operation.TASK_CHANGE, lasting=True)
async def task_retry(desk: Desk, id: str, wait_seconds: Wait = 45) -> CallToolResult:
    """Run a failed or cancelled task again with a fresh route; what it has spent still counts against its budget.
    For a step of a run use workflow_retry.
    """
    app, me = await desk.enter()
    await app.tasks.retry(me, id)
    return task_replied(await app.tasks.follow(me, id, wait_seconds, progress()))

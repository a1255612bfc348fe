from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.reply import task_replied


@tool("Get task", READS, Operation.TASK_READ)
async def task_get(desk: Desk, id: str, wait_seconds: Wait = 0) -> CallToolResult:
    """Status, answer, cost, attempts, route and history of a task; waits for its end up to wait_seconds.
    For a run use workflow_get.
    """
    app, me = await desk.enter()
    return task_replied(await app.tasks.follow(me, id, wait_seconds, progress()))

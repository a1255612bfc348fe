from mcp.server.mcpserver import Context
from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Wait, progress, tool
from vel_tutor_mcp.doors.reply import task_replied


@tool("Get task", READS, Operation.TASK_READ)
async def task_get(desk: Desk, ctx: Context, id: str, wait_seconds: Wait = 0) -> CallToolResult:
    """Status, answer, cost, attempts, route and history of a task; waits for its end up to wait_seconds."""
    app, me = await desk.enter()
    return task_replied(await app.tasks.follow(me, id, wait_seconds, progress(ctx)))

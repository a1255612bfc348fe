from mcp_types import CallToolResult

from vel_tutor_mcp.doors.desk import STOPS, Desk, tool
from vel_tutor_mcp.doors.reply import task_replied


@tool("Cancel task", STOPS)
async def task_cancel(desk: Desk, id: str) -> CallToolResult:
    """Stop a task now, also in the middle of an answer; the text that had arrived is kept."""
    app, me = await desk.enter()
    return task_replied(await app.tasks.cancel(me, id))

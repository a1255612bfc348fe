from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import STOPS, Desk, tool
from vel_tutor_mcp.doors.run_reply import stopped_replied


@tool("Cancel task", STOPS, Operation.TASK_CHANGE)
async def task_cancel(desk: Desk, id: str) -> CallToolResult:
    """Stop a task or a run now, also in the middle of an answer; the text that had arrived is kept,
    and what was spent is paid.
    """
    app, me = await desk.enter()
    return stopped_replied(await app.runs.stop(me, id))

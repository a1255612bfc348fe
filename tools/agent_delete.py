from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import STOPS, Desk, NameRef, tool
from vel_tutor_mcp.doors.reply import replied


@tool("Delete agent", STOPS, Operation.AGENT_WRITE)
async def agent_delete(desk: Desk, agent: NameRef) -> CallToolResult:
    """Delete an agent. Its pending tasks are cancelled; running ones end, finished ones stay. To pause it, use
    agent_update(status=inactive).
    """
    app, me = await desk.enter()
    deleted, cancelled = await app.agents.delete(me, agent)
    text = f"Deleted the agent {deleted.name}; {cancelled} pending tasks were cancelled."
    return replied(text, {"id": deleted.id, "name": deleted.name, "cancelled_tasks": cancelled})

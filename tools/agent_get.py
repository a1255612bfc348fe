from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, NameRef, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.services.reports import full_agent


@tool("Get agent", READS, Operation.AGENT_READ)
async def agent_get(desk: Desk, agent: NameRef) -> CallToolResult:
    """One agent with its configuration and the versions it had."""
    app, me = await desk.enter()
    found, versions = await app.agents.get(me, agent)
    text = f"{found.name} is {found.status.value}, version {found.version}: {found.config.model_dump_json()}"
    return replied(text, full_agent(found, versions), f"agent://{found.id}")

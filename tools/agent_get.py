from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, NameRef, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.services.reports import moment, shown_agent


@tool("Get agent", READS, Operation.AGENT_READ)
async def agent_get(desk: Desk, agent: NameRef) -> CallToolResult:
    """One agent with its configuration and the versions it had."""
    app, me = await desk.enter()
    found, versions = await app.agents.get(me, agent)
    shown = [{"version": version, "created_at": moment(at)} for version, at in versions.items()]
    text = f"{found.name} is {found.status.value}, version {found.version}: {found.config.model_dump_json()}"
    return replied(text, shown_agent(found) | {"versions": shown}, f"agent://{found.id}")

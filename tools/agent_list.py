from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Limit, tool
from vel_tutor_mcp.doors.reply import listed
from vel_tutor_mcp.models import Agent, AgentStatus
from vel_tutor_mcp.services.reports import shown_agent


@tool("List agents", READS, Operation.AGENT_READ)
async def agent_list(
    desk: Desk, status: AgentStatus | None = None, limit: Limit = 20, cursor: str | None = None
) -> CallToolResult:
    """List your agents, newest first, with id, name, status and configuration."""
    app, me = await desk.enter()
    page = await app.agents.list(me, status=status, limit=limit, cursor=cursor)
    return listed("agents", page, shown_agent, _line)


def _line(agent: Agent) -> str:
    return f"{agent.name} ({agent.type.value}, {agent.status.value}, {agent.config.policy.value}) {agent.id}"

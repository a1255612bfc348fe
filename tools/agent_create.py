from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import WRITES, Desk, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.models import AgentConfig, AgentType
from vel_tutor_mcp.services.reports import shown_agent


@tool("Create agent", WRITES, Operation.AGENT_WRITE)
async def agent_create(
    desk: Desk,
    name: Annotated[str, Field(min_length=1, max_length=100)],
    type: AgentType = AgentType.MCP_ORCHESTRATOR,
    config: AgentConfig | None = None,
) -> CallToolResult:
    """Save a named agent: its instructions, and how its tasks are routed, limited and answered. Returns it with its id.
    Not needed for single tasks: the agent `default` is there.
    """
    app, me = await desk.enter()
    agent = await app.agents.create(me, name, type, config or AgentConfig())
    return replied(f"Created the agent {agent.name} ({agent.id}).", shown_agent(agent))

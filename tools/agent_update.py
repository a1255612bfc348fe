from typing import Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import WRITES, Desk, NameRef, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.models import AgentStatus
from vel_tutor_mcp.services.reports import shown_agent


@tool("Update agent", WRITES, Operation.AGENT_WRITE)
async def agent_update(
    desk: Desk,
    agent: NameRef,
    name: Annotated[str | None, Field(min_length=1, max_length=100)] = None,
    status: Literal["active", "inactive"] | None = None,
    config: Annotated[dict[str, Any] | None, Field(description="only the fields to change, as in agent_create")] = None,
) -> CallToolResult:
    """Change an agent. Earlier versions are kept; tasks already submitted run with the version they were given."""
    app, me = await desk.enter()
    changed = await app.agents.update(
        me, agent, name=name, status=AgentStatus(status) if status else None, config=config
    )
    return replied(f"The agent {changed.name} is now version {changed.version}.", shown_agent(changed))

from typing import Any

from vel_tutor_mcp.doors.completion import agents
from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.services.reports import full_agent


@resource("agent://{id}", "Agent", id=agents)
async def agent(desk: Desk, id: str) -> dict[str, Any]:
    """One agent, by id or name, with the versions of its configuration."""
    app, me = await desk.enter()
    return full_agent(*await app.agents.get(me, id))

from typing import Any

from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.services.reports import shown_agent


@resource("agents://list", "Agents")
async def agents_list(desk: Desk) -> dict[str, Any]:
    """Your agents with their configuration, the 100 newest."""
    app, me = await desk.enter()
    page = await app.agents.list(me, limit=100)
    return {"agents": [shown_agent(agent) for agent in page.rows], "next_cursor": page.cursor}

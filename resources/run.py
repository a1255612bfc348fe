from typing import Any

from vel_tutor_mcp.doors.completion import runs
from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.news import Followed
from vel_tutor_mcp.services.run_reports import full_run


@resource("run://{id}", "Run", follows=Followed.RUN, id=runs)
async def run(desk: Desk, id: str) -> dict[str, Any]:
    """One run of a workflow with its steps, their outputs, its graph, cost and history."""
    app, me = await desk.enter()
    return full_run(await app.runs.tell(me, id))

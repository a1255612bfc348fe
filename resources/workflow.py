from typing import Any

from vel_tutor_mcp.doors.completion import workflows
from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.services.run_reports import full_workflow


@resource("workflow://{id}", "Workflow", id=workflows)
async def workflow(desk: Desk, id: str) -> dict[str, Any]:
    """One workflow with its definition, graph and versions."""
    app, me = await desk.enter()
    return full_workflow(await app.workflows.get(me, id))

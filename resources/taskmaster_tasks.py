from typing import Any

from vel_tutor_mcp.doors.completion import projects
from vel_tutor_mcp.doors.desk import Desk, resource


@resource("taskmaster://{project}/tasks", "Task Master tasks", project=projects)
async def taskmaster_tasks(desk: Desk, project: str) -> dict[str, Any]:
    """All tasks of the current tag of a Task Master project, by the id that taskmaster_list gives it."""
    app, me = await desk.enter()
    told = await app.projects.get(me, project)
    return told.shown() | {"tasks": [told.shown_item(item) for item in told.items.rows]}

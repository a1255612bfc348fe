from typing import Any

from vel_tutor_mcp.doors.completion import tasks
from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.news import Followed
from vel_tutor_mcp.services.reports import full_task


@resource("task://{id}", "Task", follows=Followed.TASK, id=tasks)
async def task(desk: Desk, id: str) -> dict[str, Any]:
    """One task with its answer, cost, attempts, route and history."""
    app, me = await desk.enter()
    return full_task(await app.tasks.tell(me, id))

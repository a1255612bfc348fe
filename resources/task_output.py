from vel_tutor_mcp.doors.completion import tasks
from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.news import Followed


@resource("task://{id}/output", "Task output", mime_type="text/plain", follows=Followed.OUTPUT, id=tasks)
async def task_output(desk: Desk, id: str) -> str:
    """The whole text of a task's answer, or of what had arrived when it was stopped; empty where there is none yet."""
    app, me = await desk.enter()
    return (await app.tasks.get(me, id)).output or ""

from typing import Any

from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.news import Followed
from vel_tutor_mcp.services.reports import short_task


@resource("tasks://recent", "Recent tasks", follows=Followed.RECENT)
async def tasks_recent(desk: Desk) -> dict[str, Any]:
    """Your 20 newest tasks in short form."""
    app, me = await desk.enter()
    page = await app.tasks.list(me, limit=20)
    return {"tasks": [short_task(task) for task in page.rows], "next_cursor": page.cursor}

from typing import Any

from vel_tutor_mcp.doors.desk import Desk, resource
from vel_tutor_mcp.services.reports import shown_entry


@resource("audit://recent", "Recent audit entries")
async def audit_recent(desk: Desk) -> dict[str, Any]:
    """The 50 newest audit entries that you may see."""
    app, me = await desk.enter()
    page = await app.audit.search(me, limit=50)
    return {"entries": [shown_entry(entry) for entry in page.rows], "next_cursor": page.cursor}

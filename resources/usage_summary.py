from typing import Any

from vel_tutor_mcp.doors.desk import Desk, resource


@resource("usage://summary", "Usage summary")
async def usage_summary(desk: Desk) -> dict[str, Any]:
    """Usage of the last day and month by provider."""
    app, me = await desk.enter()
    day = await app.usage.report(me, "day", "provider")
    month = await app.usage.report(me, "month", "provider")
    return {"day": day.shown(), "month": month.shown()}

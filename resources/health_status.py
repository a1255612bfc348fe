from typing import Any

from vel_tutor_mcp.doors.desk import Desk, resource


@resource("health://status", "Health")
async def health_status(desk: Desk) -> dict[str, Any]:
    """Whether the server can work: version, providers with a key, and the models whose circuit breaker is open."""
    app, _ = await desk.enter()
    return app.routes.health_status()

from typing import Any

from vel_tutor_mcp.doors.desk import Desk, resource


@resource("models://catalog", "Model catalog")
async def models_catalog(desk: Desk) -> dict[str, Any]:
    """Every model that can be named: its tier, window, capabilities, price, and whether its provider has a key."""
    app, _ = await desk.enter()
    return {"models": app.routes.known_models()}

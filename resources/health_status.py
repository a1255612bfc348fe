from dataclasses import asdict
from typing import Any

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import Desk, resource


@resource("health://status", "Health")
async def health_status(desk: Desk) -> dict[str, Any]:
    """Whether the server can work: version, providers with a key, models whose circuit breaker is open, and checks of
    folder, database, keys and traces.
    """
    app, _ = await desk.enter()
    # What was found names places of the machine and its database: that is for who may see the installation's numbers.
    told = ("check", "verdict", "found", "advice") if desk.lets(Operation.METRICS_READ) else ("check", "verdict")
    checks = [asdict(finding) for finding in await app.standing.look()]
    return app.routes.health_status() | {"checks": [{name: check[name] for name in told} for check in checks]}

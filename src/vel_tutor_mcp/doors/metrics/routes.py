"""`GET /metrics`, for who may read the numbers of the installation."""

from collections.abc import Callable
from types import ModuleType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.metrics.lag import Lag
from vel_tutor_mcp.doors.metrics.traffic import Traffic

PATH = "/metrics"
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics(desk: Desk, traffic: Traffic, lag: Lag, connections: Callable[[], int]) -> Route:
    """The route; `connections` tells how many are open."""

    async def told(_: Request) -> Response:
        app, me = await desk.enter()
        measured = await app.measuring.look(me)
        # The library takes a tenth of a second: the first who asks waits for it, nobody else.
        families = await in_thread(_families)
        parts = [
            *families.of_process(traffic, connections(), lag.worst),
            families.breakers(app),
            *families.of_installation(measured),
        ]
        return Response(families.text(parts), media_type=_MEDIA_TYPE)

    return Route(PATH, told, methods=["GET"])


def _families() -> ModuleType:
    from vel_tutor_mcp.doors.metrics import families

    return families

"""Whether the server can work, for whoever asks: load balancers, and people with a browser."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from vel_tutor_mcp import __version__
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.reply import sentence
from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.services.reports import moment

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App

Answering = Callable[[Request], Awaitable[JSONResponse]]

HEALTH = "/api/health"
_PING_SECONDS = 5.0


def health_of(desk: Desk) -> Answering:
    """Answers 200 where the database does, else 503 with the reason."""
    began = time.monotonic()

    async def health(_: Request) -> JSONResponse:
        status, reason = await _standing(desk)
        told = {
            "status": status,
            "version": __version__,
            "reason": reason,
            "timestamp": moment(datetime.now(UTC)),
            "uptime": round(time.monotonic() - began, 3),
            "dependencies": {"database": status, **_providers(desk.app)},
        }
        return JSONResponse(told, status_code=200 if status == "ok" else 503)

    return health


def _providers(app: "App | None") -> dict[str, Any]:
    """How each provider stands, by what its calls met of late; nobody is called for this."""
    if app is None:
        return {}
    status = app.routes.health_status()
    down = {name.partition("/")[0] for name in status["circuits_open"]}
    return {
        name: "no key" if name not in status["providers"] else "circuit open" if name in down else "ok"
        for name in sorted(app.catalog.providers)
    }


async def _standing(desk: Desk) -> tuple[str, str | None]:
    if desk.problem is not None:
        return "unavailable", sentence(desk.problem)
    if desk.app is None:
        return "starting", "The server is just being opened; calls wait for it; ask again in a second."
    try:
        async with asyncio.timeout(_PING_SECONDS):
            await desk.app.ping()
    except Unavailable as problem:
        return "unavailable", sentence(problem)
    except TimeoutError:
        return "unavailable", "The database does not answer; it may be overloaded or out of reach; try again."
    return "ok", None

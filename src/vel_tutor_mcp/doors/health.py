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
from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.services.reports import moment

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App

Answering = Callable[[Request], Awaitable[JSONResponse]]

HEALTH = "/api/health"
_PING_SECONDS = 5.0


def health_of(desk: Desk) -> Answering:
    """Answers 200 where the database does, else 503 with the reason."""
    began, pulse = time.monotonic(), _Pulse(desk)

    async def health(_: Request) -> JSONResponse:
        status, reason = await pulse.standing()
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


class _Pulse:
    """Asks the database one question at a time, however many ask for it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked: asyncio.Task[str | None] | None = None

    async def standing(self) -> tuple[str, str | None]:
        if self._desk.problem is not None:
            return "unavailable", sentence(self._desk.problem)
        if self._desk.app is None:
            return "starting", "The server is just being opened; calls wait for it; ask again in a second."
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(_problem(self._desk.app))
        # A statement is carried to its end, whoever gives it up: it is not cancelled here, and not begun twice.
        await asyncio.wait({self._asked}, timeout=_PING_SECONDS)
        if not self._asked.done():
            return "unavailable", "The database does not answer; it may be overloaded or out of reach; try again."
        reason = self._asked.result()
        return ("ok", None) if reason is None else ("unavailable", reason)


async def _problem(app: "App") -> str | None:
    try:
        await app.ping()
    except VelError as problem:
        return sentence(problem)
    return None

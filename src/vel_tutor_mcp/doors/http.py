"""MCP over HTTP on one port: `/mcp` (Streamable HTTP), `/sse` with `/messages/` (the older SSE pair), `/api/health`."""

import asyncio
import errno
import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NoReturn

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from vel_tutor_mcp import __version__
from vel_tutor_mcp.doors import process
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.gate import GONE, Gate
from vel_tutor_mcp.doors.mcp import Server, make_server
from vel_tutor_mcp.doors.opening import Opening
from vel_tutor_mcp.doors.reply import sentence
from vel_tutor_mcp.errors import ConfigurationError, InputError, Unavailable
from vel_tutor_mcp.settings import Settings

Transport = Literal["sse", "http"]

_PATHS: dict[Transport, str] = {"sse": "/sse", "http": "/mcp"}
_NO_PORT = {
    errno.EADDRINUSE: "another program listens there",
    errno.EACCES: "the system keeps it for administrators",
    errno.EADDRNOTAVAIL: "this machine has no such address",
}
# Longer than clients keep an idle connection (5 s is usual), so that it is theirs to close, never in mid-request.
_KEEP_ALIVE_SECONDS = 75
_SESSION_IDLE_SECONDS = 30 * 60
_PING_SECONDS = 5.0
_STREAMS_END_SECONDS = 2.0
# The gate checks every request; the SDK would do it once more for its own.
_CHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)


def serve(settings: Settings, transport: Transport, host: str, port: int) -> NoReturn:
    """Serve whoever can connect, as the local user, until a signal comes.

    Raises:
        InputError: others than this machine's own programs could connect.
        ConfigurationError: the port cannot be listened to; says why.
    """
    if not _is_loopback(host):
        raise InputError(
            "Without accounts everyone who can connect would be the local user, and this host can be reached from "
            "other machines; accounts come with a later version; use --host 127.0.0.1."
        )
    listener = _listen(host, port)
    process.run(settings, _serve(settings, transport, f"[{host}]" if ":" in host else host, listener))


def make_app(
    server: Server, desk: Desk, transport: Transport, idle_seconds: float = _SESSION_IDLE_SECONDS
) -> Starlette:
    """The routes of a transport; a client's session is forgotten `idle_seconds` after its last request."""
    routes: list[BaseRoute] = [Route("/api/health", _health_of(desk), methods=["GET"])]
    routes += server.sse_app(transport_security=_CHECKED).routes
    if transport == "sse":
        return Starlette(routes=routes)
    # Sessions, for handshake clients: who takes a call back, or listens, is known by the session. Others need none.
    routes += server.streamable_http_app(transport_security=_CHECKED, session_idle_timeout=idle_seconds).routes
    return Starlette(routes=routes, lifespan=lambda _: server.session_manager.run())


async def _serve(settings: Settings, transport: Transport, host: str, listener: socket.socket) -> None:
    address = f"http://{host}:{listener.getsockname()[1]}{_PATHS[transport]}"
    await _Door(settings, transport, host).serve(listener, address)


class _Door:
    def __init__(self, settings: Settings, transport: Transport, host: str) -> None:
        desk = Desk()
        self._settings = settings
        self._opening = Opening(settings, desk)
        self._gate = Gate(make_app(make_server(desk, log_level=settings.log_level), desk, transport), host)
        self._uvicorn = _uvicorn(self._gate)

    async def serve(self, listener: socket.socket, address: str) -> None:
        logging.getLogger("mcp.server.streamable_http").addFilter(_no_fault)
        process.Signals(self._stop).listen()
        process.say(f"serving MCP at {address}")
        self._opening.begin()
        await self._uvicorn.serve(sockets=[listener])

    async def _stop(self) -> None:
        # Uvicorn's own way to stop would wait for streams to end, and end the SDK's sessions under running calls.
        self._gate.shut()
        if self._uvicorn.started:
            for port in self._uvicorn.servers:
                port.close()
        await self._opening.stop()
        await self._gate.empty(_STREAMS_END_SECONDS)


def _no_fault(record: logging.LogRecord) -> bool:
    """Clients that go away are no errors, though the SDK logs them as such, tracebacks and all."""
    return not (record.exc_info and isinstance(record.exc_info[1], GONE))


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the door."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _uvicorn(gate: Gate) -> _Uvicorn:
    config = uvicorn.Config(
        gate,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    return _Uvicorn(config)


def _health_of(desk: Desk) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def health(_: Request) -> JSONResponse:
        status, reason = await _standing(desk)
        told = {"status": status, "version": __version__, "reason": reason}
        return JSONResponse(told, status_code=200 if status == "ok" else 503)

    return health


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


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as problem:
        reason = _NO_PORT.get(problem.errno or 0) or os.strerror(problem.errno or 0).lower()
        raise ConfigurationError(
            f"Port {port} of {host} cannot be listened to; {reason}; choose another one with --port, or --port 0 for "
            "any that is free."
        ) from None

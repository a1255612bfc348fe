"""MCP over HTTP on one port: `/sse` with `/messages/` (the older SSE pair), alone or beside `/mcp` (Streamable HTTP),
REST and the dashboard; and `/api/health`.
"""

import asyncio
import errno
import ipaddress
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import urlsplit

import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from vel_tutor_mcp.auth.oauth import WAYS_IN
from vel_tutor_mcp.doors import process, states
from vel_tutor_mcp.doors.bearer import METADATA, Bearer, metadata
from vel_tutor_mcp.doors.bounds import Bounds
from vel_tutor_mcp.doors.connections import Connection
from vel_tutor_mcp.doors.dashboard.routes import PATH as DASHBOARD
from vel_tutor_mcp.doors.dashboard.routes import dashboard
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.gate import GONE, Gate
from vel_tutor_mcp.doors.headers import Headers
from vel_tutor_mcp.doors.health import HEALTH, health_of
from vel_tutor_mcp.doors.mcp import Server, make_server
from vel_tutor_mcp.doors.metrics.lag import Lag
from vel_tutor_mcp.doors.metrics.routes import PATH as METRICS
from vel_tutor_mcp.doors.metrics.routes import metrics
from vel_tutor_mcp.doors.metrics.traffic import Counted, CountedCalls, Routed, Traffic
from vel_tutor_mcp.doors.notes import Note, Notes
from vel_tutor_mcp.doors.opening import Opening
from vel_tutor_mcp.doors.quiet import Quiet
from vel_tutor_mcp.doors.room import MOST_CONNECTIONS, Room
from vel_tutor_mcp.doors.sessions import MOST_SESSIONS, Sessions
from vel_tutor_mcp.doors.surface import surface_of
from vel_tutor_mcp.doors.traced import Traced, TracedCalls
from vel_tutor_mcp.doors.watch import LOOK_SECONDS
from vel_tutor_mcp.errors import ConfigurationError, InputError
from vel_tutor_mcp.settings import Settings, parts_of

Transport = Literal["sse", "http"]
Make = Callable[..., Server]

_PATHS: dict[Transport, str] = {"sse": "/sse", "http": "/mcp"}
_NO_PORT = {
    errno.EADDRINUSE: "another program listens there",
    errno.EACCES: "the system keeps it for administrators",
}
# What needs no token beside the metadata and OAuth.
OPEN_TO_ALL = frozenset({HEALTH, DASHBOARD, "/api/auth/login", "/api/auth/refresh"})
_EVERY_ADDRESS = {"0.0.0.0", "[::]"}  # noqa: S104 - to keep them out
# Longer than clients keep an idle connection (5 s is usual), so that it is theirs to close, never in mid-request.
_KEEP_ALIVE_SECONDS = 75
_SESSION_IDLE_SECONDS = 30 * 60
_STREAMS_END_SECONDS = 2.0
# The gate checks every request; the SDK would do it once more for its own.
_CHECKED = TransportSecuritySettings(enable_dns_rebinding_protection=False)


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached. `auth` is off: everyone who can connect is the local user."""

    transport: Transport
    host: str
    port: int
    auth: bool = True
    certfile: Path | None = None
    keyfile: Path | None = None

    @property
    def named(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def scheme(self) -> str:
        return "https" if self.certfile else "http"


def serve(settings: Settings, way: Way, make: Make = make_server) -> NoReturn:
    """Serve whoever has a token or, with `auth` off, whoever can connect, until a signal comes.

    `make` may put more on the server than the leaf folders hold.

    Raises:
        InputError: others than this machine's own programs could connect without a token.
        ConfigurationError: the port cannot be listened to, or the certificate not be used; says why.
    """
    if not way.auth and not _is_loopback(way.host):
        raise InputError(
            "Without tokens everyone who can connect would be the local user, and this host can be reached from other "
            "machines; make accounts and leave --no-auth out, or use --host 127.0.0.1."
        )
    tls = _tls(way)
    listener = _listen(way.host, way.port)
    process.run(settings, _serve(settings, way, tls, listener, make))


def make_app(
    server: Server,
    desk: Desk,
    transport: Transport,
    idle_seconds: float = _SESSION_IDLE_SECONDS,
    public_url: str | None = None,
    issuer: str | None = None,
    look_seconds: float = LOOK_SECONDS,
    most_sessions: int = MOST_SESSIONS,
    told: Route | None = None,
    client_documents: bool = True,
) -> Starlette:
    """The routes of a transport; a client's session is forgotten `idle_seconds` after its last request, or where there
    are `most_sessions` and it is idle for the longest time.

    Where there is a public URL, every request needs a token that is good there, but those in `OPEN_TO_ALL` and those by
    which clients get one (`doors.oauth`), unless an outside `issuer` gives them; the tokens of open requests are looked
    at anew each `look_seconds`. `told` is the route of what is measured, where that is to be had.
    """
    routes: list[BaseRoute] = list(server.sse_app(transport_security=_CHECKED).routes)
    middleware: list[Middleware] = []
    if public_url is not None:
        from vel_tutor_mcp.doors.oauth import routes as oauth

        routes += [_metadata_of(public_url, way, issuer) for way in ("", *WAYS_IN)]
        routes += [] if issuer else oauth.oauth_routes(desk, public_url, documents=client_documents)
        open_to_all = OPEN_TO_ALL | (frozenset() if issuer else oauth.OPEN_TO_ALL)
        middleware.append(
            Middleware(Bearer, desk=desk, url=public_url, open_to_all=open_to_all, look_seconds=look_seconds)
        )
    middleware.append(Middleware(Bounds, note=Notes(desk).take))  # within: nobody's body is read who is not let in
    if transport == "sse":
        routes.append(Route(HEALTH, health_of(desk), methods=["GET"]))
        return Starlette(routes=routes, middleware=middleware)
    routes += [_streamable_http(server, idle_seconds), dashboard(), *filter(None, [told])]
    # Within the bearer door: a stranger makes no room at the cost of somebody's session.
    middleware += [Middleware(Sessions, manager=server.session_manager, most=most_sessions), Middleware(Routed)]
    from vel_tutor_mcp.doors.rest.api import make_rest

    return make_rest(desk, routes, middleware, lifespan=lambda _: server.session_manager.run())


def _streamable_http(server: Server, idle_seconds: float) -> BaseRoute:
    """Sessions are for handshake clients: who takes a call back, or listens, is known by them. Others need none."""
    app = server.streamable_http_app(
        transport_security=_CHECKED, session_idle_timeout=idle_seconds, stateless_http=server.stateless
    )
    (route,) = app.routes
    assert isinstance(route, Route)
    # Without sessions nothing is ever said on a client's GET: refused, it keeps no connection open for that.
    return Route(route.path, route.endpoint, methods=["POST"]) if server.stateless else route


async def _serve(settings: Settings, way: Way, tls: ssl.SSLContext | None, listener: socket.socket, make: Make) -> None:
    origin = f"{way.scheme}://{way.named}:{listener.getsockname()[1]}"
    if way.auth and settings.public_url != origin:
        process.say(f"tokens are good for {settings.public_url} (VEL_TUTOR_PUBLIC_URL)")
    await _Door(settings, way, tls, make).serve(listener, f"{origin}{_PATHS[way.transport]}")


class _Door:
    def __init__(self, settings: Settings, way: Way, tls: ssl.SSLContext | None, make: Make) -> None:
        desk = Desk(local=not way.auth)
        self._settings = settings
        self._opening = Opening(settings, desk)
        server = make(
            desk,
            surface=surface_of(settings),
            stateless=settings.stateless,
            log_level=settings.log_level,
            request_state_security=states.security(settings),
        )
        self._lag, traffic, room = Lag(), Traffic(), Room()
        server.watch(CountedCalls(traffic, server.cards))
        server.watch(TracedCalls(server.cards, "tcp", trusted=not way.auth))
        told = metrics(desk, traffic, self._lag, lambda: len(room))
        public_url = settings.public_url if way.auth else None
        app = make_app(
            server,
            desk,
            way.transport,
            public_url=public_url,
            issuer=settings.oidc_issuer,
            told=told,
            client_documents=settings.client_documents,
        )
        note = Notes(desk).take
        self._gate = Gate(app, _hosts(settings, way), note)
        # From the outside inwards: counted, traced, with headers, let in. So refusals of the gate are counted and have
        # headers too, and the id for the log is there for all of it.
        covered = Headers(self._gate, https="https" in {way.scheme, urlsplit(settings.public_url).scheme})
        traced = Traced(covered, {HEALTH, METRICS}, trusted=not way.auth)
        self._uvicorn = _uvicorn(Counted(traced, traffic), settings, tls, note, room)

    async def serve(self, listener: socket.socket, address: str) -> None:
        logging.getLogger("mcp.server.streamable_http").addFilter(_no_fault)
        process.Signals(self._stop).listen()
        process.take_files(2 * MOST_CONNECTIONS)
        process.say(f"serving MCP at {address}")
        self._opening.begin()
        self._looking = asyncio.create_task(self._lag.loop())
        await self._uvicorn.serve(sockets=[listener])

    async def _stop(self) -> None:
        # Uvicorn's own way to stop would wait for streams to end, and end the SDK's sessions under running calls.
        self._gate.shut()
        if self._uvicorn.started:
            for port in self._uvicorn.servers:
                port.close()
        # In this order: the first answers who waits for a task, the second ends the streams that have no end.
        await self._opening.stop()
        await self._gate.empty(_STREAMS_END_SECONDS)


def _no_fault(record: logging.LogRecord) -> bool:
    """Clients that go away are no errors, though the SDK logs them as such, tracebacks and all."""
    return not (record.exc_info and isinstance(record.exc_info[1], GONE))


def _uvicorn(app: ASGIApp, settings: Settings, context: ssl.SSLContext | None, noted: Note, shared: Room) -> Quiet:
    class Own(Connection):
        room = shared
        tls = context  # uvicorn's way would tell of a connection only once the handshake has ended
        note = staticmethod(noted)

    config = uvicorn.Config(
        app,
        http=Own,
        # With `auto`, where a library for them is installed, web sockets would come in past the gate.
        ws="none",
        # With `auto`, uvicorn would go on without the SDK's session manager where that cannot start.
        lifespan="on",
        # Its own would give uvicorn's loggers handlers beside those of `process.log`.
        log_config=None,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=parts_of(settings.trusted_proxies),
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    return Quiet(config)


def _metadata_of(url: str, way: str, issuer: str | None) -> Route:
    async def told(_: Request) -> JSONResponse:
        return JSONResponse(metadata(url, way, issuer))

    return Route(f"{METADATA}{way}", told, methods=["GET"])


def _hosts(settings: Settings, way: Way) -> set[str]:
    """By which names the server may be asked for; every address of this machine together is none."""
    names = {way.named} - _EVERY_ADDRESS
    if way.auth:
        public = re.sub(r":\d+$", "", urlsplit(settings.public_url).netloc)
        names |= {public, *parts_of(settings.allowed_hosts)}
    return names


def _tls(way: Way) -> ssl.SSLContext | None:
    if way.certfile is None:
        if way.keyfile is not None:
            raise InputError("--keyfile is of no use alone; it belongs to a certificate; name that with --certfile.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(way.certfile, way.keyfile)
    except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
        reason = getattr(problem, "strerror", None) or getattr(problem, "reason", None) or type(problem).__name__
        raise ConfigurationError(
            f"The certificate {way.certfile} cannot be used; {reason}; name a PEM file with --certfile, and its key's "
            "with --keyfile."
        ) from None
    return context


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Of a name that is not known `create_server` would tell as of any other fault.
        socket.getaddrinfo(host or None, port, family)
        listener = socket.create_server((host, port), family=family)
    except (socket.gaierror, UnicodeError):
        raise _no_address(host, "no address of it is known") from None
    except OSError as problem:
        raise _no_listener(host, port, problem) from None
    # Connections take it from here: asyncio, which sets it for them, does not see that these are of TCP. Without it the
    # body of a short answer waits 40 ms, until the client has acknowledged the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _no_listener(host: str, port: int, problem: OSError) -> ConfigurationError:
    if problem.errno == errno.EADDRNOTAVAIL:
        return _no_address(host, "this machine has no such address")
    if problem.errno not in _NO_PORT:
        return _no_address(host, os.strerror(problem.errno or 0).lower())
    # Clients are sent to the public URL to sign in, which does not follow the port: tokens are bound to it.
    return ConfigurationError(
        f"Port {port} of {host} cannot be listened to; {_NO_PORT[problem.errno]}; choose another one with --port and, "
        "where clients sign in, set VEL_TUTOR_PUBLIC_URL to the address with that port."
    )


def _no_address(host: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The host {process.seen(host)} cannot be listened at; {reason}; name an address of this machine with --host, "
        "such as 127.0.0.1."
    )

"""The routes over HTTP in this process: health before the product is open, and sessions that nobody ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send
from waits import until

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.doors import health
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.gate import Gate
from vel_tutor_mcp.doors.http import make_app
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.database import INSTALLATION

pytestmark = pytest.mark.anyio

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "forgetful", "version": "1"},
    },
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


@asynccontextmanager
async def asking(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the app behind its gate."""
    transport = httpx2.ASGITransport(Gate(app, ()))
    headers = {"accept": "application/json, text/event-stream"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4000", headers=headers) as client,
    ):
        yield client


async def test_health_tells_how_the_opening_goes() -> None:
    desk = Desk()
    async with asking(make_app(make_server(desk), desk, "sse")) as client:
        starting = await client.get("/api/health")
        desk.failed(Unavailable("The database is away."))
        failed = await client.get("/api/health")

    assert (starting.status_code, starting.json()["status"]) == (503, "starting")
    assert (failed.status_code, failed.json()["status"]) == (503, "unavailable")
    assert failed.json()["reason"] == "The database is away."


async def test_a_database_that_does_not_answer_is_told_in_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    async with open_app(settings) as app, asking(make_app(make_server(desk), desk, "sse")) as client:
        desk.opened(app)
        well = await client.get("/api/health")
        async with AsyncExitStack() as taken, asyncio.timeout(20):
            for _ in range(app._parts.database._engine.pool.size()):  # type: ignore[attr-defined]  # the pool's kind
                await taken.enter_async_context(app._parts.database.read(INSTALLATION))
            taken.enter_context(monkeypatch.context()).setattr(health, "_PING_SECONDS", 0.1)
            hung = [await client.get("/api/health") for _ in range(3)]
        again = await client.get("/api/health")

    assert [answer.status_code for answer in (well, *hung, again)] == [200, 503, 503, 503, 200]
    assert {answer.json()["reason"] for answer in hung} == {
        "The database does not answer; it may be overloaded or out of reach; try again."
    }


async def test_a_session_that_nobody_uses_is_forgotten() -> None:
    desk = Desk()
    server = make_server(desk)
    async with asking(make_app(server, desk, "http", idle_seconds=0.01)) as client, asyncio.timeout(20):
        session = (await client.post("/mcp", json=HELLO)).headers["mcp-session-id"]
        await until(lambda: not server.session_manager._server_instances)
        again = await client.post("/mcp", json=HELLO | {"method": "ping"}, headers={"mcp-session-id": session})

    assert again.status_code == 404


async def test_without_sessions_a_request_of_the_handshake_era_may_be_the_first_that_a_replica_hears() -> None:
    desk = Desk()
    of_another = {"mcp-session-id": "of another replica", "mcp-protocol-version": "2025-11-25"}
    async with asking(make_app(make_server(desk, stateless=True), desk, "http")) as client, asyncio.timeout(20):
        greeted = await client.post("/mcp", json=HELLO)
        listed = await client.post("/mcp", json=LIST, headers=of_another)
        listening = await client.get("/mcp", headers=of_another)

    assert (greeted.status_code, greeted.headers.get("mcp-session-id")) == (200, None)
    assert '"listChanged":true' not in greeted.text
    assert '"subscribe":true' not in greeted.text
    assert (listed.status_code, "task_submit" in listed.text) == (200, True)
    assert listening.status_code == 405


async def test_of_many_sessions_the_longest_idle_one_gives_way_and_nobody_who_comes_is_refused() -> None:
    desk = Desk()
    server = make_server(desk)
    async with asking(make_app(server, desk, "http", most_sessions=3)) as client, asyncio.timeout(20):
        sessions = [(await client.post("/mcp", json=HELLO)).headers["mcp-session-id"] for _ in range(6)]
        await until(lambda: len(server.session_manager._server_instances) <= 3)
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        asked = [await client.post("/mcp", json=ping, headers={"mcp-session-id": session}) for session in sessions]

    assert [reply.status_code for reply in asked] == [404] * 3 + [200] * 3


async def test_who_is_inside_when_all_must_go_gets_a_proper_end() -> None:
    entered, said = asyncio.Event(), list[Message]()

    async def endless(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        entered.set()
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.body", "body": b"too late", "more_body": False})

    async def nothing_comes() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        said.append(message)

    gate = Gate(endless, ())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"127.0.0.1:4000")]}
    visit = asyncio.create_task(gate(scope, nothing_comes, send))
    await entered.wait()
    gate.shut()
    await gate.empty(seconds=5)
    await visit
    await gate(scope, nothing_comes, send)

    assert said[1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert (said[2]["type"], said[2]["status"]) == ("http.response.start", 503)


async def test_the_dashboard_is_open_to_all_and_its_data_is_not() -> None:
    desk, url = Desk(), "http://127.0.0.1:4000"
    async with asking(make_app(make_server(desk), desk, "http", public_url=url)) as client:
        page = await client.get("/dashboard")
        head = await client.head("/dashboard")
        data = await client.get("/api/tasks")
    async with asking(make_app(make_server(desk), desk, "sse", public_url=url)) as client:
        elsewhere = await client.get("/dashboard")

    assert (page.status_code, page.text.lstrip()[:9].lower()) == (200, "<!doctype")
    assert (head.status_code, head.headers["etag"]) == (200, page.headers["etag"])
    assert (data.status_code, elsewhere.status_code) == (401, 404)

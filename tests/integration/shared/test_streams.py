"""Streams that are open when their token ends are ended too, on every route that has one; others go on."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from people import Front
from starlette.types import Message
from waits import turns, until

from vel_tutor_mcp.auth.accounts import Account, Caller
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.gate import Gate
from vel_tutor_mcp.doors.http import make_app
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.doors.rest.asking import Asked
from vel_tutor_mcp.doors.rest.streaming import TaskStream
from vel_tutor_mcp.doors.watch import SHOW_OUT, Watch
from vel_tutor_mcp.models import TaskRequest
from vel_tutor_mcp.services import record

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1:4000"
WAIT_SECONDS = 10
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
ACCEPT = "application/json, text/event-stream"


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"concurrency": 0}  # tasks stay pending, and their streams open


@dataclass
class Stream:
    """One request that is answered bit by bit, over no network."""

    body: bytes = b""
    has_asked: bool = False
    said: list[Message] = field(default_factory=list)
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def is_open(self) -> bool:
        return self.task is not None and not self.task.done()

    async def receive(self) -> Message:
        if not self.has_asked:
            self.has_asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.said.append(message)
        self.has_begun.set()

    async def end(self) -> Message:
        assert self.task is not None
        await asyncio.wait_for(self.task, WAIT_SECONDS)
        return self.said[-1]


@dataclass
class House:
    """The routes behind the gate; tokens of open requests are looked at a hundred times a second."""

    gate: Gate
    http: httpx2.AsyncClient

    @asynccontextmanager
    async def open(
        self, path: str, token: str, headers: Mapping[str, str] = {}, body: bytes = b""
    ) -> AsyncIterator[Stream]:
        named = {"host": HOST, "accept": ACCEPT, "authorization": f"Bearer {token}", **headers}
        named |= {"content-type": "application/json", "content-length": str(len(body))} if body else {}
        scope = {
            "type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": "POST" if body else "GET",
            "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
            "server": None, "client": None,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        stream = Stream(body)
        stream.task = asyncio.create_task(self.gate(scope, stream.receive, stream.send))
        try:
            await asyncio.wait_for(stream.has_begun.wait(), WAIT_SECONDS)
            assert (stream.said[0]["status"], stream.is_open) == (200, True)
            yield stream
        finally:
            stream.task.cancel()
            await asyncio.wait({stream.task}, timeout=WAIT_SECONDS)


@pytest.fixture
async def house(desk: Front) -> AsyncIterator[House]:
    desk.app.access = desk.access
    inside = Desk(local=False)
    inside.opened(desk.app)
    app = make_app(make_server(inside), inside, "http", public_url=f"http://{HOST}", look_seconds=0.01)
    gate = Gate(app, ())
    transport = httpx2.ASGITransport(gate)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers={"accept": ACCEPT}) as http,
    ):
        yield House(gate, http)


async def stream_of(desk: Front, account: Account) -> str:
    task = await desk.app.tasks.submit(account.principal, TaskRequest(prompt="Say hello"))
    return f"/api/tasks/{task.id}/stream"


@pytest.mark.parametrize("path", ["task", "/sse", "/mcp"])
async def test_a_stream_ends_with_its_token_and_another_ones_goes_on(desk: Front, house: House, path: str) -> None:
    account, neighbour = await desk.join(), await desk.join()
    token, caller = (entered := await desk.enter(account)).token, await desk.access.verify(entered.token)
    headers = {}
    if path == "/mcp":
        hello = await house.http.post("/mcp", json=HELLO, headers={"authorization": f"Bearer {token}"})
        headers["mcp-session-id"] = hello.headers["mcp-session-id"]
    place = await stream_of(desk, account) if path == "task" else path
    others = await stream_of(desk, neighbour)
    async with (
        house.open(place, token, headers) as stream,
        house.open(others, (await desk.enter(neighbour)).token) as beside,
    ):
        await desk.access.sign_out(caller)
        assert await stream.end() == {"type": "http.response.body", "body": b"", "more_body": False}
        assert beside.is_open


async def test_a_listening_ends_with_its_token_and_follows_nothing_any_more(desk: Front, house: House) -> None:
    account = await desk.join()
    task = await desk.app.tasks.submit(account.principal, TaskRequest(prompt="Say hello"))
    token, caller = (entered := await desk.enter(account)).token, await desk.access.verify(entered.token)
    wished = {"resourceSubscriptions": [f"task://{task.id}"], "promptsListChanged": True}
    params = {"notifications": wished, "_meta": MODERN}
    asked = {"jsonrpc": "2.0", "id": "listen", "method": "subscriptions/listen", "params": params}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}
    async with house.open("/mcp", token, headers, json.dumps(asked).encode()) as stream:
        assert desk.app.changes.followed == 2
        await desk.access.sign_out(caller)
        assert (await stream.end())["more_body"] is False
    assert b"notifications/subscriptions/acknowledged" in stream.said[1]["body"]
    await until(lambda: desk.app.changes.followed == 0)


async def test_what_a_session_has_subscribed_to_ends_with_it(desk: Front, house: House) -> None:
    account = await desk.join()
    task = await desk.app.tasks.submit(account.principal, TaskRequest(prompt="Say hello"))
    headers = {"authorization": f"Bearer {(await desk.enter(account)).token}"}
    headers["mcp-session-id"] = (await house.http.post("/mcp", json=HELLO, headers=headers)).headers["mcp-session-id"]
    asked = {"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": f"task://{task.id}"}}
    assert '"result":{}' in (await house.http.post("/mcp", json=asked, headers=headers)).text
    assert desk.app.changes.followed == 1
    await house.http.delete("/mcp", headers=headers)
    await until(lambda: desk.app.changes.followed == 0)


ENDS: dict[str, Callable[[Front, Account], Awaitable[Any]]] = {
    "disabled": lambda desk, account: desk.accounts.disable(desk.app.local_principal, account.id),
    "another role": lambda desk, account: desk.accounts.set_role(desk.app.local_principal, account.id, "viewer"),
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_stream_ends_where_its_caller_may_do_other_things_than_when_it_began(
    desk: Front, house: House, how: str
) -> None:
    account = await desk.join("agent_manager")
    async with house.open(await stream_of(desk, account), (await desk.enter(account)).token) as stream:
        await ENDS[how](desk, account)
        assert (await stream.end())["more_body"] is False


async def test_a_token_has_ended_once_it_expires(desk: Front) -> None:
    caller = await desk.access.verify((await desk.enter(await desk.join())).token)
    over: Caller = replace(caller, expires_at=record.now() - timedelta(seconds=1))
    assert await desk.access.ended({caller, over}) == {over}


async def test_when_all_have_left_no_token_is_looked_at_any_more(desk: Front) -> None:
    caller = await desk.access.verify((await desk.enter(await desk.join())).token)
    watch = Watch(Desk(), 0.01)  # who asks it for the product waits for ever
    with watch.over(caller, {SHOW_OUT: lambda _: None}):
        await turns()
    assert watch._looking is not None
    await asyncio.wait_for(watch._looking, WAIT_SECONDS)


async def test_a_stream_with_nothing_to_tell_says_that_it_is_alive(desk: Front) -> None:
    me = (await desk.join()).principal
    task = await desk.app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    stream = TaskStream(Asked(desk.app, me, None, ""), task.id, 0, heartbeat_seconds=0.01)
    async with asyncio.timeout(WAIT_SECONDS):
        told = stream.lines()
        while await anext(told) != ": heartbeat\n\n":
            pass

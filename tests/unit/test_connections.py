"""Connections that ask nothing, ask slowly or take no answer: they are ended, and keep nobody out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from vel_tutor_mcp.doors.connections import Connection

pytestmark = pytest.mark.anyio

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _app(scope: Scope, __: Receive, send: Send) -> None:
    if scope["path"] == "/wait":
        await asyncio.Event().wait()
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        scope["state"]["given_up"].set()
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Door:
    """A listening socket whose connections have these bounds."""

    def __init__(self, port: int, given_up: asyncio.Event) -> None:
        self._port = port
        self.given_up = given_up
        self._wires = list[Wire]()

    async def wire(self, data: bytes = b"") -> Wire:
        self._wires.append(wire := await asyncio.open_connection("127.0.0.1", self._port))
        wire[1].write(data)
        return wire

    async def open(self, data: bytes = b"") -> asyncio.StreamReader:
        return (await self.wire(data))[0]

    async def asked(self) -> bytes:
        async with asyncio.timeout(5):
            return await (await self.open(ASK)).readuntil(b"\r\n\r\nok")

    def close(self) -> None:
        for _, writer in self._wires:
            writer.close()


@asynccontextmanager
async def door(
    most: int = 99, most_of_address: int = 99, head_seconds: float = 5, proxy: bool = False
) -> AsyncIterator[Door]:
    class Bounded(Connection):
        pass

    Bounded.most, Bounded.most_of_address = most, most_of_address
    Bounded.head_seconds = Bounded.take_seconds = head_seconds
    config = uvicorn.Config(_app, http=Bounded, ws="none", log_config=None, access_log=False, proxy_headers=proxy)
    config.load()
    state, given_up = ServerState(), asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Bounded(config, state, {"given_up": given_up}), "127.0.0.1")
    try:
        made = Door(server.sockets[0].getsockname()[1], given_up)
        yield made
    finally:
        made.close()
        server.close()
        for task in state.tasks:
            task.cancel()


async def told(reader: asyncio.StreamReader) -> bytes:
    """All that is said until the connection is closed."""
    async with asyncio.timeout(5):
        return await reader.read()


async def test_who_asks_nothing_is_left_without_a_word() -> None:
    async with door(head_seconds=0.05) as here:
        assert await told(await here.open()) == b""


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nHos", ASK + b"GET / HT"], ids=["first", "second"])
async def test_who_asks_too_slowly_is_told_and_left(begun: bytes) -> None:
    async with door(head_seconds=0.05) as here:
        said = await told(await here.open(begun))
    assert b"HTTP/1.1 408" in said
    assert b'"REQUEST_TIMEOUT"' in said


async def test_who_asks_once_more_too_slowly_is_told_and_left() -> None:
    async with door(head_seconds=0.05) as here:
        reader, writer = await here.wire(ASK)
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\nok")
        writer.write(b"GET")
        assert b"HTTP/1.1 408" in await told(reader)


async def test_who_takes_no_answer_is_left() -> None:
    async with door(head_seconds=0.05) as here, asyncio.timeout(5):
        await here.open(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.given_up.wait()


async def test_a_body_that_nobody_wants_is_not_waited_for() -> None:
    async with door(head_seconds=0.05) as here:
        said = await told(await here.open(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"))
    assert said.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(("most", "most_of_address"), [(2, 99), (99, 2)])
async def test_who_asks_nothing_gives_way_and_who_is_served_does_not(most: int, most_of_address: int) -> None:
    async with door(most, most_of_address) as here:
        idle = [await here.open() for _ in range(4)]
        assert [await told(reader) for reader in idle[:2]] == [b""] * 2
        assert await here.asked()
        waiting = [await here.open(WAIT) for _ in range(2)]
        assert await told(idle[3]) == b""
        full = await told(await here.open(ASK))
        assert not any(reader.at_eof() for reader in waiting)
    assert full.startswith(b"HTTP/1.1 503")
    assert b'"UNAVAILABLE"' in full


async def test_behind_a_proxy_addresses_are_not_counted() -> None:
    async with door(most_of_address=1, proxy=True) as here:
        await here.open(WAIT)
        assert await here.asked()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000, b"431"),
        (b"NOT HTTP AT ALL\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"400"),
    ],
    ids=["head", "no-http", "cr", "lengths", "negative"],
)
async def test_what_is_no_request_is_told_in_our_words(data: bytes, status: bytes) -> None:
    async with door() as here:
        reader = await here.open(data)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"nosniff" in head

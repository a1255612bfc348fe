"""Connections that ask nothing, ask slowly or take no answer: they are ended, and keep nobody out."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from certificates import self_signed
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from vel_tutor_mcp.doors.connections import Connection
from vel_tutor_mcp.doors.http import _listen
from vel_tutor_mcp.doors.room import Room

pytestmark = pytest.mark.anyio

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# What a test waits for is as short as it can be; what must not end it is so long that no busy machine takes it.
SHORT, LONG, WAIT_SECONDS = 0.05, 30.0, 20.0


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

    def __init__(self, port: int, given_up: asyncio.Event, noted: list[str]) -> None:
        self._port = port
        self.given_up = given_up
        self.noted = noted
        self._wires = list[Wire]()

    async def wire(self, data: bytes = b"", tls: ssl.SSLContext | None = None) -> Wire:
        self._wires.append(wire := await asyncio.open_connection("127.0.0.1", self._port, ssl=tls))
        wire[1].write(data)
        return wire

    async def open(self, data: bytes = b"") -> asyncio.StreamReader:
        return (await self.wire(data))[0]

    async def asked(self, tls: ssl.SSLContext | None = None) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await (await self.wire(ASK, tls))[0].readuntil(b"\r\n\r\nok")

    def close(self) -> None:
        for _, writer in self._wires:
            writer.close()


@asynccontextmanager
async def door(
    most: int = 99,
    most_of_address: int = 99,
    head_seconds: float = LONG,
    begun_seconds: float = LONG,
    take_seconds: float = LONG,
    goodbye_seconds: float = LONG,
    proxy: bool = False,
    secured: ssl.SSLContext | None = None,
) -> AsyncIterator[Door]:
    """`begun_seconds`: those for a head, once something of it has come."""

    class Bounded(Connection):
        tls = secured
        note = staticmethod(lambda reason, address: noted.append(f"{address}: {reason}"))

        def data_received(self, data: bytes) -> None:
            self.head_seconds = begun_seconds
            super().data_received(data)
            if self._late is not None:
                self._expect()

    noted = list[str]()

    Bounded.room = Room(most, most_of_address)
    Bounded.head_seconds, Bounded.take_seconds, Bounded.goodbye_seconds = head_seconds, take_seconds, goodbye_seconds
    config = uvicorn.Config(_app, http=Bounded, ws="none", log_config=None, access_log=False, proxy_headers=proxy)
    config.load()
    state, given_up = ServerState(), asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Bounded(config, state, {"given_up": given_up}), "127.0.0.1")
    try:
        made = Door(server.sockets[0].getsockname()[1], given_up, noted)
        yield made
    finally:
        made.close()
        server.close()
        for task in state.tasks:
            task.cancel()


async def told(reader: asyncio.StreamReader) -> bytes:
    """All that is said until the connection is closed."""
    async with asyncio.timeout(WAIT_SECONDS):
        return await reader.read()


async def test_who_asks_nothing_is_left_without_a_word() -> None:
    async with door(head_seconds=SHORT) as here:
        assert await told(await here.open()) == b""


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nHos", ASK + b"GET / HT"], ids=["first", "second"])
async def test_who_asks_too_slowly_is_told_and_left(begun: bytes) -> None:
    async with door(begun_seconds=SHORT) as here:
        said = await told(await here.open(begun))
        assert "127.0.0.1: The request came too slowly" in here.noted[0]
    assert b"HTTP/1.1 408" in said
    assert b'"REQUEST_TIMEOUT"' in said


async def test_who_asks_once_more_too_slowly_is_told_and_left() -> None:
    async with door(begun_seconds=SHORT) as here:
        reader, writer = await here.wire(ASK)
        async with asyncio.timeout(WAIT_SECONDS):
            await reader.readuntil(b"\r\n\r\nok")
        writer.write(b"GET")
        assert b"HTTP/1.1 408" in await told(reader)


async def test_who_takes_no_answer_is_left() -> None:
    async with door(take_seconds=SHORT) as here, asyncio.timeout(WAIT_SECONDS):
        await here.open(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.given_up.wait()


async def test_a_body_that_nobody_wants_is_not_waited_for() -> None:
    async with door(begun_seconds=SHORT) as here:
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
        assert "as many connections as it takes" in here.noted[0]
        assert not any(reader.at_eof() for reader in waiting)
    assert full.startswith(b"HTTP/1.1 503")
    assert b'"UNAVAILABLE"' in full


async def test_behind_a_proxy_addresses_are_not_counted() -> None:
    async with door(most_of_address=1, proxy=True) as here:
        await here.open(WAIT)
        assert await here.asked()


@pytest.fixture
def own(tmp_path: Path) -> ssl.SSLContext:
    """What a server serves https with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path, "localhost"))
    return context


@pytest.fixture
def trusting() -> ssl.SSLContext:
    """What a client asks with that looks at no certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_who_never_says_hello_is_counted_and_gives_way(own: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    async with door(most=2, secured=own) as here:
        silent = [await here.open() for _ in range(4)]
        assert [await told(reader) for reader in silent[:2]] == [b""] * 2
        assert await here.asked(trusting)
        assert await told(silent[2]) == b""
        for _ in range(2):
            await here.wire(WAIT, trusting)
        with pytest.raises(OSError, match=r"reset|EOF|closed|lost"):
            await here.asked(trusting)
        assert "as many connections as it takes" in here.noted[0]


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x00", ASK], ids=["nothing", "hello", "plain"])
async def test_who_ends_no_handshake_is_left(own: ssl.SSLContext, begun: bytes) -> None:
    async with door(head_seconds=SHORT, secured=own) as here:
        assert b"HTTP" not in await told(await here.open(begun))


class Silent:
    """A client's side of TLS, which says what it is told to and nothing by itself."""

    def __init__(self, wire: Wire, tls: ssl.SSLContext) -> None:
        self._reader, self._writer = wire
        self._heard, self._said = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._heard, self._said)

    async def shake_hands(self, asking: bytes = b"") -> None:
        """To the end of it, asking at once."""
        while not self._is_done():
            await self._exchange()
        self._tls.write(asking)
        self._writer.write(self._said.read())

    async def told(self) -> bytes:
        while True:
            try:
                return self._tls.read()
            except ssl.SSLWantReadError:
                await self._exchange()

    async def left(self) -> None:
        await self._reader.read()

    async def _exchange(self) -> None:
        self._writer.write(self._said.read())
        heard = await self._reader.read(4096)
        assert heard, "the server has left in the middle"
        self._heard.write(heard)

    def _is_done(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


async def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    own: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with door(secured=own) as here, asyncio.timeout(WAIT_SECONDS):
        client = Silent(await here.wire(), trusting)
        await client.shake_hands(asking=ASK)
        assert (await client.told()).startswith(b"HTTP/1.1 200")


async def test_who_says_no_goodbye_is_left(own: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    async with door(most=1, goodbye_seconds=SHORT, secured=own) as here, asyncio.timeout(WAIT_SECONDS):
        client = Silent(await here.wire(), trusting)
        await client.shake_hands()
        await here.wire()
        await client.left()


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
        async with asyncio.timeout(WAIT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        assert len(here.noted) == 1
    assert head.startswith(b"HTTP/1.1 " + status)
    assert b"nosniff" in head


def test_the_body_of_a_short_answer_does_not_wait_until_its_head_is_acknowledged() -> None:
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

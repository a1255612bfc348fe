"""How far a client over stdio is read: requests that wait hold up nobody, and none is counted for ever."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from waits import until

from vel_tutor_mcp.doors.pipes import Flow, Incoming, Reading, Writing, hung_up

pytestmark = pytest.mark.anyio

MOST = 3
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "unit", "version": "1"}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Client:
    """Of a server of the SDK whose lists of tools never come."""

    def __init__(
        self, stdin: MemoryObjectSendStream[Incoming], stdout: MemoryObjectReceiveStream[SessionMessage], flow: Flow
    ) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self.flow = flow

    async def ask(self, number: int, method: str, params: Any = None) -> None:
        await self._send(JSONRPCRequest(jsonrpc="2.0", id=number, method=method, params=params))

    async def notify(self, method: str, params: Any = None) -> None:
        await self._send(JSONRPCNotification(jsonrpc="2.0", method=method, params=params))

    async def answered(self) -> int | str:
        with anyio.fail_after(10):
            answer = (await self._stdout.receive()).message
        assert isinstance(answer, JSONRPCResponse)
        return answer.id

    async def nothing_is_under_way(self) -> None:
        await until(lambda: not self.flow.under_way)

    async def _send(self, message: JSONRPCMessage) -> None:
        with anyio.fail_after(10):
            await self._stdin.send(SessionMessage(message))


@asynccontextmanager
async def greeted() -> AsyncIterator[Client]:
    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    server, flow = Server[Any]("unit", on_list_tools=never), Flow(MOST)
    stdin, incoming = anyio.create_memory_object_stream[Incoming](0)
    outgoing, stdout = anyio.create_memory_object_stream[SessionMessage](0)
    client, streams = Client(stdin, stdout, flow), (Reading(incoming, flow, lambda: None), Writing(outgoing, flow))
    async with stdin, stdout, anyio.create_task_group() as tasks:
        tasks.start_soon(server.run, *streams, server.create_initialization_options())
        await client.ask(0, "initialize", HELLO)
        assert await client.answered() == 0
        await client.notify("notifications/initialized")
        yield client
        tasks.cancel_scope.cancel()


async def test_requests_that_wait_hold_up_nobody_and_leave_room_once_they_are_cancelled() -> None:
    async with greeted() as client:
        for number in range(1, 2 * MOST):
            await client.ask(number, "tools/list")
        await client.ask(50, "ping")
        assert await client.answered() == 50
        assert client.flow.is_full
        for number in ("no such request", ["no id"], *range(1, 2 * MOST)):
            await client.notify("notifications/cancelled", {"requestId": number})
        await client.ask(51, "ping")
        assert await client.answered() == 51
        await client.nothing_is_under_way()


async def test_answers_that_are_not_taken_hold_up_who_asks_for_more() -> None:
    async with greeted() as client:
        asking = asyncio.create_task(ask_often(client, 4 * MOST))
        await until(lambda: client.flow.is_full)
        done, _ = await asyncio.wait((asking,), timeout=0.3)
        assert not done
        assert client.flow.under_way == MOST
        assert sorted([int(await client.answered()) for _ in range(4 * MOST)]) == list(range(4 * MOST))
        await asking
        await client.nothing_is_under_way()


async def ask_often(client: Client, many: int) -> None:
    for number in range(many):
        await client.ask(number, "ping")


def of_a_pipe() -> tuple[int, Callable[[], object]]:
    stdin, theirs = os.pipe()
    os.write(theirs, b"not read yet")
    return stdin, lambda: os.close(theirs)


def of_a_pair_of_sockets() -> tuple[int, Callable[[], object]]:
    ours, theirs = socket.socketpair()
    theirs.send(b"not read yet")
    return ours.detach(), theirs.close


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
@pytest.mark.parametrize("pair", [of_a_pipe, of_a_pair_of_sockets])
def test_an_end_of_stdin_is_seen_behind_what_is_not_read(pair: Callable[[], tuple[int, Callable[[], object]]]) -> None:
    stdin, close = pair()
    assert not hung_up(stdin)
    close()
    assert hung_up(stdin)
    os.close(stdin)

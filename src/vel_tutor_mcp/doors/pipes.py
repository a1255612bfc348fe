"""The conversation over stdin and stdout, at the pace of the client: one that sends and does not read is read no
further until it does, and is left when stdin has ended too.
"""

import asyncio
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress

from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream  # 2.3 has no public name for them
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

from vel_tutor_mcp.doors.mcp import Server

# One takes about 70 kB, and so many keep the processors busy: of more of them none would be answered sooner.
MOST_UNDER_WAY = 256
# Beyond that one line is read for each message that leaves, and one so often while all wait for something else than the
# client, such as a task: it may be the answer to a question, or a cancel.
_PACE_SECONDS = 0.05
# Whoever closes stdin and waits for the end sends a signal after a while; this is for those who do not.
DEAF_SECONDS = 5.0

Incoming = SessionMessage | Exception


class Pipes:
    """This process's stdin and stdout; they serve once."""

    def __init__(self) -> None:
        self._deaf = asyncio.Event()

    async def serve(self, server: Server) -> None:
        """Until stdin has ended and all answers have left, or none could leave for `DEAF_SECONDS` since.

        In the latter case a thread still sits in a write: leave the process without joining it.
        """
        conversation = asyncio.create_task(self._converse(server))
        deaf = asyncio.create_task(self._deaf.wait())
        await asyncio.wait((conversation, deaf), return_when=asyncio.FIRST_COMPLETED)
        deaf.cancel()
        if conversation.done():
            conversation.result()

    async def _converse(self, server: Server) -> None:
        stdin, flow = os.dup(sys.stdin.fileno()), Flow()  # the SDK puts the null device in its place

        def stuck() -> None:
            if hung_up(stdin):
                self._deaf.set()

        async with stdio_server() as (incoming, outgoing):
            await server.converse(Reading(incoming, flow, stuck), Writing(outgoing, flow))
            # Leaving this block joins the SDK's writer, which may sit in a write that nobody takes.
            asyncio.get_running_loop().call_later(DEAF_SECONDS, self._deaf.set)


class Flow:
    """How many requests are under way, and how many messages wait to leave."""

    def __init__(self, most: int = MOST_UNDER_WAY) -> None:
        self._most = most
        self._left = asyncio.Event()
        self.under_way = 0
        self.waiting = 0

    @property
    def is_full(self) -> bool:
        return self.under_way >= self._most

    def asked(self) -> None:
        self.under_way += 1

    # A coroutine because the SDK awaits it: `on_request_unanswered`.
    async def settled(self) -> None:
        """A request is answered, or will never be: it was cancelled."""
        self.under_way -= 1
        self._left.set()

    def left(self) -> None:
        """A message, whatever it says."""
        self._left.set()

    async def moves(self, seconds: float) -> bool:
        """Whether anything leaves within so long."""
        # Only what leaves from now on counts.
        self._left.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), seconds)
        return self._left.is_set()


class Reading(ObjectReceiveStream[Incoming]):
    """What the client sends, as far as there is room; `stuck` is called when it takes nothing for `DEAF_SECONDS`."""

    def __init__(self, inner: ReadStream[Incoming], flow: Flow, stuck: Callable[[], None]) -> None:
        self._inner = inner
        self._flow = flow
        self._stuck = stuck

    async def receive(self) -> Incoming:
        await self._room()
        item = await self._inner.receive()
        if isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCRequest):
            self._flow.asked()
            item.metadata = ServerMessageMetadata(on_request_unanswered=self._flow.settled)
        return item

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _room(self) -> None:
        if not self._flow.is_full or await self._flow.moves(_PACE_SECONDS):
            return
        while self._flow.waiting and not await self._flow.moves(DEAF_SECONDS):
            self._stuck()


class Writing(ObjectSendStream[SessionMessage]):
    """What the client is sent."""

    def __init__(self, inner: WriteStream[SessionMessage], flow: Flow) -> None:
        self._inner = inner
        self._flow = flow

    async def send(self, item: SessionMessage) -> None:
        self._flow.waiting += 1
        try:
            await self._inner.send(item)
        finally:
            # Also where the send was cut: nothing waits then.
            self._flow.waiting -= 1
            self._flow.left()
            if isinstance(item.message, JSONRPCResponse | JSONRPCError):
                await self._flow.settled()

    async def aclose(self) -> None:
        await self._inner.aclose()


def hung_up(stdin: int) -> bool:
    """Whether nobody can write any more, though there may be more to read; False where the system does not tell."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    # POLLHUP, of pipes, is told unasked; POLLRDHUP, of sockets, is Linux' alone.
    poll.register(stdin, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))

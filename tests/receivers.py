"""A receiver of webhooks: a real HTTP server in the test's own process, which keeps what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from server import soon
from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Sent:
    """One request; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """What it says, where the official library finds its signature good."""
        return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass
class Receiver:
    """`answers` are the statuses of the next answers, with headers where they end in some; then it takes everything.

    While `silent` is set it answers nothing.
    """

    url: str = ""
    sent: list[Sent] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    _talks: list[asyncio.StreamWriter] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def heard(self, count: int, about: Callable[[Sent], bool] = lambda _: True) -> list[Sent]:
        """So many requests, once they are there."""

        async def wait() -> list[Sent]:
            async with self._news:
                await self._news.wait_for(lambda: len([sent for sent in self.sent if about(sent)]) >= count)
            return [sent for sent in self.sent if about(sent)]

        return await soon(wait())

    def hang_up(self) -> None:
        """On all who still wait for an answer."""
        for writer in self._talks:
            writer.transport.abort()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        async with self._news:
            self.sent.append(Sent(head[0].split(" ")[1], headers, body))
            self._news.notify_all()
        if not self.silent.is_set():
            answer = self.answers.pop(0) if self.answers else "204 No Content"
            writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            writer.close()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await receiver.take(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):  # the sender was killed
            writer.transport.abort()

    async with await asyncio.start_server(talk, "127.0.0.1") as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield receiver
        receiver.hang_up()

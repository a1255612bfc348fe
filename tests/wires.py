"""How a raw conversation reaches a server over HTTP, without anything of the SDK."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx2

Message = dict[str, Any]
Hear = Callable[[Message], None]

ACCEPT = "application/json, text/event-stream"


class _Wire:
    """Messages go out as POSTs; what the server says to them, or otherwise, is heard."""

    def __init__(self, url: str, hear: Hear) -> None:
        self._url = httpx2.URL(url)
        self._hear = hear
        self._client = httpx2.AsyncClient(
            timeout=None, trust_env=False, limits=httpx2.Limits(max_connections=None), headers={"accept": ACCEPT}
        )
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Until messages can be sent."""

    def send(self, message: Message) -> None:
        self._begin(lambda: self._post(message))

    async def silence(self) -> None:
        """Until no answer can come any more, as when the server has ended."""
        await asyncio.gather(*self._talks)

    async def close(self) -> None:
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._client.aclose()

    async def _post(self, message: Message) -> None:
        raise NotImplementedError

    def _begin(self, talk: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(_until_the_server_goes(talk))
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    def _refused(self, message: Message, status: int) -> None:
        if "id" in message:
            self._hear({"id": message["id"], "error": {"message": f"HTTP status {status}"}})


class StreamableHttp(_Wire):
    """One address. The reply to a POST brings the answer, and before it the news of that request."""

    def __init__(self, url: str, hear: Hear) -> None:
        super().__init__(url, hear)
        self.headers: dict[str, str] = {}

    async def _post(self, message: Message) -> None:
        async with self._client.stream("POST", self._url, json=message, headers=self.headers) as reply:
            if "mcp-session-id" in reply.headers:
                self.headers["mcp-session-id"] = reply.headers["mcp-session-id"]
            if reply.is_error:
                self._refused(message, reply.status_code)
            elif reply.status_code != httpx2.codes.ACCEPTED:
                async for _, data in _events(reply):
                    self._hear(json.loads(data))


class SsePair(_Wire):
    """One stream brings all that the server says; it begins with the address that takes the POSTs."""

    async def open(self) -> None:
        self._messages: asyncio.Future[httpx2.URL] = asyncio.get_running_loop().create_future()
        self._begin(self._listen)
        await self._messages

    async def _listen(self) -> None:
        async with self._client.stream("GET", self._url) as stream:
            stream.raise_for_status()
            async for event, data in _events(stream):
                if event == "endpoint":
                    self._messages.set_result(self._url.join(data))
                else:
                    self._hear(json.loads(data))

    async def _post(self, message: Message) -> None:
        reply = await self._client.post(self._messages.result(), json=message)
        if reply.is_error:
            self._refused(message, reply.status_code)


async def _until_the_server_goes(talk: Callable[[], Awaitable[None]]) -> None:
    """Whoever waits for an answer is told when the process has ended."""
    with suppress(httpx2.TransportError):
        await talk()


async def _events(reply: httpx2.Response) -> AsyncIterator[tuple[str, str]]:
    """Name and data of each server-sent event."""
    event, data = "message", list[str]()
    async for line in reply.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif not line and data:
            yield event, "\n".join(data)
            event, data = "message", []

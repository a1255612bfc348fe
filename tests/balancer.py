"""A proxy before several servers, each asked in turn, as nginx or a cloud's balancer is one.

Where a server is gone the next one is asked: always if it cannot be connected to, and if it went before it answered,
where asking twice comes to the same. Headers tell that of clients of the newer era; of others nobody can know it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count

import httpx2
from hosting import hosted
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

READS = frozenset({"agent_get", "agent_list", "task_get", "task_list"})
# They are of one connection, and the one with the server is another.
_OF_CONNECTION = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})

# Is told the headers and the body of each request, and without headers the lines of each answer.
Hear = Callable[[Mapping[str, str], bytes], None]


@asynccontextmanager
async def balanced(*origins: str, hear: Hear = lambda _, __: None) -> AsyncIterator[tuple[str, "Balancer"]]:
    """The URL of a balancer before the servers at these addresses."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=None, trust_env=False, limits=limits) as client:
        balancer = Balancer(client, origins, hear)
        async with hosted(balancer) as url:
            yield url, balancer


class Balancer:
    """Shares requests out among the servers at `origins`; `served` counts whole answers of each."""

    def __init__(self, client: httpx2.AsyncClient, origins: Sequence[str], hear: Hear) -> None:
        self._client = client
        self._origins = origins
        self._hear = hear
        self._turns = count()
        self.served: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self._hear(request.headers, body)
        turn = next(self._turns)
        for number in range(len(self._origins)):
            origin = self._origins[(turn + number) % len(self._origins)]
            relay = _Relay(request, body, receive, send, self._hear)
            try:
                await relay.through(self._client, origin)
            except httpx2.ConnectError:
                continue
            except httpx2.TransportError:
                if relay.begun:
                    raise  # the rest is missing: the client's connection ends here, as its answer did
                if may_be_repeated(request.headers, body):
                    continue
                break
            self.served[origin] += 1
            return
        await PlainTextResponse("The server that was asked is gone.", 502)(scope, receive, send)


class _Relay:
    """One request and its answer, piece by piece, until one of both ends is gone; `begun`: the answer has."""

    def __init__(self, request: Request, body: bytes, receive: Receive, send: Send, hear: Hear) -> None:
        self._request = request
        self._body = body
        self._receive = receive
        self._send = send
        self._hear = hear
        self.begun = False

    async def through(self, client: httpx2.AsyncClient, origin: str) -> None:
        answer, leaving = (asyncio.ensure_future(part) for part in (self._answer(client, origin), self._left()))
        try:
            await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
        finally:
            for part in (answer, leaving):
                part.cancel()
            await asyncio.gather(answer, leaving, return_exceptions=True)

    async def _answer(self, client: httpx2.AsyncClient, origin: str) -> None:
        url = f"{origin}{self._request.url.path}?{self._request.url.query}".removesuffix("?")
        headers = [(name, value) for name, value in self._request.headers.items() if name not in _OF_CONNECTION]
        method = self._request.method
        async with client.stream(method, url, headers=headers, content=self._body or None) as reply:
            rest = [pair for pair in reply.headers.raw if pair[0].lower().decode() not in _OF_CONNECTION]
            self.begun = True
            await self._send({"type": "http.response.start", "status": reply.status_code, "headers": rest})
            async for piece in reply.aiter_raw():
                for line in piece.splitlines():
                    self._hear({}, line.removeprefix(b"data: "))
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


def may_be_repeated(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a request comes to the same if it is made twice."""
    method, name = headers.get("mcp-method"), headers.get("mcp-name")
    if method != "tools/call" or name in READS:
        return method is not None
    return "idempotency_key" in json.loads(body)["params"]["arguments"]

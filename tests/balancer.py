"""A proxy before several servers, each asked in turn, as nginx or a cloud's balancer is one.

Where a server is gone the next one is asked: always if it cannot be connected to, and if it went before it answered,
where asking twice comes to the same. Headers tell that of clients of the newer era; of others nobody can know it.
"""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Self

import httpx2
import uvicorn
from server import soon
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from vel_tutor_mcp.doors.quiet import Quiet

READS = frozenset({"agent_get", "agent_list", "task_get", "task_list"})
# They are of one connection, and the one with the server is another.
_OF_CONNECTION = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})

# Is told the headers and the body of each request.
Hear = Callable[[Mapping[str, str], bytes], None]


class Balancer:
    """Serves at `url` what the servers at `origins` serve; `served` counts whole answers of each."""

    def __init__(self, origins: Sequence[str], hear: Hear = lambda _, __: None) -> None:
        self._origins = origins
        self._hear = hear
        self._turns = count()
        self.served: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._client = httpx2.AsyncClient(timeout=None, trust_env=False, limits=httpx2.Limits(max_connections=None))
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(self, interface="asgi3", lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        self._server = Quiet(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await soon(self._serving)
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self._hear(request.headers, body)
        turn = next(self._turns)
        for number in range(len(self._origins)):
            origin = self._origins[(turn + number) % len(self._origins)]
            relay = _Relay(request, body, receive, send)
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

    def __init__(self, request: Request, body: bytes, receive: Receive, send: Send) -> None:
        self._request = request
        self._body = body
        self._receive = receive
        self._send = send
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
        url = f"{origin}{self._request.url.path}"
        headers = [(name, value) for name, value in self._request.headers.items() if name not in _OF_CONNECTION]
        method = self._request.method
        async with client.stream(method, url, headers=headers, content=self._body or None) as reply:
            rest = [pair for pair in reply.headers.raw if pair[0].lower().decode() not in _OF_CONNECTION]
            self.begun = True
            await self._send({"type": "http.response.start", "status": reply.status_code, "headers": rest})
            async for piece in reply.aiter_raw():
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

"""A provider that no vendor runs: a real HTTP server on this machine that speaks OpenAI's wire and fails on demand.

For the demo, tests and benchmarks, also those of whoever builds on this. Its answers say that they are simulated. It is
deliberately without randomness: the same requests and faults give the same bytes.

    python -m vel_tutor_mcp.providers.simulated --name openai --latency 0.2 --tokens-per-second 50
"""

import argparse
import asyncio
import gzip
import math
import os
import socket
import struct
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import h11
import msgspec

from vel_tutor_mcp.providers import simulated_answers as answers
from vel_tutor_mcp.providers.simulated_answers import Fault, Headers, Plan, RateLimit, Received, Window

_KEEP_ALIVE_SECONDS = 0.02
_SIMULATED = [("x-simulated", "1"), ("server", "simulated")]

__all__ = ["Fault", "RateLimit", "Received", "SimulatedProvider"]


@dataclass(eq=False)
class SimulatedProvider:
    """Serves `base_url` while its context is open.

    Args:
        name: the vendor that it stands for, as its answers say.
        latency: seconds before an answer begins.
        tokens_per_second: pace of a stream; 0 sends everything at once.
        answer: the text for a request's body; the default names the model and repeats the prompt's beginning.
        models: what `GET /v1/models` lists; requests may name any model. None: it has no such list.
        keys: those that it takes; None takes any. Of others it repeats what it was sent, as vendors do.
        rate_limit: None announces and enforces none.
        compressed: answer in gzip where the client accepts it.

    `faults` go to one request each, in order; then `fault_for` its model counts, then `always`.
    """

    name: str
    latency: float = 0.0
    tokens_per_second: float = 0.0
    answer: Callable[[dict[str, Any]], str] | None = None
    models: tuple[str, ...] | None = ("simulated-large", "simulated-small")
    keys: set[str] | None = None
    rate_limit: RateLimit | None = None
    compressed: bool = False
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    fault_for: dict[str, Fault] = field(default_factory=dict)
    always: Fault | None = None
    requests: list[Received] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self.connections: set[_Connection] = set()
        self._changed = asyncio.Event()
        self._window = Window(self.rate_limit) if self.rate_limit else None
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        tasks = [connection.close() for connection in set(self.connections)]
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
        await self._server.wait_closed()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def open(self) -> int:
        """Requests for a completion in flight."""
        return sum(received.ended is None for received in self.requests)

    def reset(self) -> None:
        """Forget all requests and faults, and take every key."""
        self.keys = None
        self.requests.clear()
        self.faults.clear()
        self.fault_for.clear()
        self.always = None

    async def until(self, holds: Callable[[Self], bool]) -> None:
        """Return as soon as a request, a chunk or an end has made it true."""
        while not holds(self):
            self._changed.clear()
            await self._changed.wait()

    async def respond(self, connection: "_Connection", request: h11.Request, body: bytes) -> None:
        """Answer one request on a connection."""
        route = (request.method, request.target.partition(b"?")[0])
        key = dict(request.headers).get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        if self.keys is not None and key not in self.keys:
            connection.refuse(401, f"Incorrect API key provided: {key}.", "invalid_api_key")
        elif route == (b"GET", b"/v1/models") and self.models is not None:
            connection.reply(200, answers.models(self.models, self.name))
        elif route == (b"POST", b"/v1/chat/completions"):
            await self._complete(connection, request, body)
        else:
            connection.refuse(404, "The simulated provider has no such address.")

    async def _complete(self, connection: "_Connection", request: h11.Request, body: bytes) -> None:
        try:
            wanted = msgspec.json.decode(body, type=dict[str, Any])
        except msgspec.DecodeError:
            connection.refuse(400, "The body is not a JSON object.")
            return
        if wanted.get("messages") == []:
            connection.refuse(400, "There must be a message.")
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        model = str(wanted.get("model", ""))
        received = Received(model, answers.prompt_of(wanted), wanted, headers, self._loop.time())
        self.requests.append(received)
        self._changed.set()
        try:
            await self._answer(connection, received, self._next_fault(model))
        finally:
            received.ended = self._loop.time()
            received.closed_early = connection.left
            self._changed.set()

    def _next_fault(self, model: str) -> Fault | None:
        return self.faults.pop(0) if self.faults else self.fault_for.get(model, self.always)

    async def _answer(self, connection: "_Connection", received: Received, fault: Fault | None) -> None:
        await asyncio.sleep(self.latency)
        text = self.answer(received.body) if self.answer else answers.text_for(self.name, received.body)
        plan = answers.plan(f"chatcmpl-simulated-{len(self.requests)}", received.body, text, fault)
        fits, limits = self._book(plan.usage["total_tokens"])
        if fault and fault.kind == "status":
            after = [("retry-after", f"{fault.retry_after:g}")] if fault.retry_after is not None else []
            connection.refuse(fault.status, fault.message, fault.code, after + limits)
        elif not fits:
            connection.refuse(429, "The simulated rate limit is reached.", "rate_limit_exceeded", limits)
        elif fault and fault.after_chunks is None and fault.kind in {"reset", "stall"}:
            await connection.fail(fault)
        elif plan.stream:
            await self._stream(connection, received, plan, limits)
        else:
            await self._send_whole(connection, plan, limits)

    def _book(self, tokens: int) -> tuple[bool, Headers]:
        """Whether the rate limit lets the answer through, with the headers that say so."""
        if self._window is None:
            return True, []
        now = self._loop.time()
        fits = self._window.book(tokens, now)
        wait = [] if fits else [("retry-after", str(math.ceil(self._window.left(now))))]
        return fits, wait + self._window.headers(now)

    async def _stream(self, connection: "_Connection", received: Received, plan: Plan, limits: Headers) -> None:
        begun = self._loop.time()
        connection.begin("text/event-stream; charset=utf-8", limits)
        connection.send(plan.chunk({"role": "assistant", "content": ""}))
        chunks = [plan.chunk({"content": piece}) for piece in plan.pieces]
        for number, event in enumerate([*chunks, *plan.ending()]):
            if number == plan.breaks_at and plan.fault:
                await connection.fail(plan.fault)
                if plan.fault.kind != "malformed":
                    return
            if number < len(chunks):
                await self._pace(begun, number)
                received.chunks_sent += 1
            connection.send(event)
            self._changed.set()
        connection.end()

    async def _pace(self, begun: float, number: int) -> None:
        if self.tokens_per_second:
            due = begun + number / self.tokens_per_second
            await asyncio.sleep(max(0.0, due - self._loop.time()))

    async def _send_whole(self, connection: "_Connection", plan: Plan, limits: Headers) -> None:
        body = plan.whole()
        half = body[: len(body) // 2]
        fault = plan.fault
        if fault is None or plan.breaks_at is None:
            connection.reply(200, body, limits)
        elif fault.kind == "error_event":
            connection.reply(200, msgspec.json.encode(answers.error(500, fault.message, fault.code)), limits)
        elif fault.kind == "malformed":
            connection.reply(200, half, limits)
        else:
            connection.begin("application/json", [*limits, ("content-length", str(len(body)))])
            connection.send(half)
            await connection.fail(fault)


class _Connection(asyncio.Protocol):
    """One client's connection; as soon as the client leaves, the answer in progress is cancelled."""

    def __init__(self, provider: SimulatedProvider) -> None:
        self._provider = provider
        self._http = h11.Connection(h11.SERVER)
        self._task: asyncio.Task[None] | None = None
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._streaming = False
        self._deflate: Any = None
        self.left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._provider.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._provider.connections.discard(self)
        self._leave()

    def eof_received(self) -> None:
        # A client that closes only its half has left as well: no vendor's client does that.
        self._leave()

    def _leave(self) -> None:
        if self._task and not self._task.done():
            self.left = True
            self._task.cancel()

    def close(self) -> asyncio.Task[None] | None:
        """Leave at once; returns what is to be awaited."""
        task, self._task = self._task, None
        if task:
            task.cancel()
        self._transport.abort()
        return task

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            self._advance()
        except h11.RemoteProtocolError:
            self._transport.close()

    def _advance(self) -> None:
        while (event := self._http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                self._request = event
                self._body.clear()
            elif isinstance(event, h11.Data):
                self._body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._request:
                self._task = asyncio.create_task(self._respond(self._request, bytes(self._body)))

    async def _respond(self, request: h11.Request, body: bytes) -> None:
        try:
            await self._provider.respond(self, request, body)
        finally:
            if self._http.our_state is self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
                self._advance()
            else:
                self._transport.close()

    def refuse(self, status: int, message: str, code: str | None = None, headers: Headers | None = None) -> None:
        self.reply(status, msgspec.json.encode(answers.error(status, message, code)), headers)

    def reply(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Send a whole answer in JSON."""
        encoded = self._accepts_gzip()
        sent = gzip.compress(body, mtime=0) if encoded else body
        length = [("content-length", str(len(sent))), *([("content-encoding", "gzip")] if encoded else [])]
        self._head(status, [("content-type", "application/json"), *length, *(headers or [])])
        self._write(h11.Data(data=sent))
        self._write(h11.EndOfMessage())

    def begin(self, content_type: str, headers: Headers) -> None:
        """Send the head of an answer whose body follows by `send` and `end`."""
        self._streaming = content_type.startswith("text/event-stream")
        encoding = [("content-encoding", "gzip")] if self._streaming and self._accepts_gzip() else []
        self._deflate = zlib.compressobj(wbits=31) if encoding else None
        self._head(200, [("content-type", content_type), *encoding, *headers])

    def send(self, data: bytes) -> None:
        if self._deflate:
            data = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        self._write(h11.Data(data=data))

    def end(self) -> None:
        if self._deflate:
            self._write(h11.Data(data=self._deflate.flush()))
        self._write(h11.EndOfMessage())

    async def fail(self, fault: Fault) -> None:
        """Do what a fault says to an answer in progress; returns where the answer may go on or has ended."""
        match fault.kind:
            case "reset":
                await self._reset()
            case "malformed":
                self.send(b'data: {"choices": [{"delta"\n\n')
            case "error_event":
                self.send(answers.event(answers.error(500, fault.message, fault.code)))
                self.end()
            case "cut":
                self._cut()
            case _:
                await self._stall(fault)

    async def _reset(self) -> None:
        # What was written before must have been read by then: a reset may discard it.
        await asyncio.sleep(_KEEP_ALIVE_SECONDS)
        found = self._transport.get_extra_info("socket")
        pattern = "hh" if os.name == "nt" else "ii"
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(pattern, 1, 0))
        self._transport.abort()

    def _cut(self) -> None:
        with suppress(h11.LocalProtocolError):
            self.end()
        self._transport.close()

    async def _stall(self, fault: Fault) -> None:
        thought = answers.event({"choices": [{"index": 0, "delta": {"reasoning": "Hm. "}}]})
        sign = {"heartbeats": b": still here\n\n", "reasoning": thought}.get(fault.kind)
        while True:
            await asyncio.sleep(_KEEP_ALIVE_SECONDS)
            if sign and self._streaming:
                self.send(sign)

    def _accepts_gzip(self) -> bool:
        accepted = dict(self._request.headers).get(b"accept-encoding", b"") if self._request else b""
        return self._provider.compressed and b"gzip" in accepted

    def _head(self, status: int, headers: Headers) -> None:
        self._write(h11.Response(status_code=status, headers=[*_SIMULATED, *headers]))

    def _write(self, event: h11.Event) -> None:
        self._transport.write(self._http.send(event) or b"")


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until cancelled."""
    async with SimulatedProvider(
        arguments.name, arguments.latency, arguments.tokens_per_second, port=arguments.port
    ) as provider:
        sys.stderr.write(f"{provider.base_url}\n")
        sys.stderr.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Run one from the command line until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A simulated provider of models, with OpenAI's wire.")
    parser.add_argument("--name", default="simulated")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer begins")
    parser.add_argument("--tokens-per-second", type=float, default=0.0, help="0: at once")
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

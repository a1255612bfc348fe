"""REST requests a second over 8 connections, each an agent that is read: with tokens and limits, against without them,
and against a bare FastAPI route that reads nothing.
"""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from databases import databases
from measure import CONTROL, OURS, THEIRS, Measurement, Result, against, fewer, in_turn
from stdio import OURS as COMMAND
from stdio import environment

CONNECTIONS = 8
REQUESTS_IN_ROUND = 400
ROUNDS = 8

_BARE = (str(Path(__file__).with_name("bare_rest.py")),)
_SERVE = (*COMMAND, "serve", "--transport", "http", "--port", "0")
_PATH = "/api/agents/default"
_UNLIMITED = {"VEL_TUTOR_REQUESTS_PER_MINUTE": "1000000"}  # counted, and never reached
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)")


async def results(share: float) -> list[Result]:
    with databases() as urls:
        return [line for name, url in urls.items() for line in await _on(name, url, fewer(ROUNDS, share))]


async def _on(name: str, url: str | None, rounds: int) -> list[Result]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        own = _UNLIMITED | ({} if url is None else {"VEL_TUTOR_DATABASE_URL": url})
        variables = environment(folder, "http://127.0.0.1:9/v1", **own)
        ports = [
            await stack.enter_async_context(_serving(command, variables))
            for command in (_SERVE, (*_SERVE, "--no-auth"), _BARE)
        ]
        token = await _token(variables)
        with_tokens, without, bare = [
            [await stack.enter_async_context(_connected(port)) for _ in range(CONNECTIONS)] for port in ports
        ]
        open_, barest = _pace(without, None), _pace(bare, None)
        taken = await in_turn(
            {
                "auth": _pace(with_tokens, token),
                "open": open_,
                "open again": open_,
                "bare": barest,
                "bare again": barest,
            },
            rounds=rounds,
        )
    open_taken = {OURS: taken["auth"], THEIRS: taken["open"], CONTROL: taken["open again"]}
    bare_taken = {OURS: taken["auth"], THEIRS: taken["bare"], CONTROL: taken["bare again"]}
    return [
        against(f"REST on {name} / the same with --no-auth", open_taken, float, unit="requests/s"),
        against(f"REST on {name} / bare FastAPI", bare_taken, float, unit="requests/s"),
    ]


async def _token(variables: Mapping[str, str]) -> bytes:
    issuing = await asyncio.create_subprocess_exec(
        sys.executable, *COMMAND, "token", "issue", "benchmark", env=variables, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    told, _ = await issuing.communicate()
    assert issuing.returncode == 0
    return told.strip()


@asynccontextmanager
async def _serving(command: tuple[str, ...], variables: Mapping[str, str]) -> AsyncIterator[int]:
    """The port of a server, from when it says that it serves to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        while (found := _ADDRESS.search(said := await process.stdout.readline())) is None or b"tokens" in said:
            assert said, "the server ended"
        yield int(found[1])
    finally:
        process.terminate()
        await process.wait()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


def _pace(connections: list[Connection], token: bytes | None) -> Measurement:
    """Requests a second of one round, with the least work of a client."""
    bearer = b"" if token is None else b"authorization: Bearer " + token + b"\r\n"
    request = b"GET " + _PATH.encode() + b" HTTP/1.1\r\nhost: 127.0.0.1\r\n" + bearer + b"\r\n"

    async def measure() -> float:
        begun = time.perf_counter()
        share = REQUESTS_IN_ROUND // CONNECTIONS
        await asyncio.gather(*(_ask(connection, request, share) for connection in connections))
        return REQUESTS_IN_ROUND / (time.perf_counter() - begun)

    return measure


async def _ask(connection: Connection, request: bytes, times: int) -> None:
    reader, writer = connection
    for _ in range(times):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))

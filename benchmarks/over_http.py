"""Servers over HTTP and the least work of a client: keep-alive connections, requests made of bytes beforehand."""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from measure import Measurement
from stdio import OURS as COMMAND

CONNECTIONS = 8
REQUESTS_IN_ROUND = 400

SERVE = (*COMMAND, "serve", "--transport", "http", "--port", "0")
UNLIMITED = {"VEL_TUTOR_REQUESTS_PER_MINUTE": "1000000"}  # counted, and never reached
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:(\d+)")
_ACCEPT = "application/json, text/event-stream"
_GREETING = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        found = re.search(rb"(?im)^" + name.encode() + rb": *(.*?)\r$", self.headers)
        return found[1].decode() if found else None


@asynccontextmanager
async def serving(command: Sequence[str], variables: Mapping[str, str]) -> AsyncIterator[tuple[int, int]]:
    """The port and process id of a server, from when it says that it serves to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, **variables}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        while (found := _ADDRESS.search(said := await process.stdout.readline())) is None or b"tokens" in said:
            assert said, "the server ended"
        draining = asyncio.create_task(process.stdout.read())
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        await process.wait()
    await draining


async def token_of(variables: Mapping[str, str]) -> str:
    """A token of the local user, as the command line issues it."""
    issuing = await asyncio.create_subprocess_exec(
        sys.executable, *COMMAND, "token", "issue", "benchmark", env=variables, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    told, _ = await issuing.communicate()
    assert issuing.returncode == 0
    return told.decode().strip()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(method: str, path: str, token: str | None = None, body: Any = None, **headers: str) -> bytes:
    given = {"host": "127.0.0.1"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        given["authorization"] = f"Bearer {token}"
    content = b"" if body is None else json.dumps(body).encode()
    if content:
        given |= {"content-type": "application/json", "content-length": str(len(content))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def ask(connection: Connection, asked: bytes) -> Answer:
    reader, writer = connection
    writer.write(asked)
    head = await reader.readuntil(b"\r\n\r\n")
    answer = Answer(int(head.split(b" ", 2)[1]), head, b"")
    length = answer.header("content-length")
    if length is not None:
        body = await reader.readexactly(int(length))
    elif answer.header("transfer-encoding") == "chunked":
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
    else:
        body = b""
    return Answer(answer.status, head, body)


def mcp(method: str, params: Any, token: str | None = None, session: str | None = None) -> bytes:
    body = {"jsonrpc": "2.0", "method": method, "params": params}
    if not method.startswith("notifications/"):
        body["id"] = 1
    of_session = {} if session is None else {"mcp_session_id": session}
    return request("POST", "/mcp", token, body, accept=_ACCEPT, **of_session)


async def greeted(connection: Connection, token: str | None) -> str:
    """A session of MCP; its id."""
    session = (await ask(connection, mcp("initialize", _GREETING, token))).header("mcp-session-id")
    assert session is not None
    assert (await ask(connection, mcp("notifications/initialized", {}, token, session))).status == HTTPStatus.ACCEPTED
    return session


def pace(port: int, requests: Sequence[bytes]) -> Measurement:
    """Requests a second of one round, with a new connection for each of these, which is asked again and again."""

    async def measure() -> float:
        begun = time.perf_counter()
        await asyncio.gather(*(_again(port, asked) for asked in requests))
        return REQUESTS_IN_ROUND / (time.perf_counter() - begun)

    return measure


async def _again(port: int, asked: bytes) -> None:
    async with connected(port) as connection:
        for _ in range(REQUESTS_IN_ROUND // CONNECTIONS):
            answer = await ask(connection, asked)
            assert answer.status == HTTPStatus.OK, answer
            assert b'"isError":true' not in answer.body, answer

"""Memory of a server over 100,000 requests: REST and MCP over HTTP with tokens, among them every kind that is refused.

What grows is told as the slope of its memory over the requests, with an interval: a leak of 100 bytes a request is 1 MB
for each 10,000.
"""

import asyncio
import math
import secrets
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import linear_regression
from tempfile import TemporaryDirectory

from measure import Result, unmeasured
from memory_of import megabytes
from over_http import (
    CONNECTIONS,
    SERVE,
    UNLIMITED,
    Answer,
    Connection,
    ask,
    connected,
    greeted,
    mcp,
    request,
    serving,
    token_of,
)
from stdio import environment

REQUESTS, PARTS = 100_000, 10
# A request in so many opens a session of MCP and closes it, or is a guess of a password.
_SELDOM = 50
_CALL = {"name": "agent_get", "arguments": {"agent": "default"}}


async def results(share: float) -> list[Result]:
    if sys.platform == "win32":
        return [unmeasured("growth", "there is neither smaps_rollup nor ps")]
    total = round(REQUESTS * share)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        variables = environment(folder, "http://127.0.0.1:9/v1", **UNLIMITED, VEL_TUTOR_TASKS_PER_HOUR="0")
        port, pid = await stack.enter_async_context(serving(SERVE, variables))
        token = await token_of(variables)
        clients = [_Client(port, token, number) for number in range(CONNECTIONS)]
        memory = []
        for _ in range(PARTS + 1):  # the first is the warm-up
            await asyncio.gather(*(client.ask_many(total // PARTS // CONNECTIONS) for client in clients))
            memory.append(megabytes(pid))
            print(f"  {len(memory) * (total // PARTS):,} requests: {memory[-1]:.2f} MB", file=sys.stderr, flush=True)
    slope, error = slope_of(memory[1:])
    each = total // PARTS
    span = f"95 %: {slope - 2 * error:+.2f} to {slope + 2 * error:+.2f}"
    return [Result(name=f"memory over {total:,} requests, growth for each {each:,} ({span})", unit="MB", ours=slope)]


def slope_of(readings: list[float]) -> tuple[float, float]:
    """Of the line through readings at equal distances, and its standard error."""
    places = [float(place) for place in range(len(readings))]
    slope, intercept = linear_regression(places, readings)
    off = sum((reading - intercept - slope * place) ** 2 for place, reading in zip(places, readings, strict=True))
    middle = sum(places) / len(places)
    return slope, math.sqrt(off / (len(places) - 2) / sum((place - middle) ** 2 for place in places))


class _Client:
    """Asks in turn for everything that is answered quickly, well and badly."""

    _connection: Connection

    def __init__(self, port: int, token: str, number: int) -> None:
        self._port = port
        self._token = token
        self._asked = number
        self._session = ""

    async def ask_many(self, times: int) -> None:
        async with connected(self._port) as self._connection:
            self._session = self._session or await greeted(self._connection, self._token)
            for _ in range(times):
                await self._ask_one()

    async def _ask_one(self) -> None:
        self._asked += 1
        if self._asked % _SELDOM == 0:
            await self._seldom()
            return
        expected, make = _ASKED[self._asked % len(_ASKED)]
        self._check(await ask(self._connection, make(self._token, self._session)), expected)

    async def _seldom(self) -> None:
        if self._asked % (2 * _SELDOM):
            session = await greeted(self._connection, self._token)
            left = request("DELETE", "/mcp", self._token, mcp_session_id=session)
            self._check(await ask(self._connection, left), 200)
            return
        guess = {"email": f"{secrets.token_hex(8)}@example.org", "password": "Guessed-Passw0rd"}
        answer = await ask(self._connection, request("POST", "/api/auth/login", body=guess))
        assert answer.status in {401, 429}, answer

    def _check(self, answer: Answer, expected: int) -> None:
        assert answer.status == expected, answer


def _unknown(_token: str, _session: str) -> bytes:
    return request("GET", f"/api/tasks/{secrets.token_hex(16)}", _token)


# The status that is expected, and how it is asked for with a token in a session.
_ASKED: list[tuple[int, Callable[[str, str], bytes]]] = [
    (200, lambda token, _: request("GET", "/api/agents/default", token)),
    (200, lambda token, session: mcp("tools/call", _CALL, token, session)),
    (200, lambda token, _: request("GET", "/api/tasks?limit=5", token)),
    (200, lambda token, session: mcp("resources/read", {"uri": "agents://list"}, token, session)),
    (401, lambda _, __: request("GET", "/api/agents", secrets.token_urlsafe(60))),
    (401, lambda token, _: request("GET", "/api/agents", token[:-20] + secrets.token_urlsafe(15))),
    (401, lambda _, session: mcp("tools/call", _CALL, None, session)),
    (404, _unknown),
    (400, lambda token, _: request("POST", "/api/tasks", token, {"prompt": "x", secrets.token_hex(8): 1})),
    (404, lambda token, _: mcp("tools/call", _CALL, token, secrets.token_hex(16))),
]

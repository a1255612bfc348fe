"""Requests a second over 8 connections, each an agent that is read, by REST and by MCP over HTTP: with tokens and
limits, against without them; REST against a bare FastAPI route that reads nothing, too.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from databases import databases
from measure import CONTROL, OURS, THEIRS, Measurement, Result, against, both_in_turn, fewer, in_turn
from over_http import (
    CONNECTIONS,
    SERVE,
    UNLIMITED,
    connected,
    greeted,
    mcp,
    pace,
    request,
    serving,
    token_of,
)
from stdio import environment

ROUNDS = 8

_BARE = (str(Path(__file__).with_name("bare_rest.py")),)
_PATH = "/api/agents/default"
_CALL = {"name": "agent_get", "arguments": {"agent": "default"}}


async def results(share: float) -> list[Result]:
    with databases() as urls:
        return [line for name, url in urls.items() for line in await _on(name, url, fewer(ROUNDS, share))]


async def _on(name: str, url: str | None, rounds: int) -> list[Result]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        own = UNLIMITED | ({} if url is None else {"VEL_TUTOR_DATABASE_URL": url})
        variables = environment(folder, "http://127.0.0.1:9/v1", **own)
        with_tokens, without, bare = [
            (await stack.enter_async_context(serving(command, variables)))[0]
            for command in (SERVE, (*SERVE, "--no-auth"), _BARE)
        ]
        token = await token_of(variables)
        open_, barest = _rest(without), _rest(bare)
        taken = await in_turn(
            {
                "auth": _rest(with_tokens, token),
                "open": open_,
                "open again": open_,
                "bare": barest,
                "bare again": barest,
            },
            rounds=rounds,
        )
        of_mcp = await both_in_turn(await _mcp(with_tokens, token), await _mcp(without), rounds=rounds)
    open_taken = {OURS: taken["auth"], THEIRS: taken["open"], CONTROL: taken["open again"]}
    bare_taken = {OURS: taken["auth"], THEIRS: taken["bare"], CONTROL: taken["bare again"]}
    return [
        against(f"REST on {name} / the same with --no-auth", open_taken, float, unit="requests/s"),
        against(f"REST on {name} / bare FastAPI", bare_taken, float, unit="requests/s"),
        against(f"MCP over HTTP on {name} / the same with --no-auth", of_mcp, float, unit="requests/s"),
    ]


def _rest(port: int, token: str | None = None) -> Measurement:
    return pace(port, [request("GET", _PATH, token)] * CONNECTIONS)


async def _mcp(port: int, token: str | None = None) -> Measurement:
    async with connected(port) as connection:
        sessions = [await greeted(connection, token) for _ in range(CONNECTIONS)]
    return pace(port, [mcp("tools/call", _CALL, token, session) for session in sessions])

"""How long work lies still when its process is killed: from the kill -9 until another process has asked again.

A server has the answers of a map's items under way when it is killed; beside it on the same database is a worker, or
another server. The provider tells when the last of them is asked again. Nothing is comparable: the times are plain.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from databases import databases
from measure import Result, fewer
from stdio import OURS, StdioServer, Worker, environment
from upstream import Upstream, upstream

ROUNDS = 10
CALLS = 5
WORDS = 20
LIMIT_SECONDS = 5.0

# Slow enough that no answer ends before the kill; afterwards they are let go at once.
_SLOW, _AT_ONCE = 0.5, 0
_DEFINITION = {
    "inputs": {"type": "object", "properties": {"files": {"type": "array"}}},
    "steps": [{"id": "each", "kind": "map", "over": "inputs.files", "prompt": "Read {{ item }}."}],
}
_INPUTS = {"files": [f"file {number}" for number in range(CALLS)]}
_BY = ("worker", "server")


async def results(share: float) -> list[Result]:
    with databases() as urls:
        return [
            line
            for name, url in urls.items()
            for by in _BY
            for line in _told(name, by, _on(url, by, fewer(ROUNDS, share)))
        ]


def _told(name: str, by: str, took: list[float]) -> list[Result]:
    what = f"{CALLS} calls on {name} taken over by a {by}"
    return [
        Result(name=f"{what}, median of {len(took)}", unit="s", ours=median(took)),
        Result(name=f"{what}, least", unit="s", ours=min(took)),
        Result(name=f"{what}, most", unit="s", ours=max(took), limit=LIMIT_SECONDS),
    ]


def _on(url: str | None, by: str, rounds: int) -> list[float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        provider = stack.enter_context(upstream(WORDS))
        variables = environment(folder, provider.base_url, **({} if url is None else {"VEL_TUTOR_DATABASE_URL": url}))
        if by == "worker":
            stack.enter_context(Worker(variables)).await_ready()
        else:
            other = stack.enter_context(StdioServer(OURS, variables))
            other.initialize()
            other.call("task_list")
        return [_seconds(variables, provider) for _ in range(rounds)]


def _seconds(variables: Mapping[str, str], provider: Upstream) -> float:
    """Of one kill, with all that was under way when it came begun again."""
    with StdioServer(OURS, variables) as server:
        server.initialize()
        server.call("workflow_save", name="calls", definition=_DEFINITION)
        provider.pace(_SLOW)
        provider.seconds()
        server.call("workflow_run", workflow="calls", inputs=_INPUTS, wait_seconds=0)
        provider.begun(CALLS)
        provider.seconds()
        killed = time.monotonic()
        server.kill()
        again = provider.begun(CALLS)
        provider.pace(_AT_ONCE)
        provider.ended(CALLS)
    return again - killed

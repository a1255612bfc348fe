"""From the spawn of the server to its first answers, against the same SDK with one tool; and to a first task done."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Measurement, Result, alone, compared, fewer
from stdio import BARE, OURS, StdioServer, environment
from upstream import upstream

STARTS = 12
TASKS = 6
GOAL = 1.15

Step = Callable[[StdioServer], object]


async def results(share: float) -> list[Result]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, upstream(words=20) as provider:
        variables = environment(Path(folder), provider.base_url)
        return [
            await compared(
                "spawn to initialize / bare SDK",
                _start(OURS, variables),
                _start(BARE, variables),
                unit="ms",
                rounds=fewer(STARTS, share),
                goal=GOAL,
            ),
            await compared(
                "spawn to first tool result / bare SDK",
                _start(OURS, variables, lambda server: server.call("task_list")),
                _start(BARE, variables, lambda server: server.call("echo", text="hello")),
                unit="ms",
                rounds=fewer(STARTS, share),
            ),
            await alone(
                "spawn to first task done", _start(OURS, variables, _task), unit="ms", rounds=fewer(TASKS, share)
            ),
        ]


def _start(arguments: tuple[str, ...], variables: Mapping[str, str], then: Step | None = None) -> Measurement:
    async def measure() -> float:
        begun = time.perf_counter()
        with StdioServer(arguments, variables) as server:
            server.initialize()
            if then is not None:
                then(server)
            return (time.perf_counter() - begun) * 1000

    return measure


def _task(server: StdioServer) -> None:
    task = server.call("task_submit", prompt="Say hello.")
    assert task["structuredContent"]["status"] == "completed", task

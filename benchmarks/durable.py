"""What durability costs: a whole task through our server, against a bare one that calls the model and keeps nothing.

Both are asked one thing after the other; what the model itself took is taken off.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from databases import SQLITE, databases
from measure import Measuring, Result, against, both_in_turn, fewer, unmeasured
from pair import pair
from stdio import StdioServer
from upstream import Upstream

WORDS = 20
ROUNDS = 10
TASKS_IN_ROUND = 20
MOST_MILLISECONDS = {SQLITE: 35.0}

_PROMPT = "Say something short about the weather."


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one task, in milliseconds, above its upstream's time."""

    usual: float
    slow: float
    cpu: float | None


async def results(share: float) -> list[Result]:
    with databases() as urls:
        return [line for name, url in urls.items() for line in await _on(name, url, fewer(ROUNDS, share))]


async def _on(name: str, url: str | None, rounds: int) -> list[Result]:
    with pair(url, WORDS) as (provider, ours, bare):
        taken = await both_in_turn(
            costs(ours, provider, lambda: task(ours)), costs(bare, provider, lambda: _ask(bare)), rounds=rounds
        )
    return [
        against(
            f"task on {name}, p50 / bare tool",
            taken,
            lambda cost: cost.usual,
            unit="ms",
            limit=MOST_MILLISECONDS.get(name),
        ),
        against(f"task on {name}, p95 / bare tool", taken, lambda cost: cost.slow, unit="ms"),
        cpu(f"task on {name}, CPU / bare tool", taken),
    ]


def cpu(name: str, taken: dict[str, list[Cost]]) -> Result:
    if any(cost.cpu is None for costs in taken.values() for cost in costs):
        return unmeasured(name, "this system does not tell the CPU time of another process")
    return against(name, taken, lambda cost: cost.cpu or 0, unit="ms CPU")


def costs(server: StdioServer, provider: Upstream, work: Callable[[], Any]) -> Measuring[Cost]:
    async def measure() -> Cost:
        provider.seconds()
        spent = server.cpu_seconds()
        took = [_milliseconds(work) for _ in range(TASKS_IN_ROUND)]
        now = server.cpu_seconds()
        upstreams = provider.seconds() / TASKS_IN_ROUND * 1000
        cpu = None if spent is None or now is None else (now - spent) / TASKS_IN_ROUND * 1000
        return Cost(median(took) - upstreams, quantiles(took, n=20)[-1] - upstreams, cpu)

    return measure


def _milliseconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def task(server: StdioServer) -> None:
    task = server.call("task_submit", prompt=_PROMPT, wait_seconds=20)
    assert task["structuredContent"]["status"] == "completed", task


def _ask(server: StdioServer) -> None:
    assert "simulated" in server.call("ask", prompt=_PROMPT)["content"][0]["text"]

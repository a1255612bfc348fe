"""Tasks a second, and their CPU, where 32 callers ask at once; against a bare server that keeps nothing."""

import time
from dataclasses import dataclass

from databases import databases
from measure import Measuring, Result, against, both_in_turn, fewer, unmeasured
from pair import pair
from stdio import Json, StdioServer

CALLERS = 32
WORDS = 20
ROUNDS = 8
TASKS_IN_ROUND = 96

_PROMPT = "Say something short about the weather."
_SUBMIT: Json = {"prompt": _PROMPT, "wait_seconds": 45}


@dataclass(frozen=True, slots=True)
class Pace:
    """Of one round; CPU in milliseconds a task."""

    per_second: float
    cpu: float | None


async def results(share: float) -> list[Result]:
    with databases() as urls:
        return [line for name, url in urls.items() for line in await _on(name, url, fewer(ROUNDS, share))]


async def _on(name: str, url: str | None, rounds: int) -> list[Result]:
    # As many at once as there are callers: what is measured is the work, not the queue before it.
    with pair(url, WORDS, VEL_TUTOR_TASKS_IN_PROGRESS=str(CALLERS)) as (_, ours, bare):
        taken = await both_in_turn(
            _pace(ours, "task_submit", _SUBMIT), _pace(bare, "ask", {"prompt": _PROMPT}), rounds=rounds
        )
    what = f"{CALLERS} callers on {name}"
    lines = [against(f"{what} / bare tool", taken, lambda pace: pace.per_second, unit="tasks/s")]
    if taken["ours"][0].cpu is None:
        return [*lines, unmeasured(f"{what}, CPU of a task", "this system does not tell another process's CPU time")]
    return [*lines, against(f"{what}, CPU of a task / bare tool", taken, lambda pace: pace.cpu or 0, unit="ms CPU")]


def _pace(server: StdioServer, tool: str, arguments: Json) -> Measuring[Pace]:
    async def measure() -> Pace:
        spent, begun = server.cpu_seconds(), time.perf_counter()
        _ask(server, tool, arguments)
        took, now = time.perf_counter() - begun, server.cpu_seconds()
        cpu = None if spent is None or now is None else (now - spent) / TASKS_IN_ROUND * 1000
        return Pace(TASKS_IN_ROUND / took, cpu)

    return measure


def _ask(server: StdioServer, tool: str, arguments: Json) -> None:
    """As many calls as belong to a round, with one more sent for each that is answered."""
    for _ in range(CALLERS):
        server.send_call(tool, arguments)
    for answered in range(TASKS_IN_ROUND):
        task = server.receive_call().get("structuredContent", {})
        assert task.get("status") in {None, "completed"}, task
        if answered < TASKS_IN_ROUND - CALLERS:
            server.send_call(tool, arguments)

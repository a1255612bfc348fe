"""What a step of a run costs above its upstream's time; against the same prompts as single tasks.

A client that has no workflows submits each task after the answer to the one before. What the provider took is taken
off: of single tasks and of a chain all of it, of a map one answer, since its items are asked together.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from databases import databases
from measure import Measuring, Result, against, both_in_turn, fewer, unmeasured
from stdio import OURS, Json, StdioServer, environment
from upstream import Upstream, upstream

WORDS = 20
ROUNDS = 5
STEPS, ITEMS = 10, 20
LATENCIES = (0.0, 0.05)

_ANSWER = " ".join(["simulated"] * WORDS)
_CHAIN: Json = {
    "steps": [
        {"id": "s0", "kind": "task", "prompt": "Say something short about the weather."},
        *(
            {
                "id": f"s{place}",
                "kind": "task",
                "needs": [f"s{place - 1}"],
                "prompt": f"Say it shorter: {{{{ steps.s{place - 1}.output }}}}",
            }
            for place in range(1, STEPS)
        ),
    ]
}
_MAP: Json = {
    "inputs": {"type": "object", "properties": {"files": {"type": "array"}}},
    "steps": [{"id": "each", "kind": "map", "over": "inputs.files", "prompt": "Read {{ item }}."}],
}
_FILES = [f"file {number}" for number in range(ITEMS)]

Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one step, in milliseconds: its time above its upstream's, and the server's CPU."""

    above: float
    cpu: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A workflow, what it is given, and what a client would ask without it; `deep` steps follow one another."""

    name: str
    what: str
    inputs: Json
    prompts: Sequence[str]
    deep: int


_SHAPES = (
    Shape(
        name="chain",
        what=f"step of a chain of {STEPS}",
        inputs={},
        prompts=["Say something short about the weather.", *[f"Say it shorter: {_ANSWER}"] * (STEPS - 1)],
        deep=STEPS,
    ),
    Shape(
        name="map",
        what=f"item of a map of {ITEMS}",
        inputs={"files": _FILES},
        prompts=[f"Read {name}." for name in _FILES],
        deep=1,
    ),
)


async def results(share: float) -> list[Result]:
    with databases() as urls:
        return [
            line
            for name, url in urls.items()
            for latency in LATENCIES
            for line in await _on(name, url, latency, fewer(ROUNDS, share))
        ]


async def _on(name: str, url: str | None, latency: float, rounds: int) -> list[Result]:
    lines: list[Result] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True)))
        provider = stack.enter_context(upstream(WORDS, latency=latency))
        # As many at once as the map has items: what is measured is the work, not the queue before it.
        own = {"VEL_TUTOR_TASKS_IN_PROGRESS": str(ITEMS)} | ({} if url is None else {"VEL_TUTOR_DATABASE_URL": url})
        server = stack.enter_context(StdioServer(OURS, environment(folder, provider.base_url, **own)))
        server.initialize()
        server.call("workflow_save", name="chain", definition=_CHAIN)
        server.call("workflow_save", name="map", definition=_MAP)
        for shape in _SHAPES:
            taken = await both_in_turn(
                _costs(server, provider, shape, _run(server, shape), shape.deep),
                _costs(server, provider, shape, _tasks(server, shape), len(shape.prompts)),
                rounds=rounds,
                warmups=1,
            )
            what = f"{shape.what} on {name}, upstream {latency * 1000:g} ms"
            lines += [
                against(f"{what} / single task", taken, lambda cost: cost.above, unit="ms"),
                _cpu(f"{what}, CPU / single task", taken),
            ]
    return lines


def _cpu(name: str, taken: dict[str, list[Cost]]) -> Result:
    if any(cost.cpu is None for costs in taken.values() for cost in costs):
        return unmeasured(name, "this system does not tell the CPU time of another process")
    return against(name, taken, lambda cost: cost.cpu or 0, unit="ms CPU")


def _costs(server: StdioServer, provider: Upstream, shape: Shape, work: Work, deep: int) -> Measuring[Cost]:
    """`deep` answers follow one another: so many of the provider's are on the critical path."""
    count = len(shape.prompts)

    async def measure() -> Cost:
        provider.seconds()
        spent, begun = server.cpu_seconds(), time.perf_counter()
        work()
        took, now = time.perf_counter() - begun, server.cpu_seconds()
        waited = provider.seconds() / count * deep
        cpu = None if spent is None or now is None else (now - spent) / count * 1000
        return Cost((took - waited) / count * 1000, cpu)

    return measure


def _run(server: StdioServer, shape: Shape) -> Work:
    def work() -> None:
        run = server.call("workflow_run", workflow=shape.name, inputs=shape.inputs, wait_seconds=45)
        assert run["structuredContent"]["status"] == "completed", run

    return work


def _tasks(server: StdioServer, shape: Shape) -> Work:
    def work() -> None:
        for prompt in shape.prompts:
            task = server.call("task_submit", prompt=prompt, wait_seconds=45)
            assert task["structuredContent"]["status"] == "completed", task

    return work

"""Kill -9 in a run of many steps, at each boundary and in between: it ends alike, and nothing is done twice."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest
from deployment import DATABASES, Deployment
from server import Server, alone, serving, soon
from waits import lapse
from world import Providers

from vel_tutor_mcp.providers.simulated import SimulatedProvider

# PostgreSQL in `make soak`: what a run does next is the same code, and tasks are killed on both.
PLACES = [("stdio", database) for database in (DATABASES if "VEL_TEST_KILLS" in os.environ else DATABASES[:1])]
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("deployment", PLACES, indirect=True, ids="-".join),
]

KILLS = int(os.environ.get("VEL_TEST_KILLS", "10"))
ITEMS = 50
AT_ONCE = 10
MAX_RUN_SECONDS = 120
LATEST_KILL_SECONDS = 0.6

Told = dict[str, Any]
PARALLEL = ("north", "east", "south", "west")


def step(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    seen = "".join(f" [{{{{ steps.{need}.output }}}}]" for need in needs)
    return {"id": name, "kind": "task", "needs": list(needs), "prompt": f"Do {name}{seen}"} | more


# Twelve steps: four in parallel, a condition, an approval, and a map of fifty.
DEFINITION: dict[str, Any] = {
    "inputs": {"type": "object", "properties": {"files": {"type": "array"}, "run": {"type": "string"}}},
    "steps": [
        step("start", prompt="Do start of {{ inputs.run }}"),
        *(step(name, "start") for name in PARALLEL),
        step("each", "start", kind="map", over="inputs.files", prompt="Read {{ item }} of {{ inputs.run }}"),
        step("maybe", "north", when="steps.north.output contains 'north'"),
        step("ok", *PARALLEL, "maybe", kind="approval"),
        step("after", "maybe", "ok", prompt="Do after, {{ steps.ok.output.comment }}: {{ steps.maybe.output }}"),
        step("collect", "each", prompt="Collect {{ steps.each.output.succeeded }} of {{ inputs.run }}"),
        step("report", "after", "collect"),
        step("last", "report", "maybe"),
    ],
}


Reached = Callable[[Server, str, SimulatedProvider], Awaitable[None]]


def asked(words: str, times: int = 1) -> Reached:
    """The provider has been asked so often for what begins with these words: the step has just begun."""

    async def reached(_server: Server, _run_id: str, groq: SimulatedProvider) -> None:
        await soon(groq.until(lambda groq: sum(row.prompt.startswith(words) for row in groq.requests) >= times))

    return reached


async def waiting(server: Server, run_id: str, _groq: SimulatedProvider) -> None:
    await until(server, run_id, "awaiting_approval")


async def approved(server: Server, run_id: str, groq: SimulatedProvider) -> None:
    await server.call("workflow_decide", run=run_id, step="ok", approve=True, comment="Go on")
    await asked("Do after")(server, run_id, groq)


# The boundaries of the steps in the order of the run, ten as there are kills.
BOUNDARIES: Sequence[Reached] = (
    asked("Do start"),
    asked("Do west"),
    asked("Read"),
    asked("Read", ITEMS // 2),
    asked("Do maybe"),
    waiting,
    approved,
    asked("Collect"),
    asked("Do report"),
    asked("Do last"),
)


async def started(server: Server, name: str) -> str:
    await server.call("workflow_save", name="long", definition=DEFINITION)
    inputs = {"run": name, "files": [f"file {number}" for number in range(ITEMS)]}
    run = await server.call("workflow_run", workflow="long", inputs=inputs, wait_seconds=0)
    return str(run["id"])


async def until(server: Server, run_id: str, status: str) -> None:
    async with asyncio.timeout(MAX_RUN_SECONDS):
        while (await server.call("workflow_get", id=run_id, wait_seconds=5))["status"] != status:
            pass


async def undisturbed(server: Server, groq: SimulatedProvider) -> str:
    run_id = await started(server, "one")
    await waiting(server, run_id, groq)
    await approved(server, run_id, groq)
    return run_id


async def killed(deployment: Deployment, groq: SimulatedProvider, random: Random) -> str:
    """A run whose server is killed at each boundary, or a little later."""
    run_id = ""
    for reached in BOUNDARIES:
        async with deployment.serving(alone(groq)) as server:
            run_id = run_id or await started(server, "one")
            await reached(server, run_id, groq)
            await lapse(random.choice([0, random.uniform(0, LATEST_KILL_SECONDS)]))
            await server.kill()
    return run_id


async def ending(server: Server, run_id: str) -> Told:
    """What each step of the run is and gave in the end."""
    await until(server, run_id, "completed")
    told = json.loads(await server.read(f"run://{run_id}"))
    steps = {row["id"]: (row["status"], row["output"]) for row in told["steps"]}
    steps["ok"][1].pop("at")
    return steps


async def check_calls(server: Server, groq: SimulatedProvider, run_id: str) -> int:
    """No finished step ran again, and only what a kill had cut was asked again; returns how often that was."""
    calls = Counter(request.prompt for request in groq.requests)
    cut, cursor, tasks = 0, None, 0
    while True:
        page = await server.call("task_list", limit=100, **({"cursor": cursor} if cursor else {}))
        for row in page["tasks"]:
            told = await server.call("task_get", id=row["id"])
            *before, last = [attempt["outcome"] for attempt in told["attempts"]]
            assert (last, set(before) - {"cut"}) == ("completed", set()), told
            assert 1 <= calls[told["prompt"]] <= len(told["attempts"])
            cut, tasks = cut + len(before), tasks + 1
        if (cursor := page["next_cursor"]) is None:
            break
    entries = (await server.call("audit_search", subject=f"run:{run_id}", limit=100))["entries"]
    ended = Counter(entry["payload"].get("step") for entry in entries if entry["action"] == "step_completed")
    assert ended == Counter({row["id"]: 1 for row in DEFINITION["steps"]})
    assert (tasks, len(calls)) == (ITEMS + len(DEFINITION["steps"]) - 2, tasks)
    return cut


def answer(body: Told) -> str:
    return f"<{body['messages'][-1]['content'][-60:]}>"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def expected(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """How the run ends where nobody disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    async with SimulatedProvider("groq", answer=answer) as groq, serving(folder, alone(groq)) as server:
        return await ending(server, await undisturbed(server, groq))


@pytest.mark.kills
@pytest.mark.timeout(60 + 20 * len(BOUNDARIES))
@pytest.mark.parametrize("seed", range(max(1, KILLS // len(BOUNDARIES))))
async def test_a_run_ends_alike_however_often_its_server_is_killed(
    deployment: Deployment, providers: Providers, expected: Told, seed: int
) -> None:
    groq = providers.groq
    groq.answer, groq.latency, groq.tokens_per_second = answer, 0.05, 40

    run_id = await killed(deployment, groq, Random(seed))
    async with deployment.serving(alone(groq)) as server:
        assert await ending(server, run_id) == expected
        cut = await check_calls(server, groq, run_id)

    assert 0 < cut <= AT_ONCE * len(BOUNDARIES)
    assert len(groq.requests) <= ITEMS + len(DEFINITION["steps"]) - 2 + cut

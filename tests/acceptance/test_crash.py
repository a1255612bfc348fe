"""Kill -9, at any moment: nothing is lost, nothing is done twice unseen, and every cut call is in the books."""

import asyncio
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from deployment import DATABASES, ONCE, PLACES, Deployment
from server import Server, alone, one_sentence, soon
from waits import lapse
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("VEL_TEST_KILLS", "6"))
# A task that is cut six times in a row fails, by design: every few lives all of them may end.
REST_EVERY = 4
LATEST_KILL_SECONDS = 0.7
MAX_LIFE_SECONDS = 15

Task = dict[str, Any]

once = pytest.mark.parametrize("deployment", ONCE, indirect=True, ids="-".join)
# The long loop of `make soak` runs on each database.
looped = pytest.mark.parametrize(
    "deployment",
    [("stdio", database) for database in DATABASES] if "VEL_TEST_KILLS" in os.environ else ONCE,
    indirect=True,
    ids="-".join,
)

WINDOWS: dict[str, Callable[[SimulatedProvider], bool]] = {
    "while the first token is awaited": lambda groq: groq.open == 1,
    "in mid-stream": lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 3,
    "after the last byte": lambda groq: groq.requests != [] and groq.open == 0,
}


def _name(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else "-".join(value)


# Every kill takes seconds: one in each place, the other windows once.
SINGLE_KILLS = [(place, "in mid-stream") for place in PLACES] + [
    (place, window) for place in ONCE for window in WINDOWS if window != "in mid-stream"
]


def outcomes(task: Task) -> list[str]:
    return [attempt["outcome"] for attempt in task["attempts"]]


async def submit(server: Server, prompt: str, **arguments: Any) -> Task:
    return await server.call("task_submit", prompt=prompt, wait_seconds=0, **arguments)


async def ended(server: Server, task: Task) -> Task:
    return await server.call("task_get", id=task["id"], wait_seconds=30)


async def entries(server: Server, task: Task) -> Counter[str]:
    """How often each action is in the audit trail of the task."""
    found = await server.call("audit_search", subject=f"task:{task['id']}", limit=100)
    return Counter(entry["action"] for entry in found["entries"])


async def check_completed_once(server: Server, provider: SimulatedProvider, task: Task) -> int:
    """How many of its calls were cut."""
    task = await ended(server, task)
    calls = [request for request in provider.requests if request.prompt == task["prompt"]]
    *cut, last = outcomes(task)
    actions = await entries(server, task)

    assert (task["status"], last) == ("completed", "completed"), task
    assert set(cut) <= {"cut"}
    assert 1 <= len(calls) <= len(task["attempts"])
    assert sum(not call.closed_early for call in calls) - 1 <= len(cut)
    assert (actions["task_submitted"], actions["task_completed"]) == (1, 1)
    assert actions["provider_called"] == len(task["attempts"])
    return len(cut)


@pytest.mark.kills
@looped
@pytest.mark.timeout(60 + MAX_LIFE_SECONDS * KILLS)
async def test_every_task_ends_exactly_once_however_often_the_server_is_killed(
    deployment: Deployment, providers: Providers
) -> None:
    groq, random, tasks = providers.groq, Random(20261123), list[Task]()
    groq.tokens_per_second = 30  # 13 words: about 0.4 s
    for life in range(KILLS):
        async with deployment.serving(alone(groq)) as server:
            if life % REST_EVERY == 0:
                await asyncio.gather(*(ended(server, task) for task in tasks[-3 * REST_EVERY :]))
            for _ in range(random.randint(2, 3)):
                tasks.append(await submit(server, f"Task number {len(tasks)}"))
            await lapse(random.uniform(0, LATEST_KILL_SECONDS))
            await server.kill()

    async with deployment.serving(alone(groq)) as server:
        cut = sum([await check_completed_once(server, groq, task) for task in tasks])
    assert cut >= KILLS / 2  # or the kills met nobody at work
    if deployment.database == "sqlite":
        check_file(server.database, len(tasks))


def check_file(path: Path, tasks: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM tasks").fetchone() == (tasks,)


@pytest.mark.kills
@pytest.mark.parametrize(("deployment", "window"), SINGLE_KILLS, indirect=["deployment"], ids=_name)
async def test_a_task_whose_server_is_killed_completes_at_the_next_start(
    deployment: Deployment, providers: Providers, window: str
) -> None:
    groq = providers.groq
    groq.latency, groq.tokens_per_second = 0.2, 30
    async with deployment.serving(alone(groq)) as server:
        task = await submit(server, "Outlive the server")
        await soon(groq.until(WINDOWS[window]))
        await server.kill()

    async with deployment.serving(alone(groq)) as server:
        await check_completed_once(server, groq, task)
        task = await ended(server, task)
    assert task["output"].endswith("Outlive the server")


@pytest.mark.kills
@once
async def test_a_cut_call_is_repeated_without_asking_again_who_had_failed(
    deployment: Deployment, providers: Providers
) -> None:
    openai, groq = providers.openai, providers.groq
    openai.always = Fault(kind="status", status=503)
    groq.tokens_per_second = 10
    async with deployment.serving(providers.environment()) as server:
        await server.call("agent_create", name="pair", config={"providers": ["openai", "groq"], "policy": "fixed"})
        task = await submit(server, "Go on with the second", agent="pair")
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 1))
        await server.kill()
    openai.always = None

    async with deployment.serving(providers.environment()) as server:
        task = await ended(server, task)

    assert (task["status"], task["provider"]) == ("completed", "groq")
    tried = [(attempt["provider"], attempt["outcome"]) for attempt in task["attempts"]]
    assert tried == [("openai", "failed"), ("groq", "cut"), ("groq", "completed")]
    assert (len(openai.requests), len(groq.requests)) == (1, 2)


@pytest.mark.kills
@once
async def test_a_retried_task_goes_on_with_its_retry(deployment: Deployment, providers: Providers) -> None:
    groq = providers.groq
    groq.always, groq.tokens_per_second = Fault(kind="status", status=401), 10
    async with deployment.serving(alone(groq)) as server:
        task = await server.call("task_submit", prompt="Try again", wait_seconds=15)
        groq.always = None
        await server.call("task_retry", id=task["id"], wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1))
        await server.kill()

    async with deployment.serving(alone(groq)) as server:
        task = await ended(server, task)

    assert (task["status"], outcomes(task)) == ("completed", ["failed", "cut", "completed"])
    assert len(groq.requests) == 3


@pytest.mark.kills
@once
async def test_a_task_that_takes_the_server_down_six_times_fails(deployment: Deployment, providers: Providers) -> None:
    groq = providers.groq
    groq.always = Fault(kind="stall")
    async with deployment.serving(alone(groq)) as server:
        task = await submit(server, "Poison")
        await soon(groq.until(lambda groq: len(groq.requests) == 1))
        await server.kill()
    for life in range(2, 7):
        async with deployment.serving(alone(groq)) as server:
            await soon(groq.until(lambda groq, life=life: len(groq.requests) == life))  # type: ignore[misc]
            await server.kill()

    async with deployment.serving(alone(groq)) as server:
        task = await ended(server, task)
        actions = await entries(server, task)

    assert (task["status"], task["error"]["code"]) == ("failed", "recovered_too_often")
    assert "died 6 times" in task["error"]["message"]
    assert one_sentence(task["error"]["message"])
    assert (outcomes(task), len(groq.requests)) == (["cut"] * 6, 6)
    assert actions["task_failed"] == 1

"""Several servers on one database, as two MCP clients open at once are: each task is run once, by whoever lives."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from server import Server, ToolRefused, serving, soon
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider

pytestmark = pytest.mark.anyio

DATABASES = {"sqlite": 2, "postgresql": 4}
COUNTS = [50, 200] if "VEL_TEST_KILLS" in os.environ else [24]
# Of seconds (`benchmarks/run.py --only takeover`), on a machine with other things to do; less than the answers take.
TAKEN_OVER_SECONDS = CANCELLED_SECONDS = 20.0
TOLD_SECONDS = 20.0
AGAIN = {"steps": [{"id": "a", "kind": "task", "prompt": "Say it", "retry": {"attempts": 2, "backoff_seconds": 1}}]}
TEMPLATE = {"template": True, "steps": [{"id": "a", "kind": "approval", "prompt": "Go on?"}]}

Task = dict[str, Any]


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def variables(database: str, providers: Providers, request: pytest.FixtureRequest) -> dict[str, str]:
    url = {"VEL_TUTOR_DATABASE_URL": request.getfixturevalue("postgres_url")} if database == "postgresql" else {}
    return providers.environment() | url


@asynccontextmanager
async def servers(count: int, folder: Path, variables: dict[str, str]) -> AsyncIterator[list[Server]]:
    """So many servers with one home, started at once."""
    async with AsyncExitStack() as stack:
        made = [serving(folder, variables) for _ in range(count)]
        yield list(await asyncio.gather(*(stack.enter_async_context(server) for server in made)))


async def submitted(server: Server, name: str, count: int) -> list[Task]:
    prompts = [f"Say {name} {number}" for number in range(count)]
    return await asyncio.gather(*(server.call("task_submit", prompt=prompt, wait_seconds=0) for prompt in prompts))


async def ended(server: Server, task: Task) -> Task:
    while task["status"] in {"pending", "in_progress"}:
        task = await server.call("task_get", id=task["id"], wait_seconds=30)
    return task


def prompts_asked(*providers: SimulatedProvider) -> Counter[str]:
    return Counter(request.prompt for provider in providers for request in provider.requests)


@pytest.mark.kills
@pytest.mark.parametrize("count", COUNTS)
async def test_servers_on_one_database_share_their_tasks_and_run_none_twice(
    tmp_path: Path, providers: Providers, database: str, variables: dict[str, str], count: int
) -> None:
    together = DATABASES[database]
    each = count * 2 // together
    async with servers(together, tmp_path, variables) as running:
        made = await asyncio.gather(*(submitted(server, f"{place}", each) for place, server in enumerate(running)))
        asked = [(server, task) for server, tasks in zip(reversed(running), made, strict=True) for task in tasks]
        done = await asyncio.gather(*(ended(server, task) for server, task in asked))

    assert len(done) == count * 2
    assert {task["status"] for task in done} == {"completed"}
    assert {len(task["attempts"]) for task in done} == {1}
    assert set(prompts_asked(providers.openai, providers.groq).values()) == {1}
    assert len(prompts_asked(providers.openai, providers.groq)) == count * 2
    assert [server.stderr for server in running] == [b""] * together


async def test_a_server_finishes_the_tasks_of_one_that_was_killed(
    tmp_path: Path, providers: Providers, variables: dict[str, str]
) -> None:
    providers.groq.tokens_per_second = 0.5  # all five are under way when it is killed
    async with servers(2, tmp_path, variables) as (one, other):
        tasks = await submitted(one, "it", 5)
        await soon(providers.groq.until(lambda groq: groq.open == 5))
        waiting = [asyncio.create_task(ended(other, task)) for task in tasks]
        await one.kill()
        providers.groq.tokens_per_second = 0
        done = await asyncio.wait_for(asyncio.gather(*waiting), TAKEN_OVER_SECONDS)

    assert {task["status"] for task in done} == {"completed"}
    assert [[attempt["outcome"] for attempt in task["attempts"]] for task in done] == [["cut", "completed"]] * 5
    assert set(prompts_asked(providers.groq).values()) == {2}


async def told_of(server: Server, method: str, count: int = 1) -> list[Any]:
    """The first notifications of this method, once there are so many."""
    async with asyncio.timeout(TOLD_SECONDS):
        while len(told := [message for message in server.heard if message["method"] == method]) < count:
            await server.request("ping")
    return [message.get("params") for message in told]


async def test_a_task_is_followed_and_cancelled_through_a_server_that_does_not_run_it(
    tmp_path: Path, providers: Providers, variables: dict[str, str]
) -> None:
    providers.groq.tokens_per_second = 20
    providers.groq.answer = lambda _: "word " * 2000
    async with servers(2, tmp_path, variables) as (one, other):
        (task,) = await submitted(one, "it", 1)
        output = {"uri": f"task://{task['id']}/output"}
        await other.request("resources/subscribe", **output)
        followed = {"name": "task_get", "arguments": {"id": task["id"], "wait_seconds": 30}}
        answer = asyncio.create_task(other.request("tools/call", **followed, _meta={"progressToken": "news"}))
        await soon(providers.groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 5))
        cancelled = await other.call("task_cancel", id=task["id"])
        await soon(providers.groq.until(lambda groq: groq.open == 0), CANCELLED_SECONDS)
        told = (await answer)["structuredContent"]
        seen = await one.call("task_get", id=task["id"], wait_seconds=10)
        assert await told_of(other, "notifications/resources/updated") == [output]
        await one.call("workflow_save", name="template", definition=TEMPLATE)
        await told_of(other, "notifications/prompts/list_changed")

    news = [message["params"]["message"] for message in other.heard if message["method"] == "notifications/progress"]
    assert any("groq" in message or "tokens so far" in message for message in news[:-1]), news
    assert any("cancelled" in message for message in news), news
    assert {told["status"], seen["status"]} == {"cancelled"}
    assert cancelled["status"] in {"cancelled", "in_progress"}
    assert seen["partial"]
    assert "word word" in seen["output"]


def without_keys(variables: dict[str, str]) -> dict[str, str]:
    """As `install` without `--keys` leaves a client's server."""
    return {name: value for name, value in variables.items() if not name.endswith("_API_KEY")}


async def until_left(server: Server, task: Task) -> None:
    """Wait until the task is told to wait for a server that has a key."""
    async with asyncio.timeout(TAKEN_OVER_SECONDS):
        while not task["history"][-1]["message"].startswith("waiting for a server"):
            task = await server.call("task_get", id=task["id"], wait_seconds=1)


@pytest.mark.parametrize("one_is", ["killed", "closed"])
async def test_a_server_without_a_key_leaves_the_tasks_of_one_that_is_gone_to_the_next_that_has_a_key(
    tmp_path: Path, providers: Providers, variables: dict[str, str], one_is: str
) -> None:
    providers.groq.tokens_per_second = 0.5
    async with serving(tmp_path, without_keys(variables)) as keyless:
        async with serving(tmp_path, variables) as one:
            (task,) = await submitted(one, "it", 1)
            await soon(providers.groq.until(lambda groq: groq.open == 1))
            if one_is == "killed":
                await one.kill()
        providers.groq.tokens_per_second = 0
        await until_left(keyless, task)
        with pytest.raises(ToolRefused, match="no provider has a key; set OPENAI_API_KEY"):
            await submitted(keyless, "more", 1)
        async with serving(tmp_path, variables):
            done = await soon(ended(keyless, task))

    assert done["status"] == "completed", done["error"]
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["cut", "completed"]


async def test_a_step_is_tried_again_by_the_server_that_has_a_key(
    tmp_path: Path, providers: Providers, variables: dict[str, str]
) -> None:
    async with serving(tmp_path, without_keys(variables)), serving(tmp_path, variables) as one:
        await one.call("workflow_save", name="again", definition=AGAIN)
        for _ in range(3):
            providers.groq.faults = [Fault(kind="status", status=400)]
            run = await one.call("workflow_run", workflow="again", wait_seconds=30)
            assert run["status"] == "completed", run["error"]

"""Limits of calls at a provider, over all servers and workers on one database, counted at the provider."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import COMMAND
from server import Server, alone, serving, soon
from waits import found
from world import Providers, held

from vel_tutor_mcp.providers.simulated import SimulatedProvider

pytestmark = pytest.mark.anyio

SERVERS = {"sqlite": 2, "postgresql": 3}
WORKER = (*COMMAND, "worker")
BEGUN_SECONDS = 10.0  # the look each second, on a busy machine

Task = dict[str, Any]


@pytest.fixture(params=SERVERS)
def database(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def variables(database: str, providers: Providers, request: pytest.FixtureRequest) -> dict[str, str]:
    url = {"VEL_TUTOR_DATABASE_URL": request.getfixturevalue("postgres_url")} if database == "postgresql" else {}
    return alone(providers.groq) | {"VEL_TUTOR_TASKS_IN_PROGRESS": "20"} | url


@asynccontextmanager
async def fleet(database: str, folder: Path, variables: dict[str, str], limit: str) -> AsyncIterator[list[Server]]:
    """Servers, on PostgreSQL a worker too, whose file sets this limit for Groq."""
    config = folder / "vel-tutor.toml"
    config.write_text(f"[providers.groq]\n{limit}\n")
    values = variables | {"VEL_TUTOR_CONFIG": str(config)}
    async with AsyncExitStack() as stack:
        if database == "postgresql":
            worker = await stack.enter_async_context(Server(folder, values, WORKER))
            stack.callback(worker.terminate)
        made = [serving(folder, values) for _ in range(SERVERS[database])]
        yield list(await asyncio.gather(*(stack.enter_async_context(server) for server in made)))


async def submitted(servers: list[Server], count: int) -> list[Task]:
    """So many tasks in all, through each server in turn."""
    turns = [servers[number % len(servers)] for number in range(count)]
    return await asyncio.gather(
        *(server.call("task_submit", prompt=f"Say {n}", wait_seconds=0) for n, server in enumerate(turns))
    )


async def ended(server: Server, task: Task) -> Task:
    while task["status"] in {"pending", "in_progress"}:
        task = await server.call("task_get", id=task["id"], wait_seconds=30)
    return task


def peak(provider: SimulatedProvider) -> int:
    """The most calls that were open at once."""
    calls = [(call.started, call.ended) for call in provider.requests]
    return max(sum(began <= at and (end is None or at < end) for began, end in calls) for at, _ in calls)


async def test_no_more_calls_are_open_at_a_provider_than_its_limit_whoever_makes_them(
    tmp_path: Path, providers: Providers, database: str, variables: dict[str, str]
) -> None:
    groq = providers.groq
    groq.latency = 0.2
    async with fleet(database, tmp_path, variables, "max_concurrent = 3") as servers:
        with held(groq):  # until all places are taken at once, however slowly
            made = await submitted(servers, 40)
            await soon(groq.until(lambda groq: groq.open == 3))
        done = await asyncio.gather(*(ended(servers[n % 2], task) for n, task in enumerate(made)))

    assert Counter(task["status"] for task in done) == {"completed": 40}
    assert {len(task["attempts"]) for task in done} == {1}
    assert set(Counter(request.prompt for request in providers.groq.requests).values()) == {1}
    assert peak(providers.groq) == 3
    assert [server.stderr for server in servers] == [b""] * len(servers)


async def test_no_more_calls_begin_in_a_minute_than_a_providers_limit_whoever_makes_them(
    tmp_path: Path, providers: Providers, database: str, variables: dict[str, str]
) -> None:
    async with fleet(database, tmp_path, variables, "max_per_minute = 10") as servers:
        made = await submitted(servers, 12)
        await soon(providers.groq.until(lambda groq: len(groq.requests) == 10 and groq.open == 0))
        waiting = [task for task in await states(servers[0], made, "completed", 10) if task["status"] == "pending"]
        for task in waiting:
            told = await servers[1].call("task_cancel", id=task["id"])
            assert told["history"][-2]["message"] == "waiting for a free place at groq (limit 10 a minute)"

    assert (len(waiting), len(providers.groq.requests)) == (2, 10)


async def states(server: Server, tasks: list[Task], status: str, count: int) -> list[Task]:
    """The tasks, as soon as so many have this status and all others have been told to wait for a place."""

    async def standing() -> list[Task] | None:
        seen = [await server.call("task_get", id=task["id"], wait_seconds=0) for task in tasks]
        others = [task for task in seen if task["status"] != status]
        return seen if len(others) == len(tasks) - count and all(map(waits, others)) else None

    return await found(standing)


def waits(task: Task) -> bool:
    return task["status"] == "pending" and "waiting for a free place" in str(task["history"][-1]["message"])


async def test_a_place_that_a_killed_server_held_is_had_by_a_task_that_waits_elsewhere(
    tmp_path: Path, providers: Providers, database: str, variables: dict[str, str]
) -> None:
    groq = providers.groq
    groq.tokens_per_second = 20
    async with fleet(database, tmp_path, variables | {"VEL_TUTOR_CONCURRENCY": "5"}, "max_concurrent = 1") as servers:
        one, other = servers[:2]
        (first,) = await submitted([one], 1)
        await soon(groq.until(lambda groq: groq.open == 1))
        later = await submitted([other], 2)
        await one.kill()
        groq.tokens_per_second = 0
        done = [await ended(other, task) for task in (first, *later)]

    assert [task["status"] for task in done] == ["completed"] * 3
    assert [[attempt["outcome"] for attempt in task["attempts"]] for task in done[1:]] == [["completed"]] * 2
    assert peak(groq) == 1


async def test_a_place_that_is_freed_in_one_server_is_had_in_another_within_a_second_or_so(
    tmp_path: Path, providers: Providers, database: str, variables: dict[str, str]
) -> None:
    groq = providers.groq
    groq.tokens_per_second = 20
    groq.answer = lambda _: "word " * 400
    async with fleet(database, tmp_path, variables, "max_concurrent = 1") as servers:
        (first,) = await submitted(servers[:1], 1)
        await soon(groq.until(lambda groq: groq.open == 1))
        (second,) = await submitted(servers[1:2], 1)
        await states(servers[1], [first, second], "in_progress", 1)
        await servers[1].call("task_cancel", id=first["id"])
        await soon(groq.until(lambda groq: len(groq.requests) == 2), BEGUN_SECONDS)
        await servers[0].call("task_cancel", id=second["id"])

    assert peak(groq) == 1

"""A fleet of workers on one PostgreSQL: killed, frozen, restarted one after the other; each task ends exactly once."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from processes import COMMAND
from server import RequestRefused, Server, ServerGone, ToolRefused, serving, soon
from waits import found, lapse
from world import Providers

from vel_tutor_mcp.store import postgresql
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.places import database_at

pytestmark = pytest.mark.anyio

STOP_SECONDS = float(os.environ.get("VEL_TEST_STOP_SECONDS", "30" if "VEL_TEST_KILLS" in os.environ else "14"))
# The promise is 5 s and 15 s; a frozen process may hold the writer's lock for ten seconds more, and the machine have
# other things to do.
KILLED_SECONDS, FROZEN_SECONDS = 20.0, 40.0
BUSY_SECONDS = 20.0
LONGEST_SECONDS = 40.0  # an answer that is slow meanwhile, and a start or two
PACE, SLOW = 25, 0.5  # tokens a second, of 14: about 0.6 s, and longer than any wait here
LONG_AGO = datetime.fromtimestamp(0, UTC)
TASKS = 60
EACH, LANES = 8, 6
TABLES = {"tasks": "id", "attempts": "task_id", "task_events": "task_id", "audit_logs": "subject"}

Task = dict[str, Any]
Rows = list[tuple[Any, ...]]


class Worker(Server):
    """Is asked to leave by a signal."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        super().__init__(folder, variables, (*COMMAND, "worker"))

    def leave(self) -> None:
        self.terminate()


class Door(serving):
    """A server that leaves all tasks to the workers; it is open."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        super().__init__(folder, variables | {"VEL_TUTOR_CONCURRENCY": "0"})

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.call("task_list")
        return self


class Observer:
    """Looks at the database as it is."""

    def __init__(self, connection: "psycopg.AsyncConnection[tuple[Any, ...]]") -> None:
        self._connection = connection

    async def rows(self, sql: str, *parameters: Any) -> Rows:
        return await (await self._connection.execute(sql.encode(), parameters or None)).fetchall()

    async def until(self, sql: str, *parameters: Any, seconds: float) -> float:
        """The seconds until the query's one value is true."""
        began = time.monotonic()

        async def look() -> bool | None:
            return (await self.rows(sql, *parameters))[0][0] or None

        await found(look, seconds)
        return time.monotonic() - began

    async def until_busy(self, worker: Server, tasks: int = 1) -> None:
        sql = "SELECT count(*) >= %s FROM tasks JOIN attempts ON attempts.task_id = tasks.id AND outcome = 'open' "
        await self.until(
            f"{sql} WHERE executor LIKE %s AND status = 'in_progress'", tasks, name(worker), seconds=BUSY_SECONDS
        )

    async def until_alive(self, worker: Server, since: datetime = LONG_AGO) -> None:
        """Until its lease is heard."""
        lease = "SELECT count(*) > 0 FROM pg_stat_activity WHERE state_change > %s AND application_name LIKE %s"
        await self.until(lease, since, f"%process {worker.pid} on%", seconds=30)

    async def until_taken_over(self, worker: Server, seconds: float) -> float:
        """The seconds until the last of its tasks was begun elsewhere."""
        sql = "SELECT count(*) = 0 FROM tasks WHERE executor LIKE %s AND status = 'in_progress'"
        return await self.until(sql, name(worker), seconds=seconds)

    async def dump(self, *but: str) -> dict[str, Rows]:
        """Everything that is stored of tasks, without those that are named."""
        return {
            table: await self.rows(
                f"SELECT * FROM {table} WHERE NOT replace({key}::text, 'task:', '') = ANY(%s) ORDER BY 1, 2, 3",
                list(but),
            )
            for table, key in TABLES.items()
        }


def name(worker: Server) -> str:
    """As `tasks.executor` has it."""
    return f"%-{worker.pid}-%"


@asynccontextmanager
async def observed(url: str) -> AsyncIterator[Observer]:
    options = "-c search_path=vel_tutor -c vel_tutor.organisation=installation"  # or it sees nobody's rows
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, options=options) as connection:
        yield Observer(connection)


@pytest.fixture
def variables(providers: Providers, postgres_url: str) -> dict[str, str]:
    pace(providers, PACE)
    return providers.environment() | {
        "VEL_TUTOR_DATABASE_URL": postgres_url,
        "VEL_TUTOR_TASKS_IN_PROGRESS": str(3 * EACH),
        "VEL_TUTOR_CONCURRENCY": str(EACH),
    }


def pace(providers: Providers, tokens_per_second: float) -> None:
    """Of answers that have begun, too."""
    providers.groq.tokens_per_second = providers.openai.tokens_per_second = tokens_per_second


async def submitted(server: Server, prompt: str) -> Task:
    return await server.call("task_submit", prompt=prompt, wait_seconds=0)


async def ended(server: Server, task: Task) -> Task:
    while task["status"] in {"pending", "in_progress"}:
        task = await server.call("task_get", id=task["id"], wait_seconds=30)
    return task


def outcomes(task: Task) -> list[str]:
    return [attempt["outcome"] for attempt in task["attempts"]]


def is_quiet(worker: Server) -> bool:
    """Whether it said no more than that it runs, and one sentence for each thing that went wrong for a while."""
    lines = worker.stderr.decode().splitlines()
    return "Traceback" not in "".join(lines) and len(lines) <= 1 + len({line.split(";")[0] for line in lines})


@pytest.mark.kills
@pytest.mark.timeout(120 + STOP_SECONDS)
async def test_the_tasks_of_a_killed_and_of_a_frozen_worker_end_once_and_the_frozen_one_changes_nothing_when_it_wakes(
    tmp_path: Path,
    providers: Providers,
    variables: dict[str, str],
    postgres_url: str,
    record_property: Callable[[str, object], None],
) -> None:
    async with AsyncExitStack() as stack:
        observer = await stack.enter_async_context(observed(postgres_url))
        server = await stack.enter_async_context(Door(tmp_path, variables))
        workers = [await stack.enter_async_context(Worker(tmp_path, variables)) for _ in range(3)]
        killed, frozen, healthy = workers
        pace(providers, SLOW)  # or who comes first does it all
        tasks = await asyncio.gather(*(submitted(server, f"Say {number}") for number in range(TASKS)))
        await asyncio.gather(*(observer_of_one(postgres_url, worker) for worker in workers))

        await killed.kill()
        frozen.signal(signal.SIGSTOP)
        stopped_at = time.monotonic()
        pace(providers, PACE)
        waits = [
            asyncio.create_task(observer_until_taken_over(postgres_url, worker, seconds))
            for worker, seconds in ((killed, KILLED_SECONDS), (frozen, FROZEN_SECONDS))
        ]
        for kind, seconds in zip(("killed", "frozen"), await asyncio.gather(*waits), strict=True):
            record_property(f"take-over of the {kind}", round(seconds, 2))
            print(f"\nThe last task of the {kind} worker was begun elsewhere after {seconds:.2f} s.")  # noqa: T201
        done = await asyncio.gather(*(ended(server, task) for task in tasks))
        assert {task["status"] for task in done} == {"completed"}
        assert Counter(outcome for task in done for outcome in outcomes(task))["completed"] == TASKS

        await lapse(max(0.0, STOP_SECONDS - (time.monotonic() - stopped_at)))
        before = await observer.dump()
        await woken(frozen, observer, providers)
        healthy.terminate()
        await healthy.ended()
        after = await soon(ended(server, await submitted(server, "Say it again")))
        frozen_did = await observer.rows("SELECT executor LIKE %s FROM tasks WHERE id = %s", name(frozen), after["id"])

        assert after["status"] == "completed"
        assert frozen_did == [(True,)]
        assert await observer.dump(after["id"]) == before
        entries = await observer.rows(
            "SELECT count(*) FROM audit_logs WHERE action = 'task_completed' GROUP BY subject"
        )
        assert entries == [(1,)] * (TASKS + 1)
        frozen.terminate()
        await frozen.ended()
    assert is_quiet(frozen), frozen.stderr.decode()
    assert server.stderr == b""


async def observer_of_one(url: str, worker: Server) -> None:
    async with observed(url) as observer:
        await observer.until_busy(worker, 2)


async def observer_until_taken_over(url: str, worker: Server, seconds: float) -> float:
    async with observed(url) as observer:
        return await observer.until_taken_over(worker, seconds)


async def woken(worker: Server, observer: Observer, providers: Providers) -> None:
    """Let it go on, until its lease is heard again and none of its calls is open."""
    ((now,),) = await observer.rows("SELECT clock_timestamp()")
    worker.signal(signal.SIGCONT)
    await observer.until_alive(worker, now)
    await soon(providers.groq.until(lambda groq: groq.open == 0), 10)


async def test_a_worker_that_is_frozen_in_mid_transaction_stops_the_others_for_ten_seconds_at_most(
    tmp_path: Path, providers: Providers, variables: dict[str, str], postgres_url: str
) -> None:
    groq = providers.groq
    async with AsyncExitStack() as stack:
        observer = await stack.enter_async_context(observed(postgres_url))
        server = await stack.enter_async_context(Door(tmp_path, variables))
        frozen = await stack.enter_async_context(Worker(tmp_path, variables))
        task = await submitted(server, "Say hello")
        await soon(groq.until(lambda groq: groq.open == 1))
        await freeze_as_writer(frozen, observer, postgres_url)
        began = time.monotonic()
        await stack.enter_async_context(Worker(tmp_path, variables))
        another = await submitted(server, "Say it too")
        stopped_for = time.monotonic() - began
        done = [await soon(ended(server, each), FROZEN_SECONDS) for each in (task, another)]

        before = await observer.dump()
        await woken(frozen, observer, providers)
        frozen.terminate()
        assert await frozen.ended() == 0
        assert await observer.dump() == before
    assert 1 < stopped_for < postgresql._IDLE_SECONDS + BUSY_SECONDS
    assert [outcomes(each) for each in done] == [["cut", "completed"], ["completed"]]
    assert is_quiet(frozen), frozen.stderr.decode()
    assert server.stderr == b""


async def freeze_as_writer(worker: Server, observer: Observer, url: str) -> None:
    """Stop it while it waits to become the writer, and only then let it: its session now has the lock, and sleeps."""
    waiting = "SELECT count(*) {} FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND {}"
    writer = postgresql._WRITER
    engine = database_at(url).blocking_engine(INSTALLATION)
    with engine.connect() as connection:
        connection.execute(postgresql._WRITE_ALONE)
        await observer.until(waiting.format("> 0", "NOT granted"), writer, seconds=10)
        worker.signal(signal.SIGSTOP)
    engine.dispose()
    await observer.until(waiting.format("> 0", "granted"), writer, seconds=10)


@pytest.mark.parametrize("drain_seconds", [30, 0])
async def test_a_rolling_restart_loses_no_task_and_cuts_none_that_is_given_time(
    tmp_path: Path, providers: Providers, variables: dict[str, str], postgres_url: str, drain_seconds: int
) -> None:
    variables |= {"VEL_TUTOR_DRAIN_SECONDS": str(drain_seconds)}
    async with AsyncExitStack() as stack:
        observer = await stack.enter_async_context(observed(postgres_url))

        async def worker() -> Server:
            return await stack.enter_async_context(Worker(tmp_path, variables))

        stream = Stream(await stack.enter_async_context(Door(tmp_path, variables)))
        old = [await worker(), await worker()]
        for each in old:
            await observer.until_alive(each)
        lanes = [asyncio.create_task(stream.flow()) for _ in range(LANES)]
        for each in old:
            await observer.until_busy(each)
            pace(providers, PACE if drain_seconds else SLOW)  # where there is something to cut, it is still there
            each.terminate()
            new = await worker()
            assert await each.ended() == 0
            pace(providers, PACE)
            await observer.until_busy(new)
        last = stream.server
        stream.server = await stack.enter_async_context(Door(tmp_path, variables))
        last.terminate()
        assert await last.ended() == 0
        stream.is_over = True
        done = [task for tasks in await asyncio.gather(*lanes) for task in tasks]

    assert {task["status"] for task in done} == {"completed"}
    cut = Counter(outcome for task in done for outcome in outcomes(task))["cut"]
    assert (cut == 0) is (drain_seconds > 0)
    asked = len(providers.groq.requests) + len(providers.openai.requests)
    assert len(done) <= asked <= len(done) + cut
    assert stream.longest < LONGEST_SECONDS
    assert all(is_quiet(each) for each in old), [each.stderr.decode() for each in old]


class Stream:
    """Tasks without end: whoever submits one waits for its answer, through whatever server there is, and goes on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.is_over = False
        self.longest = 0.0
        self._numbers = count()

    async def flow(self) -> list[Task]:
        done = []
        while not self.is_over:
            began = time.monotonic()
            done.append(await soon(self._answered(f"Say {next(self._numbers)}")))
            self.longest = max(self.longest, time.monotonic() - began)
        return done

    async def _answered(self, prompt: str) -> Task:
        while True:
            try:
                task = await self.server.call("task_submit", prompt=prompt, idempotency_key=prompt, wait_seconds=20)
            except (ServerGone, ToolRefused, RequestRefused):  # it was being stopped
                continue
            if task["status"] == "completed":
                return task

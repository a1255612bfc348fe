"""No connection to be had: all of ours are held, or PostgreSQL has none left. Who waits is told, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from postgresql import PostgresServer, query
from server import one_sentence, soon
from waits import block_until, found
from world import Providers, settings_for

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.models import Outcome, Principal, Task, TaskRequest, TaskStatus
from vel_tutor_mcp.store import postgresql

pytestmark = pytest.mark.anyio

MANY = 5 * postgresql._CONNECTIONS
CUT_OURS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = %s AND backend_type = 'client backend'
"""


@pytest.fixture
async def app(providers: Providers, tmp_path: Path, postgres_url: str) -> AsyncIterator[App]:
    async with open_app(settings_for(providers, tmp_path, database_url=postgres_url)) as app:
        yield app


@contextmanager
def slow_query(url: str) -> Iterator[None]:
    """Somebody else keeps a table to themselves: whoever asks for a task waits, with a connection in hand."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE vel_tutor.tasks IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def no_room(postgres: PostgresServer, url: str) -> Iterator[None]:
    """As where others have all of `max_connections`; what we had is cut, until nothing of it is left."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    postgres.admin(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    block_until(lambda: not postgres.admin(CUT_OURS, name))
    yield
    postgres.admin(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


async def waiting(url: str, count: int) -> None:
    """Until so many sessions wait for the table."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while (await asyncio.to_thread(query, url, sql))[0][0] < count:
        pass


async def running(app: App, me: Principal, providers: Providers) -> Task:
    """A task whose answer is on its way, until it is let through."""
    providers.groq.tokens_per_second, providers.groq.answer = 20, lambda _: "word " * 800
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await soon(providers.groq.until(lambda groq: groq.open == 1))
    return task


async def answered(providers: Providers) -> None:
    providers.groq.tokens_per_second = 0
    await soon(providers.groq.until(lambda groq: groq.open == 0))


async def test_more_work_than_connections_waits_for_one_and_all_of_it_is_done(
    app: App, me: Principal, postgres_url: str
) -> None:
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    with slow_query(postgres_url):
        reads = [asyncio.create_task(app.tasks.get(me, task.id)) for _ in range(MANY)]
        await soon(waiting(postgres_url, postgresql._CONNECTIONS))
        more = asyncio.create_task(app.tasks.submit(me, TaskRequest(prompt="And again")))
    seen = await soon(asyncio.gather(*reads))
    told = [await soon(app.tasks.follow(me, each.id, 30)) for each in (task, await soon(more))]

    assert {each.id for each in seen} == {task.id}
    assert [one.task.status for one in told] == [TaskStatus.COMPLETED] * 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a connection, or for another's lock."""
    monkeypatch.setattr(postgresql, "POOL_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(postgresql, "_SESSION", postgresql._SESSION | {"lock_timeout": "600ms"})  # type: ignore[operator]


async def refusal(app: App, me: Principal, task_id: str) -> str:
    with pytest.raises(Unavailable) as refused:
        await app.tasks.get(me, task_id)
    return str(refused.value)


async def crowded(app: App, me: Principal, task_id: str) -> str | None:
    """That there are no more connections; who is given one that was cut is told that first."""
    told = await refusal(app, me, task_id)
    return told if "takes no more connections" in told else None


@pytest.mark.usefixtures("impatient")
async def test_who_waits_too_long_behind_a_slow_query_is_told_and_an_answer_that_comes_meanwhile_is_stored_once(
    app: App, me: Principal, providers: Providers, postgres_url: str
) -> None:
    task = await running(app, me, providers)
    with slow_query(postgres_url):
        told = await soon(asyncio.gather(*(refusal(app, me, task.id) for _ in range(MANY))))
        await answered(providers)
    ended = await soon(app.tasks.follow(me, task.id, 30))

    assert all(map(one_sentence, told)), told
    assert {text.partition(";")[0].partition(" the PostgreSQL")[0] for text in told} >= {"All connections to"}
    assert [attempt.outcome for attempt in ended.attempts] == [Outcome.COMPLETED]
    assert len(providers.groq.requests) == 1


async def test_when_others_have_taken_every_connection_it_is_told_and_a_running_answer_is_stored_once_there_is_room(
    app: App, me: Principal, providers: Providers, postgres: PostgresServer, postgres_url: str
) -> None:
    task = await running(app, me, providers)
    with no_room(postgres, postgres_url):
        await answered(providers)
        told = await found(lambda: crowded(app, me, task.id))
    ended = await soon(app.tasks.follow(me, task.id, 30))
    after = await app.tasks.submit(me, TaskRequest(prompt="And again"))

    assert one_sentence(told)
    assert [attempt.outcome for attempt in ended.attempts] == [Outcome.COMPLETED]
    assert (await soon(app.tasks.follow(me, after.id, 30))).task.status is TaskStatus.COMPLETED
    assert len(providers.groq.requests) == 2

"""PostgreSQL away, full, locked or not ours: one clear sentence each, nothing lost, and work goes on by itself."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import sqlalchemy as sa
from dbos import _sys_db
from ports import HOST
from postgresql import PostgresServer
from waits import block_until, until
from world import Providers, cancelled, held, settings_for

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import ConfigurationError, InputError, Unavailable, VelError
from vel_tutor_mcp.execution import liveness
from vel_tutor_mcp.execution.dbos_engine import DbosEngine
from vel_tutor_mcp.execution.liveness import (
    ABSENT_AFTER_RECONNECT_SECONDS,
    ABSENT_SECONDS,
    WATCHED_SECONDS,
    PostgresLease,
    lease_on,
)
from vel_tutor_mcp.models import Principal, TaskRequest, TaskStatus, Work
from vel_tutor_mcp.news import News
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.persist import persisted
from vel_tutor_mcp.store import database as store
from vel_tutor_mcp.store import postgresql, schema
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.notifications import Notifications
from vel_tutor_mcp.store.places import database_at
from vel_tutor_mcp.store.postgresql import SCHEMA, PostgresDatabase

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 30.0
SOME_TASKS = 3
# For who is nobody's administrator.
ROOM = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"


@pytest.fixture
async def app(providers: Providers, tmp_path: Path, postgres_url: str) -> AsyncIterator[App]:
    async with open_app(settings_for(providers, tmp_path, database_url=postgres_url)) as app:
        yield app


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    """A database of ours, with its tables."""
    async with opened(postgres_url) as database:
        await asyncio.to_thread(schema.prepare, database, lambda: None)
        yield database


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresDatabase]:
    database = database_at(url)
    assert isinstance(database, PostgresDatabase)
    yield database
    await database.close()


def is_one_sentence(problem: VelError, url: str) -> bool:
    text = str(problem)
    password = urlsplit(url).password or ""
    return text.endswith(".") and text.count(". ") == 0 and "\n" not in text and password not in text


@pytest.mark.parametrize("lose", [PostgresServer.stop, PostgresServer.kill])
async def test_running_tasks_outlive_a_restart_of_the_database_without_a_second_call(
    app: App, me: Principal, providers: Providers, postgres: PostgresServer, lose: Callable[[PostgresServer], None]
) -> None:
    providers.groq.tokens_per_second, providers.groq.answer = 20, lambda _: "word " * 800
    tasks = [await app.tasks.submit(me, TaskRequest(prompt=f"Say {number}")) for number in range(SOME_TASKS)]
    async with asyncio.timeout(WAIT_SECONDS):
        await providers.groq.until(lambda groq: groq.open == SOME_TASKS)
    waiting = [asyncio.create_task(app.tasks.follow(me, task.id, WAIT_SECONDS)) for task in tasks]

    await asyncio.to_thread(lose, postgres)
    providers.groq.tokens_per_second = 0
    await providers.groq.until(lambda groq: groq.open == 0)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await app.tasks.submit(me, TaskRequest(prompt="Meanwhile"))
    await asyncio.to_thread(postgres.start)

    told = await asyncio.wait_for(asyncio.gather(*waiting), WAIT_SECONDS)
    assert [each.task.status for each in told] == [TaskStatus.COMPLETED] * SOME_TASKS
    assert len(providers.groq.requests) == SOME_TASKS
    after = await app.tasks.submit(me, TaskRequest(prompt="After"))
    assert (await app.tasks.follow(me, after.id, WAIT_SECONDS)).task.status is TaskStatus.COMPLETED


async def test_a_task_is_accepted_though_the_database_goes_before_it_begins_and_begins_once_that_is_back(
    app: App, me: Principal, postgres: PostgresServer
) -> None:
    begin = DbosEngine._start

    async def begin_without_it(engine: DbosEngine, work: Work) -> None:
        await asyncio.to_thread(postgres.stop, "immediate")
        await begin(engine, work)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DbosEngine, "_start", begin_without_it)
        async with asyncio.timeout(WAIT_SECONDS):
            task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await asyncio.to_thread(postgres.start)

    assert (await app.tasks.follow(me, task.id, WAIT_SECONDS)).task.status is TaskStatus.COMPLETED


@pytest.mark.usefixtures("app")
async def test_the_engine_never_waits_long_before_it_asks_the_database_again() -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.to_thread(vars(_sys_db)["time"].sleep, 90)


class Elsewhere:
    """Another process on the database, by what it tells and hears."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._notifications = Notifications(database)
        self.heard: list[dict[str, Any]] = []

    async def listen(self) -> None:
        await self._notifications.listen(lambda text: self.heard.append(json.loads(text)))

    def tell(self, **signal: Any) -> None:
        self._notifications.tell(json.dumps(signal))


@pytest.fixture
async def elsewhere(postgres_url: str) -> AsyncIterator[Elsewhere]:
    async with opened(postgres_url) as database:
        process = Elsewhere(database)
        listening = asyncio.create_task(process.listen())
        yield process
        listening.cancel()


async def telling(tell: Callable[[], None], so: Callable[[], bool]) -> None:
    """Tell it until it has come to be so: nobody says when both sides listen."""

    def is_so() -> bool:
        tell()
        return so()

    await until(is_so)


@pytest.mark.parametrize("names_its_work", [True, False], ids=["ours", "of an older version"])
async def test_a_cancellation_that_comes_late_leaves_alone_what_was_tried_again(
    app: App, me: Principal, providers: Providers, elsewhere: Elsewhere, *, names_its_work: bool
) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    async with asyncio.timeout(WAIT_SECONDS):
        await providers.groq.until(lambda groq: groq.open == 1)
    await cancelled(app, me, task.id)

    heard: list[str] = []

    async def hear(news: News) -> None:
        heard.append(news.message)

    def tell() -> None:
        work = {"work": f"{task.id}:1"} if names_its_work else {}
        elsewhere.tell(about="cancel", task=task.id, **work)
        elsewhere.tell(about="news", task=task.id, news={"percent": 50, "message": "told after it"})

    with held(providers.groq) as answer:
        await app.tasks.retry(me, task.id)
        async with asyncio.timeout(WAIT_SECONDS):
            await providers.groq.until(lambda groq: groq.open == 1)
        following = asyncio.create_task(app.tasks.follow(me, task.id, WAIT_SECONDS, hear))
        await telling(tell, lambda: following.done() or "told after it" in " ".join(heard))
        answer()
        assert (await following).task.status is TaskStatus.COMPLETED


async def test_a_cancellation_that_is_told_elsewhere_stops_the_call_that_it_names(
    app: App, me: Principal, providers: Providers, elsewhere: Elsewhere
) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    async with asyncio.timeout(WAIT_SECONDS):
        await providers.groq.until(lambda groq: groq.open == 1)

    # The row says nothing of it: the care loop cannot be who finds it.
    tell = partial(elsewhere.tell, about="cancel", task=task.id, work=f"{task.id}:1")
    await telling(tell, lambda: providers.groq.open == 0)

    assert (await app.tasks.follow(me, task.id, WAIT_SECONDS)).task.status is TaskStatus.CANCELLED


async def test_a_cancellation_names_the_task_for_older_processes_and_its_work_for_ours(
    app: App, elsewhere: Elsewhere
) -> None:
    work = Work("a task", 2, 3)
    await telling(lambda: app._calls.stop(work), lambda: bool(elsewhere.heard))

    assert elsewhere.heard[0] == {"about": "cancel", "task": "a task", "work": "a task:2:3"}


async def test_who_waits_for_a_task_longer_than_the_database_is_away_is_told_that_the_task_goes_on(
    app: App, me: Principal, providers: Providers, postgres: PostgresServer
) -> None:
    providers.groq.tokens_per_second = 20
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await providers.groq.until(lambda groq: groq.open == 1)
    await asyncio.to_thread(postgres.stop)
    with pytest.raises(Unavailable) as refused:
        await app.tasks.follow(me, task.id, 0.5)
    await asyncio.to_thread(postgres.start)

    assert task.id in str(refused.value)
    assert (await app.tasks.follow(me, task.id, WAIT_SECONDS)).task.status is TaskStatus.COMPLETED


async def test_a_wrong_password_is_told_without_it(postgres_url: str) -> None:
    url = postgres_url.replace(f":{urlsplit(postgres_url).password}@", ":not-the-password@")
    await refused(url, ConfigurationError, "user or password is wrong")


async def test_a_missing_database_is_told(postgres_url: str) -> None:
    await refused(f"{postgres_url}_missing", ConfigurationError, "does not exist")


async def test_a_server_that_is_not_there_is_told() -> None:
    await refused(f"postgresql://someone:secret@{HOST}:1/some", Unavailable, "connection refused")


async def test_a_host_without_a_name_is_told() -> None:
    await refused("postgresql://someone:secret@nowhere.invalid/some", Unavailable, "cannot be reached")


async def test_a_user_who_may_make_no_schema_is_told_what_to_grant(postgres: PostgresServer, postgres_url: str) -> None:
    name = urlsplit(postgres_url).path[1:]
    postgres.admin(f"ALTER DATABASE {name} OWNER TO postgres")
    await refused(postgres_url, ConfigurationError, "grant it CREATE")


async def test_a_database_that_cannot_be_written_is_told(postgres: PostgresServer, postgres_url: str) -> None:
    postgres.admin(f"ALTER DATABASE {urlsplit(postgres_url).path[1:]} SET default_transaction_read_only = on")
    await refused(postgres_url, Unavailable, "read-only")


@pytest.fixture
def standby(postgres: PostgresServer, database: PostgresDatabase) -> Iterator[PostgresDatabase]:
    """A database of ours whose server is a standby."""
    postgres.demote()
    yield database
    with suppress(psycopg.errors.ObjectNotInPrerequisiteState):  # it has taken over already
        postgres.promote()


async def test_a_standby_is_told_and_the_server_is_taken_once_it_has_taken_over(
    standby: PostgresDatabase, postgres: PostgresServer, postgres_url: str
) -> None:
    for attributes in ("", "?target_session_attrs=primary", "?target_session_attrs=read-write"):
        await refused(postgres_url + attributes, Unavailable, "is a standby; ")
        async with opened(postgres_url + attributes) as database:
            with pytest.raises(psycopg.OperationalError) as problem:
                database.connect_blocking()
            assert "is a standby; " in str(database.told(problem.value))
    with pytest.raises(Unavailable, match="is a standby; "):
        await standby.ping()

    postgres.promote()
    async with standby.write(INSTALLATION) as tx:
        await tx.execute(sa.text("DELETE FROM tasks"))


@pytest.mark.usefixtures("standby")
async def test_a_standby_is_read_where_its_url_says_so(postgres_url: str) -> None:
    async with opened(f"{postgres_url}?target_session_attrs=any") as reading:
        await reading.ping()
        with pytest.raises(Unavailable, match="is read-only, as a standby is"):
            async with reading.write(INSTALLATION) as tx:
                await tx.execute(sa.text("DELETE FROM tasks"))


async def test_a_server_with_no_connection_left_is_told(postgres_url: str) -> None:
    with crowded(postgres_url):
        await refused(postgres_url, Unavailable, "takes no more connections")


async def refused(url: str, kind: type[VelError], why: str) -> None:
    async with opened(url) as database:
        with pytest.raises(kind, match=why) as problem:
            await asyncio.to_thread(schema.prepare, database, lambda: None)
    assert is_one_sentence(problem.value, url)


@contextmanager
def crowded(url: str, left: int = 0) -> Iterator[None]:
    """While it lasts, the server has so few connections left."""
    with ExitStack() as stack:
        taken = [stack.enter_context(psycopg.connect(url))]
        ((room,),) = taken[0].execute(ROOM).fetchall()

        def is_full() -> bool:
            with suppress(psycopg.OperationalError):
                while len(taken) < room:
                    taken.append(stack.enter_context(psycopg.connect(url)))
            return len(taken) == int(room)

        block_until(is_full)  # the server frees the place of who has left a little later
        for connection in taken[:left]:
            connection.close()
        yield


async def test_too_few_connections_to_open_with_are_told_soon_and_none_is_kept(
    providers: Providers, tmp_path: Path, postgres: PostgresServer, postgres_url: str
) -> None:
    settings = settings_for(providers, tmp_path, database_url=postgres_url)
    async with open_app(settings):
        pass  # makes the tables
    with crowded(postgres_url, left=3), pytest.raises(Unavailable, match="takes no more connections"):
        async with asyncio.timeout(WAIT_SECONDS), open_app(settings):
            pass
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    block_until(lambda: postgres.admin(ours, urlsplit(postgres_url).path[1:]) == [(0,)])


async def test_a_full_pool_is_told(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "POOL_WAIT_SECONDS", 0.1)
    async with opened(postgres_url) as database, AsyncExitStack() as stack:
        for _ in range(postgresql._CONNECTIONS):
            await stack.enter_async_context(database.read(INSTALLATION))
        with pytest.raises(Unavailable, match="All connections to") as problem:
            await database.ping()
    assert is_one_sentence(problem.value, postgres_url)


async def test_a_writer_who_waits_too_long_for_another_is_told(postgres_url: str) -> None:
    impatient = {"lock_timeout": "50ms"}
    async with opened(postgres_url) as database, opened(postgres_url) as other:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(postgresql, "_SESSION", postgresql._SESSION | impatient)  # type: ignore[operator]
            with pytest.raises(Unavailable, match="is locked") as problem:
                async with other.write(INSTALLATION), database.write(INSTALLATION):
                    pass
    assert is_one_sentence(problem.value, postgres_url)


@pytest.mark.parametrize(
    ("state", "why"),
    [("40P01", "got in the way of others"), ("40001", "got in the way of others"), ("57014", "statement_timeout")],
)
async def test_a_change_that_the_server_breaks_off_is_told_and_made_as_a_whole_when_it_is_tried_again(
    database: PostgresDatabase, postgres_url: str, state: str, why: str
) -> None:
    told: list[Unavailable] = []

    async def change() -> None:
        try:
            async with database.write(INSTALLATION) as tx:
                await tx.execute(sa.text("CREATE TABLE made ()"))  # which is refused where there is one already
                if not told:
                    await tx.execute(sa.text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))
        except Unavailable as problem:
            told.append(problem)
            raise

    async with asyncio.timeout(WAIT_SECONDS):
        await persisted(change)

    assert [(is_one_sentence(problem, postgres_url), why in str(problem)) for problem in told] == [(True, True)]
    async with database.read(INSTALLATION) as tx:
        assert await tx.scalar(sa.text("SELECT to_regclass('made') IS NOT NULL"))


async def test_who_waits_for_another_writer_longer_than_the_role_may_is_told_of_that_limit(
    postgres: PostgresServer, postgres_url: str
) -> None:
    postgres.admin(f"ALTER DATABASE {urlsplit(postgres_url).path[1:]} SET statement_timeout = '100ms'")
    async with opened(postgres_url) as database, opened(postgres_url) as other:
        with pytest.raises(Unavailable, match="its statement_timeout was over"):
            async with other.write(INSTALLATION), database.write(INSTALLATION):
                pass
        async with database.write(INSTALLATION):
            pass


async def test_tables_that_were_removed_are_told(database: PostgresDatabase) -> None:
    async with database.write(INSTALLATION) as tx:
        await tx.execute(sa.text(f"DROP SCHEMA {SCHEMA} CASCADE"))
    with pytest.raises(ConfigurationError, match="lacks our tables"):
        async with database.read(INSTALLATION) as tx:
            await tx.execute(sa.text("SELECT * FROM tasks"))


@pytest.mark.parametrize("statements", [["PREPARE it AS SELECT 1", "PREPARE it AS SELECT 1"], ["EXECUTE it"]])
async def test_a_pooler_that_changes_connections_is_told(database: PostgresDatabase, statements: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="is behind a pooler that changes our connections; "):
        await executed(database, statements)


async def executed(database: PostgresDatabase, statements: list[str]) -> None:
    async with database.read(INSTALLATION) as tx:
        for statement in statements:
            await tx.execute(sa.text(statement))


async def test_what_the_database_cannot_keep_is_the_requests_fault(database: PostgresDatabase) -> None:
    with pytest.raises(InputError, match="NUL"):
        async with database.write(INSTALLATION) as tx:
            await tx.execute(sa.text("SELECT CAST(:text AS text)"), {"text": "a\x00b"})


async def test_a_fault_of_the_database_never_shows_what_was_asked(database: PostgresDatabase) -> None:
    with pytest.raises(Exception, match="no_such_function") as problem:
        async with database.read(INSTALLATION) as tx:
            await tx.execute(sa.text("SELECT no_such_function(:text)"), {"text": "a secret prompt"})
    assert "secret prompt" not in str(problem.value)


async def test_readers_change_nothing(database: PostgresDatabase) -> None:
    with pytest.raises(Unavailable, match="read-only"):
        async with database.read(INSTALLATION) as tx:
            await tx.execute(sa.text("DELETE FROM tasks"))


async def test_writers_take_turns_also_from_two_processes(database: PostgresDatabase, postgres_url: str) -> None:
    async def add(to: Database) -> None:
        async with to.write(INSTALLATION) as tx:
            number = await tx.scalar(sa.text("SELECT count(*) FROM counted"))
            await tx.execute(sa.text("INSERT INTO counted VALUES (:number)"), {"number": number})

    async with opened(postgres_url) as other:
        async with database.write(INSTALLATION) as tx:
            await tx.execute(sa.text("CREATE TABLE counted (number integer PRIMARY KEY)"))
        await asyncio.gather(*(add(to) for to in (database, other) * 20))
        async with database.read(INSTALLATION) as tx:
            assert await tx.scalar(sa.text("SELECT max(number) FROM counted")) == 39


def lease(database: Database) -> PostgresLease:
    made = lease_on(database)
    assert isinstance(made, PostgresLease)
    return made


class Clock:
    """The leases' time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(liveness, "time", clock)
    return clock


def test_a_process_is_dead_when_its_lock_was_free_for_a_while(postgres_url: str, clock: Clock) -> None:
    one, other = lease(database_at(postgres_url)), lease(database_at(postgres_url))
    one.take()
    other.take()
    suspects = {one.executor, other.executor}

    assert one.dead(suspects) == set()
    other.release()
    wait_until_noticed(one, other)
    assert [one.dead(suspects) for _ in range(3)] == [set()] * 3
    clock.now += ABSENT_SECONDS
    assert [one.dead(suspects) for _ in range(3)] == [{other.executor}] * 3
    one.release()


def wait_until_noticed(one: PostgresLease, gone: PostgresLease) -> None:
    """Until the server has heard that a connection was closed."""
    deadline = time.monotonic() + WAIT_SECONDS
    while liveness._key(gone.executor) in one._held():
        assert time.monotonic() < deadline


def test_a_process_is_dead_when_it_was_silent_for_long_and_alive_when_it_is_heard_again(
    postgres_url: str, clock: Clock
) -> None:
    one, frozen = lease(database_at(postgres_url)), lease(database_at(postgres_url))
    one.take()
    frozen.take()
    assert one.dead({frozen.executor}) == set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liveness, "SILENT_SECONDS", 0.0)  # whoever is not asking at this moment

        assert one.dead({frozen.executor}) == set()
        clock.now += ABSENT_SECONDS
        assert one.dead({frozen.executor}) == set()
        clock.now += WATCHED_SECONDS
        assert one.dead({frozen.executor}) == {frozen.executor}

    assert frozen.due
    frozen.keep()
    assert not frozen.due
    assert one.dead({frozen.executor}) == set()
    one.release()
    frozen.release()


def test_where_the_server_tracks_no_activities_a_held_lock_is_enough(
    postgres: PostgresServer, postgres_url: str, clock: Clock
) -> None:
    postgres.admin(f"ALTER DATABASE {urlsplit(postgres_url).path[1:]} SET track_activities = off")
    one, other = lease(database_at(postgres_url)), lease(database_at(postgres_url))
    one.take()
    other.take()
    assert one.dead({other.executor}) == set()
    clock.now += WATCHED_SECONDS

    assert one.dead({other.executor}) == set()
    one.release()
    other.release()


async def test_a_process_with_nothing_to_do_is_heard(providers: Providers, tmp_path: Path, postgres_url: str) -> None:
    settings = settings_for(providers, tmp_path, database_url=postgres_url, concurrency=0)
    async with open_app(settings) as app:
        own = app._parts.engine._lease
        assert isinstance(own, PostgresLease)
        asked = own._asked
        async with asyncio.timeout(WAIT_SECONDS):
            while own._asked == asked:
                await app.ping()


async def test_a_transaction_that_sleeps_is_ended_and_its_process_goes_on(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = {"idle_in_transaction_session_timeout": "50ms"}
    async with opened(postgres_url) as database, opened(postgres_url) as other:
        await other.ping()  # connects while it still has time
        with monkeypatch.context() as patch:
            patch.setattr(postgresql, "_SESSION", postgresql._SESSION | impatient)  # type: ignore[operator]
            with pytest.raises(Unavailable, match="cannot be reached") as problem:
                await sleep_as_writer(database, other)
        assert is_one_sentence(problem.value, postgres_url)
        async with database.write(INSTALLATION) as tx:
            assert await tx.scalar(sa.text("SELECT 1")) == 1


async def sleep_as_writer(database: Database, other: Database) -> None:
    async with database.write(INSTALLATION) as tx:
        async with other.write(INSTALLATION):  # which begins when the first one's session was ended
            pass
        await tx.execute(sa.text("SELECT 1"))


def test_after_a_restart_of_the_database_the_living_have_time_to_come_back(
    postgres: PostgresServer, postgres_url: str, clock: Clock
) -> None:
    one, late, gone = (lease(database_at(postgres_url)) for _ in range(3))
    for each in (one, late, gone):
        each.take()
    suspects = {late.executor, gone.executor}
    postgres.restart()

    assert one.dead(suspects) == set()
    clock.now += ABSENT_SECONDS
    assert one.dead(suspects) == set()
    late.keep()
    clock.now += ABSENT_AFTER_RECONNECT_SECONDS
    assert one.dead(suspects) == {gone.executor}
    for each in (one, late, gone):
        each.release()


async def test_a_living_process_whose_lease_was_cut_is_not_taken_for_dead(
    app: App, postgres: PostgresServer, postgres_url: str
) -> None:
    own, other = app._parts.engine._lease, lease(database_at(postgres_url))
    assert isinstance(own, PostgresLease)
    assert own._connection is not None
    await asyncio.to_thread(other.take)
    ended = postgres.admin("SELECT pg_terminate_backend(%s, 20000)", own._connection.info.backend_pid)
    assert ended == [(True,)]
    assert other.dead({own.executor}) == set()

    async with asyncio.timeout(WAIT_SECONDS):
        while liveness._key(own.executor) not in other._held():
            await app.ping()
    assert [other.dead({own.executor}) for _ in range(3)] == [set()] * 3
    other.release()


async def test_many_processes_that_open_a_new_database_at_once_make_its_schema_once(postgres_url: str) -> None:
    databases = [database_at(postgres_url) for _ in range(10)]

    await asyncio.gather(*(asyncio.to_thread(database.make) for database in databases))

    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regnamespace(%s) IS NOT NULL", [SCHEMA]).fetchone() == (True,)


def test_the_engine_migrates_into_our_schema(postgres_url: str) -> None:
    database = database_at(postgres_url)
    engine = DbosEngine(database, lease(database))
    schema.prepare(database, engine.migrate)
    engine._system.dispose()

    with psycopg.connect(postgres_url) as connection:
        tables = connection.execute(
            "SELECT table_schema, count(*) FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1"
        ).fetchall()
    assert [name for name, _ in tables] == [SCHEMA]


@pytest.mark.parametrize(
    "suffix", ["?sslmode=prefer", "?connect_timeout=5&keepalives=1", "?channel_binding=prefer", "?application_name=x"]
)
async def test_the_parameters_of_libpq_are_understood(postgres_url: str, suffix: str) -> None:
    async with opened(postgres_url + suffix) as database:
        await asyncio.to_thread(schema.prepare, database, lambda: None)
        await database.ping()


@pytest.fixture
def oddly_named(postgres: PostgresServer) -> Iterator[str]:
    """A database whose name, role and password have whatever must not stand in a URL as it is."""
    role, database = "o+d d%1", "a+b c/d?e#%41"
    password = ' a+b %41/?#[]@:;&=\\"\u00e4\n '
    postgres.admin(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{password}'")
    postgres.admin(f'CREATE DATABASE "{database}" OWNER "{role}" TEMPLATE template0 STRATEGY wal_log')
    yield f"postgresql://{quote(role)}:{quote(password, safe='')}@{HOST}:{postgres.port}/{quote(database, safe='')}"
    postgres.admin(f'DROP DATABASE "{database}" WITH (FORCE)')
    postgres.admin(f'DROP ROLE "{role}"')


async def test_no_sign_of_a_name_or_a_password_keeps_a_database_from_being_opened(oddly_named: str) -> None:
    async with opened(oddly_named) as database:
        await asyncio.to_thread(schema.prepare, database, lambda: None)
        await database.ping()


@pytest.mark.parametrize("space", ["%20", "+"])
async def test_a_parameter_with_spaces_is_the_same_to_both_drivers(postgres_url: str, space: str) -> None:
    with TemporaryDirectory(prefix="a folder+") as folder:  # not kept, as `tmp_path` is: there is a password in it
        passwords = Path(folder, "passwords")
        passwords.write_text(f"*:*:*:*:{urlsplit(postgres_url).password}\n")
        passwords.chmod(0o600)
        url = re.sub(":[^:]*@", "@", postgres_url)
        async with opened(f"{url}?passfile={quote(str(passwords)).replace('%20', space)}") as database:
            await asyncio.to_thread(schema.prepare, database, lambda: None)
            await database.ping()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:se@cret@host/db", "%40"),
        ("postgresql://me:se%00cret@host/db", "NUL"),
        ("postgresql://me:secret@host/db?sslpassword=se%00cret", "NUL"),
        ("postgresql://me:start@se/b@cret/db", "%40"),
        ("postgresql://me:secret@host:99999/db", "port"),
        ("postgresql://me:secret@host/db?sslmode=bad", "sslmode"),
        ("postgresql://me:secret@host/db?target_session_attrs=standby", "target_session_attrs is none of any, "),
        ("postgresql://me:secret@host/db?pgbouncer=true", "pgbouncer"),
        ("postgresql://me:secret@host/db?search_path=public", "search_path"),
        ("postgresql://me:secret@host/db?user=other", "user"),
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_secrets(url: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as problem:
        database_at(url)
    assert is_one_sentence(problem.value, url)
    assert not any(part in str(problem.value) for part in ("secret", "cret", "se@"))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg"])
async def test_the_url_may_name_any_driver(postgres_url: str, scheme: str) -> None:
    async with opened(postgres_url.replace("postgresql", scheme, 1)) as database:
        await asyncio.to_thread(schema.prepare, database, lambda: None)


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "sqlite://", "no url: secret", "postgresql//secret@"])
def test_a_url_that_names_no_database_of_ours_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="VEL_TUTOR_DATABASE_URL") as problem:
        database_at(url)
    assert "secret" not in str(problem.value)


def test_time_limits_are_the_same_on_both_kinds() -> None:
    assert postgresql._SESSION["lock_timeout"] == f"{store.LOCK_WAIT_SECONDS}s"

"""Work that survives: the engine and its lease by themselves, then the product over restarts, crashes, neighbours."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from filelock import FileLock
from server import soon
from waits import found, lapse
from world import Providers, cancelled, held

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.execution.dbos_engine import DbosEngine
from vel_tutor_mcp.execution.engine import Run
from vel_tutor_mcp.execution.liveness import ABSENT_SECONDS, FileLease, lease_on
from vel_tutor_mcp.models import AgentConfig, AgentType, Outcome, Principal, Task, TaskRequest, TaskStatus, Work
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.health import OPEN_SECONDS, Breaker, BreakerState
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema, tables, tasks
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.tables import attempts, task_events

pytestmark = pytest.mark.anyio

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
on_sqlite = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
QUEUE_POLL_SECONDS = 1.5  # DBOS looks each second
WORK, OTHER = Work(str(uuid4()), 1), Work(str(uuid4()), 2)


class Doing:
    """What the engine runs: takes note of its work, and ends well unless it is told to be cut."""

    def __init__(self, *, cut: bool = False) -> None:
        self.done: list[Work] = []
        self.begun = asyncio.Event()
        self._cut = cut

    async def __call__(self, work: Work) -> str:
        self.done.append(work)
        self.begun.set()
        if self._cut:
            raise asyncio.CancelledError
        return "done"

    async def until_begun(self) -> None:
        await soon(self.begun.wait())


@pytest.fixture
def place(tmp_path: Path, database_url: str | None) -> Settings:
    return Settings.model_validate({"home": tmp_path, "database_url": database_url})


@asynccontextmanager
async def engine_on(place: Settings, run: Run, room: int = 10) -> AsyncIterator[DbosEngine]:
    database = database_of(place)
    lease = lease_on(database)
    engine = DbosEngine(database, lease)
    await asyncio.to_thread(schema.prepare, database, engine.migrate)
    lease.take()
    await engine.launch(run, room)
    try:
        yield engine
    finally:
        await engine.stop()
        await engine.dispose()
        await database.close()


async def ended(engine: DbosEngine) -> None:
    await soon(asyncio.gather(*engine._open))


async def test_work_that_is_started_twice_runs_once(place: Settings) -> None:
    doing = Doing()
    async with engine_on(place, doing) as engine:
        await engine.start(WORK)
        await engine.start(WORK)
        await ended(engine)
        await engine.start(WORK)
        await ended(engine)

    assert doing.done == [WORK]


async def test_what_still_asks_as_the_engine_is_closed_does_not_ask_for_ever(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_on(place, Doing()) as engine:
        pass
    monkeypatch.setattr(engine._rows, "engine", sa.create_engine("postgresql+psycopg://127.0.0.1:1/gone"))

    with pytest.raises(sa.exc.OperationalError):
        await soon(asyncio.to_thread(engine._rows.check_workflow_result, "any"))


async def test_work_never_started_has_not_begun(place: Settings) -> None:
    async with engine_on(place, Doing()) as engine:
        await engine.start(WORK)

        assert await engine.not_begun([WORK, OTHER]) == [OTHER]
        assert await engine.not_begun([]) == []
        await ended(engine)


async def test_the_work_of_the_dead_is_taken_over(place: Settings) -> None:
    cut, doing = Doing(cut=True), Doing()
    async with engine_on(place, cut) as dead:
        await dead.start(WORK)
        await cut.until_begun()

    async with engine_on(place, doing) as engine:
        await until_found_dead(engine, dead.executor)
        await doing.until_begun()
        assert await found_dead(engine) == set()

    assert (cut.done, doing.done) == ([WORK], [WORK])


async def test_a_process_without_room_leaves_the_work_of_the_dead_to_others(place: Settings) -> None:
    cut, idle, doing = Doing(cut=True), Doing(), Doing()
    async with engine_on(place, cut) as dead:
        await dead.start(WORK)
        await cut.until_begun()
    async with engine_on(place, idle, room=0) as engine:
        await until_found_dead(engine, dead.executor)
        await lapse(QUEUE_POLL_SECONDS)  # in which it would have begun
    async with engine_on(place, doing):
        await doing.until_begun()

    assert (idle.done, doing.done) == ([], [WORK])


async def test_the_work_of_the_living_is_left_to_them(place: Settings) -> None:
    database = database_of(place)
    async with engine_on(place, Doing()) as engine:
        neighbour = lease_on(database)
        neighbour.take()

        assert await found_dead(engine, neighbour.executor) == set()
        neighbour.release()
        await until_found_dead(engine, neighbour.executor)
    await database.close()


async def found_dead(engine: DbosEngine, *executors: str) -> set[str]:
    """Whom it takes over after a while: on PostgreSQL one look is not enough."""
    first = await engine.take_over(executors)
    await lapse(ABSENT_SECONDS)
    return first | await engine.take_over(executors)


async def until_found_dead(engine: DbosEngine, executor: str) -> None:
    """PostgreSQL's server lets go of a lock some time after its connection was closed."""

    async def looked() -> bool | None:
        return executor in await engine.take_over([executor]) or None

    assert await found(looked)


@on_sqlite
async def test_a_file_that_the_dead_left_is_removed(place: Settings) -> None:
    left = place.home / "vel-tutor.executors" / "crashed.lock"
    async with engine_on(place, Doing()) as engine:
        left.touch()

        assert await engine.take_over([]) == {"crashed"}

    assert not left.exists()


async def test_ended_work_is_forgotten_when_it_is_old_enough(place: Settings) -> None:
    async with engine_on(place, Doing()) as engine:
        await engine.start(WORK)
        await ended(engine)

        now = record.now()
        assert await engine.prune(now - timedelta(days=1), 9) == 0
        assert await engine.prune(now + timedelta(days=1), 9) == 1
        assert await engine.prune(now + timedelta(days=1), 9) == 0
        assert await engine.not_begun([WORK]) == [WORK]


@on_sqlite
async def test_stopping_gives_the_lease_back(place: Settings) -> None:
    async with engine_on(place, Doing()) as engine:
        left = place.home / "vel-tutor.executors" / f"{engine.executor}.lock"
        assert left.exists()

    assert not left.exists()


def test_a_lease_tells_the_living_from_the_dead(tmp_path: Path) -> None:
    folder = tmp_path / "executors"
    me, neighbour = FileLease(folder), FileLease(folder)
    me.take()
    neighbour.take()
    (folder / "crashed.lock").touch()

    assert me.dead({me.executor, neighbour.executor, "never heard of"}) == {"never heard of", "crashed"}
    assert me.dead([]) == set()
    neighbour.release()
    assert me.dead({neighbour.executor}) == {neighbour.executor}
    me.release()
    assert list(folder.iterdir()) == []


async def test_a_process_gets_its_lease_though_another_looks_at_the_file_as_soon_as_it_is_made(tmp_path: Path) -> None:
    me, neighbour = FileLease(tmp_path), FileLease(tmp_path)
    looked_at = tmp_path / f"{me.executor}.lock"
    with FileLock(looked_at):
        taking = asyncio.create_task(asyncio.to_thread(me.take))
        await lapse(0.2)
        looked_at.unlink()
    await taking

    assert neighbour.dead({me.executor}) == set()
    me.release()


async def answered(app: App, me: Principal, **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", **wanted))
    return await app.tasks.follow(me, task.id, 20)


async def stored(app: App, me: Principal, **columns: Any) -> Task:
    """A task whose row is committed as given, and which nobody has started."""
    sample = (await answered(app, me)).task
    task = replace(sample, id=str(uuid4()), status=TaskStatus.PENDING, output=None, ended_at=None, started_at=None)
    async with app._parts.database.write(INSTALLATION) as tx:
        await tasks.insert(tx, task)
        await tasks.change(tx, task.id, record.now(), **columns)
    return task


@pytest.mark.parametrize(
    ("status", "executor"),
    [(TaskStatus.PENDING, None), (TaskStatus.IN_PROGRESS, "ours"), (TaskStatus.IN_PROGRESS, "dead")],
)
async def test_a_task_that_was_stored_but_never_started_is_started(
    app: App, me: Principal, status: TaskStatus, executor: str | None
) -> None:
    named = app._parts.engine.executor if executor == "ours" else executor
    task = await stored(app, me, status=status, executor=named)
    told = await app.tasks.follow(me, task.id, 20)

    assert told.task.status is TaskStatus.COMPLETED
    assert told.task.executor == app._parts.engine.executor


async def test_a_task_of_a_living_neighbour_is_left_to_it(app: App, me: Principal) -> None:
    parts = app._parts
    neighbour = lease_on(parts.database)
    neighbour.take()
    task = await stored(app, me, status=TaskStatus.IN_PROGRESS, executor=neighbour.executor)

    await app._care.once()

    assert await parts.engine.not_begun([Work(task.id, 1)]) == [Work(task.id, 1)]
    neighbour.release()
    assert (await app.tasks.follow(me, task.id, 20)).task.status is TaskStatus.COMPLETED


class Reading:
    """A database whose readers have read, and go on only when they are told to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.done, self.goes_on = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def read(self, acts_for: str) -> AsyncIterator[Transaction]:
        async with self._database.read(acts_for) as tx:
            yield tx
        self.done.set()
        await self.goes_on.wait()


async def test_a_round_that_read_of_a_cancellation_leaves_alone_what_was_tried_again_since(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    async with asyncio.timeout(20):
        await providers.groq.until(lambda groq: groq.open == 1)
    slow, reading = copy(app._care), Reading(app._parts.database)
    slow._database = reading  # type: ignore[assignment]
    async with app._parts.database.write(INSTALLATION) as tx:
        await tasks.change(tx, task.id, record.now(), cancel_requested=True)
    a_round = asyncio.create_task(slow.once())
    async with asyncio.timeout(20):
        await reading.done.wait()
    await cancelled(app, me, task.id)

    with held(providers.groq) as answer:
        await app.tasks.retry(me, task.id)
        async with asyncio.timeout(20):
            await providers.groq.until(lambda groq: groq.open == 1)
            reading.goes_on.set()
            await a_round
        answer()
        assert (await app.tasks.follow(me, task.id, 20)).task.status is TaskStatus.COMPLETED


@pytest.mark.parametrize(("earlier", "state"), [(4, TaskStatus.COMPLETED), (5, TaskStatus.FAILED)])
async def test_a_task_that_was_recovered_five_times_is_not_recovered_again(
    app: App, me: Principal, earlier: int, state: TaskStatus
) -> None:
    crashed = {"status": TaskStatus.IN_PROGRESS, "executor": "dead", "running": True, "recoveries": earlier}
    told = await app.tasks.follow(me, (await stored(app, me, **crashed)).id, 20)

    assert told.task.status is state
    if state is TaskStatus.COMPLETED:
        assert told.history[0].message == "recovered after a crash (5)"
    else:
        assert told.task.error
        assert told.task.error.code == "recovered_too_often"
        assert told.attempts == []


async def test_a_cancellation_in_another_process_stops_the_call_here(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=1)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await soon(providers.groq.until(lambda sim: sim.open == 1))
    async with app._parts.database.write(INSTALLATION) as tx:
        await tasks.change(tx, task.id, record.now(), cancel_requested=True)

    await soon(providers.groq.until(lambda sim: sim.open == 0), 10)

    assert (await app.tasks.follow(me, task.id, 10)).task.status is TaskStatus.CANCELLED


async def test_a_closed_product_leaves_the_loop_as_it_was(settings: Settings) -> None:
    async with open_app(settings):
        pass

    assert await asyncio.to_thread(int, "1") == 1


async def test_a_call_that_a_restart_cuts_is_booked_and_repeated(settings: Settings, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="stall", after_chunks=3)]
    async with open_app(settings) as app:
        task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))
        await soon(providers.groq.until(lambda sim: bool(sim.requests) and sim.requests[0].chunks_sent == 3))

    async with open_app(settings) as app:
        told = await app.tasks.follow(app.local_principal, task.id, 20)

    cut, completed = told.attempts
    assert told.task.status is TaskStatus.COMPLETED
    assert (cut.outcome, completed.outcome) == (Outcome.CUT, Outcome.COMPLETED)
    assert (cut.cost_nanousd or 0) > (completed.cost_nanousd or 0) > 0
    assert told.task.recoveries == 0
    assert "recovered" not in {event.kind for event in told.history}


async def test_a_chosen_model_that_is_gone_after_a_restart_is_passed_over(
    settings: Settings, providers: Providers
) -> None:
    mine = {"provider": "local", "model": "mine", "tier": "frontier", "context_window": 8192}
    with_it = {"local_base_url": providers.groq.base_url, "catalog": {"models": [mine]}}
    config = AgentConfig.model_validate({"model_preferences": {"general": "local/mine"}})
    providers.groq.faults = [Fault(kind="stall", after_chunks=3)]
    async with open_app(settings.model_copy(update=with_it)) as app:
        await app.agents.create(app.local_principal, "homely", AgentType.RESEARCHER, config)
        task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello", agent="homely"))
        await soon(providers.groq.until(lambda sim: bool(sim.requests) and sim.requests[0].chunks_sent == 3))

    async with open_app(settings.model_copy(update=with_it | {"catalog": {}})) as app:
        told = await app.tasks.follow(app.local_principal, task.id, 20)

    cut, completed = told.attempts
    assert (cut.model, cut.outcome, completed.outcome) == ("mine", Outcome.CUT, Outcome.COMPLETED)


async def test_closing_lets_a_call_end_where_it_may(settings: Settings, providers: Providers) -> None:
    providers.groq.latency = 0.3
    async with open_app(settings.model_copy(update={"drain_seconds": 10.0})) as app:
        task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))
        await soon(providers.groq.until(lambda sim: sim.open == 1))

    async with open_app(settings) as app:
        told = await app.tasks.tell(app.local_principal, task.id)
    assert told.task.status is TaskStatus.COMPLETED
    assert len(providers.groq.requests) == 1


async def test_an_open_breaker_survives_a_restart_and_so_does_its_closing(
    settings: Settings, providers: Providers
) -> None:
    loyal = AgentConfig.model_validate(
        {"model_preferences": {"general": f"groq/{FIRST}"}, "fallback": False, "max_retries": 4}
    )
    providers.groq.faults = [Fault(kind="status", status=500)] * 5
    async with open_app(settings) as app:
        app._answers._router._jitter = lambda: 0.0
        me = app.local_principal
        await app.agents.create(me, "loyal", AgentType.RESEARCHER, loyal)
        await answered(app, me, agent="loyal")

    async with open_app(settings) as app:
        me = app.local_principal
        assert app.health.state("groq", FIRST, time.time()) is BreakerState.OPEN
        assert (await answered(app, me, agent="loyal")).task.model != FIRST
        app.health.restore("groq", FIRST, Breaker(opened_at=time.time() - OPEN_SECONDS))
        assert (await answered(app, me, agent="loyal")).task.model == FIRST

    async with open_app(settings) as app:
        assert app.health.state("groq", FIRST, time.time()) is BreakerState.CLOSED


async def test_a_guest_runs_what_is_submitted_to_it_and_leaves_the_rest_to_others(settings: Settings) -> None:
    async with open_app(settings.model_copy(update={"concurrency": 0})) as idle:
        me = idle.local_principal
        waiting = await idle.tasks.submit(me, TaskRequest(prompt="Say later"))
    async with open_app(settings, guest=True) as guest:
        left = await stored(guest, me, status=TaskStatus.IN_PROGRESS, executor="dead")
        assert (await answered(guest, me)).task.status is TaskStatus.COMPLETED
        await guest_round(guest)

        assert (await guest.tasks.get(me, waiting.id)).status is TaskStatus.PENDING
        assert (await guest.tasks.get(me, left.id)).executor == "dead"
    async with open_app(settings) as app:
        for task in (waiting, left):
            assert (await app.tasks.follow(me, task.id, 20)).task.status is TaskStatus.COMPLETED


async def guest_round(app: App) -> None:
    await app._care.once()


async def test_a_process_without_room_leaves_its_tasks_to_others(settings: Settings) -> None:
    async with open_app(settings.model_copy(update={"concurrency": 0})) as full:
        task = await full.tasks.submit(full.local_principal, TaskRequest(prompt="Say hello"))

        assert (await full.tasks.follow(full.local_principal, task.id, 0)).task.status is TaskStatus.PENDING


async def test_work_that_is_handed_back_to_the_process_that_does_it_is_not_done_twice(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.tokens_per_second = 50
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await providers.groq.until(lambda sim: sim.open == 1)

    async with asyncio.timeout(20):
        again = await app._answers.run(Work(task.id, task.attempt_set))
    assert again == "nothing left to do"
    told = await app.tasks.tell(me, task.id)
    assert told.task.status is TaskStatus.COMPLETED
    assert [attempt.outcome for attempt in told.attempts] == [Outcome.COMPLETED]
    assert len(providers.groq.requests) == 1


async def everything(app: App) -> list[object]:
    async with app._parts.database.read(INSTALLATION) as tx:
        found = [
            (await tx.execute(sa.select(table))).all() for table in (tables.tasks, attempts, task_events, audit_logs)
        ]
    return [*found, app.health.snapshot("groq", FIRST)]


async def taken_over(app: App, task: Task) -> None:
    """As another process does it, and in a way that ours cannot hear of."""
    async with app._parts.database.write(INSTALLATION) as tx:
        await tasks.change(tx, task.id, record.now(), executor="another")


async def until_given_up(app: App, task: Task) -> None:
    async with asyncio.timeout(10):
        while any(running == task.id for running in app._answers._runs.values()):
            await app.ping()


@pytest.mark.parametrize("behaviour", [None, Fault(kind="status", status=503), Fault(kind="status", status=401)])
async def test_a_process_that_was_taken_over_stores_nothing_of_its_call_and_makes_no_other(
    app: App, me: Principal, providers: Providers, behaviour: Fault | None
) -> None:
    providers.groq.always = behaviour
    with held(providers.groq):
        task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
        await soon(providers.groq.until(lambda sim: sim.open == 1))
        await taken_over(app, task)
        before = await everything(app)
    await until_given_up(app, task)

    assert await everything(app) == before
    assert (len(providers.groq.requests), len(providers.openai.requests)) == (1, 0)


async def test_the_call_of_a_task_that_another_process_has_is_stopped(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=1)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await soon(providers.groq.until(lambda sim: sim.open == 1))
    await taken_over(app, task)
    before = await everything(app)
    await soon(providers.groq.until(lambda sim: sim.open == 0), 10)
    await until_given_up(app, task)

    assert await everything(app) == before


async def test_a_process_that_was_taken_over_before_it_began_leaves_the_task_to_its_successor(
    app: App, me: Principal, providers: Providers
) -> None:
    task = await stored(app, me, status=TaskStatus.IN_PROGRESS, executor="another", running=True)
    providers.groq.reset()
    before = await everything(app)

    assert await app._answers.run(Work(task.id, task.attempt_set)) == "taken over"
    assert await everything(app) == before
    assert providers.groq.requests == []


async def test_an_earlier_run_of_a_task_that_was_retried_stores_nothing(
    app: App, me: Principal, providers: Providers
) -> None:
    with held(providers.groq):
        task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
        await soon(providers.groq.until(lambda sim: sim.open == 1))
        async with app._parts.database.write(INSTALLATION) as tx:
            await tasks.change(tx, task.id, record.now(), attempt_set=2)
        before = await everything(app)
    await until_given_up(app, task)

    assert await everything(app) == before


async def test_a_process_that_rests_begins_nothing_more_and_ends_what_it_began(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.latency = 0.3
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await soon(providers.groq.until(lambda sim: sim.open == 1))
    resting = asyncio.create_task(app._answers.rest(10))
    late = await app.tasks.submit(me, TaskRequest(prompt="Say more"))
    await resting

    assert (await app.tasks.get(me, task.id)).status is TaskStatus.COMPLETED
    assert (await app.tasks.get(me, late.id)).status is TaskStatus.PENDING

"""Whose turn it is: between users, by time, and for a place at a provider, on a real database with a real engine."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from planted import key
from pydantic import SecretStr
from server import soon
from world import Providers, held

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.models import AgentConfig, AgentType, Outcome, Principal, Task, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider
from vel_tutor_mcp.routing.book import NoKey
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.agents import ensure_default
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import people, tasks
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.tables import attempts

pytestmark = pytest.mark.anyio

SOON = 10.0  # a round of the care loop takes one, on a machine with nothing else to do
STALL = Fault(kind="stall", after_chunks=1)


def opened(settings: Settings, limits: dict[str, Any] | None = None, **values: Any) -> AbstractAsyncContextManager[App]:
    """The product, with these fields in the rows of its providers."""
    return open_app(settings.model_copy(update={"catalog": {"providers": limits or {}}} | values))


@pytest.fixture
async def limited(settings: Settings) -> AsyncIterator[App]:
    """At most two calls to Groq at once."""
    async with opened(settings, {"groq": {"max_concurrent": 2}}) as app:
        yield app


async def user(app: App, name: str) -> Principal:
    async with app._parts.database.write(INSTALLATION) as tx:
        principal = await people.local_principal(tx, name, record.now())
        await ensure_default(tx, principal)
    return principal


async def submitted(app: App, who: Principal, count: int, **wanted: Any) -> list[Task]:
    return [await app.tasks.submit(who, TaskRequest(prompt=f"{who.name} {n}", **wanted)) for n in range(count)]


async def ended(app: App, who: Principal, made: list[Task]) -> list[Told]:
    return await asyncio.gather(*(app.tasks.follow(who, task.id, 30) for task in made))


async def open_at(provider: SimulatedProvider, count: int) -> None:
    await soon(provider.until(lambda sim: sim.open == count))


async def asked_of(provider: SimulatedProvider, count: int) -> None:
    await soon(provider.until(lambda sim: len(sim.requests) == count))


async def until_waiting(app: App, who: Principal, task: Task, provider: str = "groq") -> Task:
    """The task, as soon as it waits for a place at the provider."""
    with app._hub.listen(task.id) as listener:
        async with asyncio.timeout(10):
            while (seen := await app.tasks.get(who, task.id)).waits_for != provider or seen.status != "pending":
                await listener.wait(1)
                listener.take()
    return seen


async def one_waits(app: App, providers: Providers) -> tuple[list[Task], Task]:
    """Two tasks whose calls to Groq are stalled, and one that waits for its place there."""
    me = app.local_principal
    providers.groq.faults = [STALL] * 2
    busy = await submitted(app, me, 2)
    await open_at(providers.groq, 2)
    (task,) = await submitted(app, me, 1)
    return busy, await until_waiting(app, me, task)


def peak(provider: SimulatedProvider) -> int:
    """The most calls that were open at once."""
    calls = provider.requests
    return max(sum(c.started <= call.started < (c.ended or call.started + 1) for c in calls) for call in calls)


async def test_a_user_with_few_tasks_does_not_wait_for_one_with_many(settings: Settings, providers: Providers) -> None:
    async with opened(settings, concurrency=0) as app:
        many, few = await user(app, "many"), await user(app, "few")
        await submitted(app, many, 60)
        asked = await submitted(app, few, 5)

    async with opened(settings, concurrency=4) as app:
        for turns in (4, 8, 12):
            with held(providers.groq):  # those before are answered, and the next four have their turn
                await asked_of(providers.groq, turns)
            seen = Counter(received.prompt.split()[0] for received in providers.groq.requests[:turns])
            assert seen["few"] == min(turns // 2, 5)  # by age theirs would be the last five of 65
        assert {told.task.status for told in await ended(app, few, asked)} == {TaskStatus.COMPLETED}


async def left_behind(app: App, task: Task) -> None:
    """As by a process that died while it ran the task."""
    async with app._parts.database.write(INSTALLATION) as tx:
        values = {"status": TaskStatus.IN_PROGRESS, "executor": "dead", "running": True}
        await tasks.change(tx, task.id, record.now(), **values)


async def test_a_process_without_a_key_works_for_those_alone_who_have_stored_one(settings: Settings) -> None:
    async with opened(settings, concurrency=0) as app:
        keyed, other = await user(app, "keyed"), await user(app, "other")
        theirs = await submitted(app, other, 2)
        mine = await submitted(app, keyed, 2)
        await app.integrations.put(keyed, "groq", SecretStr(key("gsk-own")))
        await app.integrations.test(keyed, "groq")
        await left_behind(app, mine[0])
        await left_behind(app, theirs[0])

    async with opened(settings, openai_api_key=None, groq_api_key=None) as keyless:
        assert {told.status for told in await ended(keyless, keyed, mine)} == {TaskStatus.COMPLETED}
        await until_waiting(keyless, other, theirs[0], NoKey.waits_for)
        seen = await keyless.tasks.tell(other, theirs[1].id)
        assert (seen.status, seen.waits) == (TaskStatus.PENDING, NoKey.told)
        assert [event.kind for event in seen.history] == ["submitted"]

    async with opened(settings) as app:
        first, second = await ended(app, other, theirs)
        assert {first.status, second.status} == {TaskStatus.COMPLETED}
    assert "recovered after a crash (1)" in {event.message for event in first.history}


async def test_a_task_begins_when_its_time_has_come_and_not_before(app: App, me: Principal) -> None:
    due = record.now() + timedelta(seconds=1)
    task = await put_off(app, me, due)

    (told,) = await ended(app, me, [task])

    assert told.task.started_at
    assert due <= told.task.started_at <= due + timedelta(seconds=SOON)
    assert (told.task.turn, told.task.not_before) == (1, None)


async def put_off(app: App, me: Principal, not_before: Any) -> Task:
    """A task that was stored with this time, before anybody could begin it."""
    sample = (await ended(app, me, await submitted(app, me, 1)))[0].task
    async with app._parts.database.write(INSTALLATION) as tx:
        await tasks.change(
            tx,
            sample.id,
            record.now(),
            status=TaskStatus.PENDING,
            attempt_set=2,
            not_before=not_before,
            ended_at=None,
            started_at=None,
        )
    return sample


async def test_nobody_opens_a_transaction_to_write_for_a_task_that_is_not_due(app: App, me: Principal) -> None:
    await put_off(app, me, record.now() + timedelta(hours=1))

    async with (
        app._parts.database.write(INSTALLATION),
        asyncio.timeout(SOON),
    ):  # in which another one would have to wait
        await app._care.once()


async def test_no_more_calls_are_open_than_a_provider_takes(limited: App, providers: Providers) -> None:
    me = limited.local_principal
    providers.groq.latency = 0.3
    with held(providers.groq):
        first = await submitted(limited, me, 2)
        await open_at(providers.groq, 2)
        others = await submitted(limited, me, 6)
        await until_waiting(limited, me, others[-1])
    told = await ended(limited, me, first + others)

    assert {each.task.status for each in told} == {TaskStatus.COMPLETED}
    assert {each.task.provider for each in told} == {"groq"}
    assert [len(each.attempts) for each in told] == [1] * 8
    assert peak(providers.groq) == 2
    waited = [[event.message for event in each.history if event.kind == "waiting"] for each in told]
    assert waited[-1] == ["waiting for a free place at groq (limit 2)"]
    assert max(map(len, waited)) == 1


async def test_a_task_that_waits_for_a_provider_is_pending_and_goes_on_in_another_run(
    limited: App, providers: Providers
) -> None:
    me = limited.local_principal
    busy, waiting = await one_waits(limited, providers)
    assert (waiting.turn, waiting.executor, waiting.running, waiting.started_at) == (2, None, False, None)
    assert providers.openai.requests == []

    await limited.tasks.cancel(me, busy[0].id)
    (told,) = await ended(limited, me, [waiting])

    assert (told.task.status, told.task.turn, told.task.waits_for) == (TaskStatus.COMPLETED, 2, None)
    assert told.task.recoveries == 0
    assert [event.kind for event in told.history] == ["submitted", "route", "waiting", "attempt", "completed"]
    assert await limited._parts.engine.not_begun([record.Subject(told.task, me).work]) == []


async def test_who_needs_no_place_there_is_not_held_up_by_those_who_wait(
    settings: Settings, providers: Providers
) -> None:
    limits = {"groq": {"max_concurrent": 1}}
    async with opened(settings, limits, tasks_in_progress=3) as app:
        me = app.local_principal
        await app.agents.create(me, "other", AgentType.RESEARCHER, AgentConfig(providers=("openai",)))
        providers.groq.faults = [STALL]
        busy = await submitted(app, me, 8)
        await open_at(providers.groq, 1)
        (told,) = await ended(app, me, await submitted(app, me, 1, agent="other"))

        assert told.task.provider == "openai"
        await app.tasks.cancel(me, busy[0].id)
        assert {each.task.status for each in await ended(app, me, busy[1:])} == {TaskStatus.COMPLETED}


async def test_a_task_that_waits_for_a_provider_is_cancelled_at_once(limited: App, providers: Providers) -> None:
    me = limited.local_principal
    busy, waiting = await one_waits(limited, providers)

    told = await limited.tasks.cancel(me, waiting.id)

    assert (told.task.status, told.attempts) == (TaskStatus.CANCELLED, [])
    assert told.history[-1].message == "cancelled while it waited for groq"
    for task in busy:
        await limited.tasks.cancel(me, task.id)


async def test_a_retry_begins_with_a_first_turn(limited: App, providers: Providers) -> None:
    me = limited.local_principal
    busy, waiting = await one_waits(limited, providers)
    await limited.tasks.cancel(me, waiting.id)
    for task in busy:
        await limited.tasks.cancel(me, task.id)
    await ended(limited, me, busy)

    await limited.tasks.retry(me, waiting.id)
    (told,) = await ended(limited, me, [waiting])

    assert (told.task.status, told.task.attempt_set, told.task.turn) == (TaskStatus.COMPLETED, 2, 1)


@pytest.mark.parametrize("status", [500, 404])
async def test_a_task_waits_for_its_second_candidate_without_asking_the_first_again(
    settings: Settings, providers: Providers, status: int
) -> None:
    async with opened(settings, {"openai": {"max_concurrent": 1}}) as app:
        me = app.local_principal
        for name, order in {"direct": ("openai",), "both": ("groq", "openai")}.items():
            config = AgentConfig.model_validate({"providers": order, "policy": "fixed"})
            await app.agents.create(me, name, AgentType.RESEARCHER, config)
        providers.openai.faults, providers.groq.always = [STALL], Fault(kind="status", status=status)
        busy = await submitted(app, me, 1, agent="direct")
        await open_at(providers.openai, 1)
        (task,) = await submitted(app, me, 1, agent="both")
        waiting = await until_waiting(app, me, task, "openai")
        assert waiting.started_at  # it has made a call

        await app.tasks.cancel(me, busy[0].id)
        (told,) = await ended(app, me, [task])

    assert [(each.provider, each.outcome) for each in told.attempts] == [
        ("groq", Outcome.FAILED),
        ("openai", Outcome.COMPLETED),
    ]
    assert len(providers.groq.requests) == 1


async def test_a_task_that_waits_goes_on_after_a_restart(settings: Settings, providers: Providers) -> None:
    async with opened(settings, {"groq": {"max_concurrent": 2}}) as app:
        busy, waiting = await one_waits(app, providers)
    async with opened(settings, {"groq": {"max_concurrent": 2}}) as app:
        told = await ended(app, app.local_principal, [*busy, waiting])

    assert {each.task.status for each in told} == {TaskStatus.COMPLETED}
    assert [[attempt.outcome for attempt in each.attempts] for each in told] == [
        [Outcome.CUT, Outcome.COMPLETED],
        [Outcome.CUT, Outcome.COMPLETED],
        [Outcome.COMPLETED],
    ]
    assert {each.task.recoveries for each in told} == {0}


async def test_no_more_calls_begin_within_a_minute_than_a_provider_takes(
    settings: Settings, providers: Providers
) -> None:
    async with opened(settings, {"groq": {"max_per_minute": 2}}) as app:
        me = app.local_principal
        made = await submitted(app, me, 2)
        assert {told.task.status for told in await ended(app, me, made)} == {TaskStatus.COMPLETED}
        (late,) = await submitted(app, me, 1)
        await until_waiting(app, me, late)

        await a_minute_later(app)
        (told,) = await ended(app, me, [late])

    assert (told.task.status, len(providers.groq.requests)) == (TaskStatus.COMPLETED, 3)
    assert "waiting for a free place at groq (limit 2 a minute)" in [event.message for event in told.history]


async def a_minute_later(app: App) -> None:
    """Every call was begun a minute earlier."""
    async with app._parts.database.write(INSTALLATION) as tx:
        for row in (await tx.execute(sa.select(attempts.c.id, attempts.c.started_at))).all():
            earlier = row.started_at - timedelta(seconds=61)
            await tx.execute(attempts.update().where(attempts.c.id == row.id), {"started_at": earlier})


async def test_a_provider_without_limits_costs_no_statement(app: App, me: Principal) -> None:
    said: list[str] = []
    engine = app._parts.database._engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    await ended(app, me, await submitted(app, me, 2))

    assert [statement for statement in said if "attempts.provider =" in statement] == []
    assert any("tasks.owner_id" in statement for statement in said)

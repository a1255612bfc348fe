"""Limits hold over all processes on a database, whoever set them, and requests with a key are done once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from people import Front, front
from stores import NewDatabase
from world import shared_app, simulated_providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.accounts import RateLimits
from vel_tutor_mcp.errors import Conflict, Forbidden, InputError, NotFound, TooManyTries
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.rates import Quota, Rates, _begins, _first_of
from vel_tutor_mcp.services.repeats import Repeats

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 26, 12, 0, 1, tzinfo=UTC)
_numbers = count(1)


class Clock:
    """What time the services take it to be."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Front]:
    home: Path = tmp_path_factory.mktemp("rates")
    async with simulated_providers() as providers, shared_app(providers, home, new_database) as app:
        yield front(app)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(record, "now", clock.now)
    return clock


@pytest.fixture
async def me(desk: Front) -> Principal:
    return (await desk.join("task_executor", f"limited-{next(_numbers)}")).principal


def process(app: App, **limits: int) -> Rates:
    """The limits as another process on the database keeps them."""
    return Rates(app._parts.database, app._parts.settings.model_copy(update=limits))


async def let_through(rates: Rates, who: Principal, kind: Quota, times: int) -> int:
    through = 0
    for _ in range(times):
        try:
            await rates.admit(who, kind)
        except TooManyTries:
            continue
        through += 1
    return through


@pytest.mark.parametrize(("kind", "limit", "lost"), [(Quota.TASK, 7, 0), (Quota.REQUEST, 100, 3 * 20)])
async def test_all_processes_together_let_through_no_more_than_the_limit(
    desk: Front, me: Principal, clock: Clock, kind: Quota, limit: int, lost: int
) -> None:
    processes = [process(desk.app, tasks_per_hour=limit, requests_per_minute=limit) for _ in range(4)]
    through = await asyncio.gather(*(let_through(rates, me, kind, limit) for rates in processes for _ in range(3)))
    assert limit - lost <= sum(through) <= limit
    assert sum(through) == limit  # each asks more often than there is, so that no lot is left
    clock.at += kind.window
    assert await let_through(processes[0], me, kind, limit + 1) == limit


async def test_who_is_refused_is_told_when_to_come_again(desk: Front, me: Principal, clock: Clock) -> None:
    rates = process(desk.app, tasks_per_hour=2)
    first = await rates.admit(me, Quota.TASK)
    assert first is not None
    assert (first.limit, first.remaining, first.resets_at) == (2, 1, NOON.replace(hour=13, second=0))
    await rates.admit(me, Quota.TASK)
    clock.at += timedelta(minutes=20)
    with pytest.raises(TooManyTries, match="2 tasks an hour are taken") as refused:
        await rates.admit(me, Quota.TASK)
    assert (refused.value.retry_after, refused.value.limit) == (40 * 60 - 1, 2)


async def test_nothing_is_counted_where_there_is_no_limit(desk: Front, me: Principal) -> None:
    rates = process(desk.app, tasks_per_hour=0)
    assert [await rates.admit(me, Quota.TASK) for _ in range(3)] == [None] * 3


@pytest.mark.usefixtures("clock")
async def test_a_users_limit_goes_before_the_organisations_and_that_before_the_settings(
    desk: Front, me: Principal
) -> None:
    rates, admin = process(desk.app, tasks_per_hour=1), desk.app.local_principal
    assert await let_through(rates, me, Quota.TASK, 9) == 1
    await rates.set(admin, "organisation", me.organisation_id, RateLimits(3))
    assert await let_through(rates, me, Quota.TASK, 9) == 2
    await rates.set(admin, "user", me.user_id, RateLimits(5, 50))
    assert await let_through(rates, me, Quota.TASK, 9) == 2
    told = (await rates.get(me, "user", me.user_id)).shown()
    assert told == {
        "tasks_per_hour": 5, "requests_per_minute": 50,
        "effective": {"tasks_per_hour": 5, "requests_per_minute": 50}, "used": {"tasks": 5, "requests": 0},
    }  # fmt: skip
    await rates.set(admin, "user", me.user_id, RateLimits())
    assert (await rates.get(me, "user", me.user_id)).holding == RateLimits(3, 600)
    assert len(await desk.recorded("rate_limits_set", f"user:{me.user_id}")) == 2


async def test_another_process_hears_within_seconds_that_somebody_may_ask_more(
    desk: Front, me: Principal, clock: Clock
) -> None:
    here, there = process(desk.app, tasks_per_hour=1), process(desk.app, tasks_per_hour=1)
    assert await let_through(here, me, Quota.TASK, 3) == 1
    await there.set(desk.app.local_principal, "user", me.user_id, RateLimits(2))
    assert await let_through(here, me, Quota.TASK, 3) == 0
    clock.at += timedelta(seconds=5)
    assert await let_through(here, me, Quota.TASK, 3) == 1


async def test_limits_are_an_administrators_to_set_and_within_range(desk: Front, me: Principal) -> None:
    rates, chief = process(desk.app), (await desk.join("org_admin", "Others")).principal
    with pytest.raises(Forbidden):
        await rates.set(me, "user", me.user_id, RateLimits(10**6))
    for scope, subject in (("user", me.user_id), ("organisation", me.organisation_id), ("organisation", "x\0")):
        with pytest.raises(NotFound):
            await rates.get(chief, scope, subject)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="requests_per_minute"):
        await rates.set(desk.app.local_principal, "user", me.user_id, RateLimits(1, 0))


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_every_moment_is_in_the_window_that_begins_before_it(at: datetime) -> None:
    for kind in Quota:
        begins = _begins(kind, at)
        assert begins <= at < begins + kind.window
        assert _begins(kind, begins) == begins


@pytest.mark.parametrize(
    ("given_limits", "first"),
    [
        ([RateLimits(), RateLimits(1, 2)], RateLimits(1, 2)),
        ([RateLimits(3), RateLimits(1, 2)], RateLimits(3, 2)),
        ([RateLimits(None, 4), RateLimits(1, 2)], RateLimits(1, 4)),
        ([RateLimits(0, 0), RateLimits(1, 2)], RateLimits(0, 0)),
    ],
)
def test_each_limit_comes_from_the_first_that_has_it(given_limits: list[RateLimits], first: RateLimits) -> None:
    assert _first_of(*given_limits) == first


async def test_a_request_with_a_key_is_done_once_and_answered_alike(desk: Front, me: Principal, clock: Clock) -> None:
    repeats = Repeats(desk.database)
    assert await repeats.begin(me, "key", {"body": 1}) is None
    with pytest.raises(Conflict, match="still at work"):
        await repeats.begin(me, "key", {"body": 1})
    await repeats.end(me, "key", 201, "made")
    assert await repeats.begin(me, "key", {"body": 1}) == (201, "made")
    with pytest.raises(Conflict, match="another request"):
        await repeats.begin(me, "key", {"body": 2})
    other = replace(me, user_id=(await desk.join()).id)
    assert await repeats.begin(other, "key", {"body": 2}) is None  # keys are everyone's own
    clock.at += timedelta(hours=24, seconds=1)
    assert await repeats.begin(me, "key", {"body": 2}) is None


async def test_a_request_that_failed_or_was_cut_may_be_done_again(desk: Front, me: Principal, clock: Clock) -> None:
    repeats = Repeats(desk.database)
    assert await repeats.begin(me, "failed", {}) is None
    await repeats.forget(me, "failed")
    assert await repeats.begin(me, "failed", {}) is None
    clock.at += timedelta(seconds=61)  # the process that was at work has died
    assert await repeats.begin(me, "failed", {}) is None

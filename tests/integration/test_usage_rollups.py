"""Usage: every number of every report is that of the attempts, whenever they were rolled up, by whom, and how often."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest
import sqlalchemy as sa
import usage_history
from hypothesis import given, settings
from hypothesis import strategies as st
from noted import CATALOG, PRICES
from times import examples
from usage_history import HISTORIES, MODELS, Made, Planned, Set, numbers

from vel_tutor_mcp.models import Outcome, Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.rollups import Rollups
from vel_tutor_mcp.services.usage import Usage
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import people
from vel_tutor_mcp.store.database import INSTALLATION, Transaction
from vel_tutor_mcp.store.people_tables import organisations, users
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.spans import ReportPeriod
from vel_tutor_mcp.store.usage import Group, Only
from vel_tutor_mcp.store.usage_tables import usage_rolled, usage_rollups

BEGUN = datetime(2026, 11, 20, 15, tzinfo=UTC)
# In the middle of a day, soon after midnight, when an hour was over within the margin, and as a month begins.
ENDS = st.sampled_from(
    [
        datetime(2026, 11, 26, 17, 42, 7, 5, tzinfo=UTC),
        datetime(2026, 11, 27, 0, 2, tzinfo=UTC),
        datetime(2026, 11, 27, 0, 5, tzinfo=UTC),
        datetime(2026, 12, 1, 0, 30, tzinfo=UTC),
    ]
)
# How many minutes before the end it was looked what is due, and how many spans were rolled up before a crash.
LOOKS = st.lists(st.tuples(st.integers(0, 4000) | st.integers(0, 130), st.integers(0, 200)), max_size=3)
GROUPS: tuple[Group, ...] = get_args(Group)
ASKED = st.lists(st.sampled_from(list(product(get_args(ReportPeriod), GROUPS))), min_size=2, max_size=2)
ONLY = st.builds(
    Only,
    st.none() | st.sampled_from(["groq", "openai"]),
    st.none() | st.sampled_from(MODELS),
    st.none() | st.sampled_from(usage_history.AGENTS),
)
LENGTHS = {"day": timedelta(days=1), "week": timedelta(7), "month": timedelta(30), "quarter": timedelta(90)}


class Place:
    """The services on a database with three people, of whom the last belongs to another organisation."""

    def __init__(self, stored_in: Settings, runner: asyncio.Runner) -> None:
        self.run = runner.run
        self.now = BEGUN
        self.database, self.other = database_of(stored_in), database_of(stored_in)
        self.rollups = Rollups(self.database)
        self.usage = Usage(self.database, CATALOG, PRICES, frozenset({"openai", "groq"}), stored_in)
        self.owners = self.run(self._people())

    async def _people(self) -> list[Principal]:
        async with self.database.write(INSTALLATION) as tx:
            first, second = [await people.local_principal(tx, name, BEGUN) for name in ("jo", "mo")]
            await tx.execute(organisations.insert(), {"id": _OTHER, "name": "other", "created_at": BEGUN})
            of_third = {"id": _OTHER, "organisation_id": _OTHER, "name": "third", "role": "admin"}
            await tx.execute(users.insert(), of_third | {"created_at": BEGUN, "updated_at": BEGUN})
            third = await people.principal(tx, _OTHER)
            owners = [first, replace(second, role="task_executor"), third]
            await tx.run_sync(usage_history.write_agents, owners, BEGUN)
        return owners

    async def begin(self) -> None:
        async with self.database.write(INSTALLATION) as tx:
            for table in (usage_rolled, usage_rollups):
                await tx.execute(table.delete())

    async def be_at(self, history: Sequence[Set], end: datetime, at: datetime) -> None:
        self.now = at
        async with self.database.write(INSTALLATION) as tx:
            await tx.run_sync(usage_history.write, history, end, at, self.owners)

    async def roll(self, most: int) -> None:
        """Roll up what is due, but for a process that dies after so many spans."""
        for span in (await self.rollups._due(self.now))[:most]:
            await self.rollups._roll(span)

    async def stored(self) -> list[list[Any]]:
        async with self.database.read(INSTALLATION) as tx:
            return [sorted(map(str, await _rows(tx, table))) for table in (usage_rolled, usage_rollups)]

    async def close(self) -> None:
        await self.database.close()
        await self.other.close()


async def _rows(tx: Transaction, table: sa.Table) -> Sequence[Any]:
    columns = [column for column in table.c if column.name != "sequence"]
    return [dict(row) for row in (await tx.execute(sa.select(*columns))).mappings()]


_OTHER = usage_history.id_of("other")


@pytest.fixture(scope="module")
def place(stored_in: Settings) -> Iterator[Place]:
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        made = Place(stored_in, runner)
        patch.setattr(record, "now", lambda: made.now)
        yield made
        runner.run(made.close())


@settings(max_examples=examples(12))
@given(history=HISTORIES, end=ENDS, looks=LOOKS, asked=ASKED, only=ONLY)
def test_every_number_is_that_of_the_attempts_whatever_is_rolled_up(
    place: Place, history: list[Set], end: datetime, looks: list[tuple[int, int]], asked: list[Any], only: Only
) -> None:
    async def checked() -> None:
        await place.begin()
        for ago, most in sorted(looks, reverse=True):
            await place.be_at(history, end, end - timedelta(minutes=ago))
            await place.roll(most)
        await place.be_at(history, end, end)
        every = usage_history.everything(history, end)
        for (period, group_by), owner in product(asked, place.owners):
            await check_report(place, every, period, group_by, owner)
            await check_series(place, every, period, group_by, owner, only)

    place.run(checked())


@settings(max_examples=examples(4))
@given(history=HISTORIES, end=ENDS, looks=LOOKS)
def test_rolled_up_little_by_little_or_anew_twice_or_by_two_at_once_it_is_the_same(
    place: Place, history: list[Set], end: datetime, looks: list[tuple[int, int]]
) -> None:
    async def checked() -> None:
        await place.begin()
        for ago, most in sorted(looks, reverse=True):
            await place.be_at(history, end, end - timedelta(minutes=ago))
            await place.roll(most)
        await place.be_at(history, end, end)
        await place.rollups.once()
        await place.rollups._tidy(end)  # as with the next hour, where a crash came before it and nothing was due since
        once = await place.stored()
        assert await place.rollups.once() == 0
        assert await place.stored() == once
        spans = await place.rollups.rebuild()
        assert await place.stored() == once
        await place.begin()
        both = await asyncio.gather(place.rollups.once(), Rollups(place.other).once())
        assert await place.stored() == once
        assert sum(both) == spans == len(once[0])

    place.run(checked())


ANSWER = Planned(MODELS[0], Outcome.COMPLETED, beside=False, seconds=1.0, tokens_in=10, tokens_out=10, cost=1000)


def test_what_comes_to_stand_in_an_hour_that_is_rolled_up_is_found(place: Place) -> None:
    end = datetime(2026, 11, 26, 17, 42, tzinfo=UTC)
    early, late = Set(0, "writer", None, 120, (ANSWER,)), Set(0, "writer", None, 121, (ANSWER,))

    async def told() -> list[int]:
        await place.begin()
        await place.be_at([early], end, end)
        await place.rollups.once()
        await place.be_at([early, late], end, end)  # by a process whose clock was set back
        found = [await tasks_of(place)]
        place.now = end + timedelta(hours=1)
        await place.rollups.once()
        found.append(await tasks_of(place))
        await place.rollups.once()
        return [*found, await tasks_of(place)]

    assert place.run(told()) == [1, 2, 2]


async def tasks_of(place: Place) -> int:
    """Of the last day."""
    report = await place.usage.report(place.owners[0], "day", "provider")
    return report.total.sums.tasks


@pytest.mark.parametrize("restarted", [False, True])
def test_hours_that_were_rolled_up_by_a_clock_that_was_ahead_are_rolled_up_anew(place: Place, restarted: bool) -> None:
    then = datetime(2026, 11, 26, 17, 42, tzinfo=UTC)
    end = then + timedelta(hours=2)
    history = [Set(0, "writer", None, ago, (ANSWER,)) for ago in (150, 61)]

    async def told() -> list[int]:
        await place.begin()
        await place.be_at(history, end, then)
        place.now = then + timedelta(hours=8)
        await place.rollups.once()
        place.now = then
        if not restarted:
            await place.rollups.once()
        await place.be_at(history, end, end)
        server = Rollups(place.database) if restarted else place.rollups
        await server.once()
        found = [await tasks_of(place)]
        await server.once()
        return [*found, await tasks_of(place)]

    assert place.run(told()) == [2, 2]


async def check_report(
    place: Place, every: list[Made], period: ReportPeriod, group_by: Group, owner: Principal
) -> None:
    report = (await place.usage.report(owner, period, group_by)).shown()
    since, seen = since_of(period, place.now), of_reader(place, every, owner)
    expected: dict[str, list[Made]] = {}
    for one in seen:
        if since <= one.ended < place.now:
            expected.setdefault(usage_history.group_of(one, group_by, one.ended, place.owners), []).append(one)
    lines = {line["group"]: line for line in report["groups"]}
    assert lines.keys() == expected.keys()
    for group, some in expected.items():
        wanted, alone = numbers(some), sum(costs_alone(report["baseline_model"], one) for one in some) / 1e9
        assert {name: lines[group][name] for name in wanted} == wanted
        assert lines[group]["success"] == wanted["completed"] / wanted["attempts"]
        answers = sum(one.planned.cost for one in some if one.answered) / 1e9
        # Each call's cost is rounded up to a nano-dollar.
        assert lines[group]["baseline_cost_usd"] == pytest.approx(alone, abs=1e-9 * len(some) + 1e-12)
        assert lines[group]["savings_usd"] == pytest.approx(lines[group]["baseline_cost_usd"] - answers)
    assert sum(line["tasks"] for line in lines.values()) == sum(
        one.number == 1 and since <= one.ended < place.now for one in seen
    )
    assert report["projection"] == pytest.approx(projection(seen, place.now), abs=1e-9)


async def check_series(
    place: Place, every: list[Made], period: ReportPeriod, group_by: Group, owner: Principal, only: Only
) -> None:
    series = (await place.usage.series(owner, period, group_by, only)).shown()
    step = timedelta(hours=1) if period == "day" else timedelta(days=1)
    since = since_of(period, place.now)
    seen = [one for one in of_reader(place, every, owner) if wanted_by(only, one) and since <= one.ended < place.now]
    assert [datetime.fromisoformat(at) for at in series["at"]] == [
        since + number * step for number in range(len(series["at"]))
    ]
    assert since + len(series["at"]) * step >= place.now > since + (len(series["at"]) - 1) * step
    for curve in series["groups"]:
        named = {group for group in (curve["group"],) if group != "all"}
        mine = [
            one for one in seen if not named or usage_history.group_of(one, group_by, one.ended, place.owners) in named
        ]
        for place_of, at in enumerate(series["at"]):
            begin = datetime.fromisoformat(at)
            wanted = numbers(one for one in mine if begin <= one.ended < begin + step)
            assert {name: curve[name][place_of] for name in wanted} == wanted
    assert sum(sum(curve["attempts"]) for curve in series["groups"]) == len(seen)


def since_of(period: ReportPeriod, now: datetime) -> datetime:
    begin = now - LENGTHS[period]
    return begin.replace(hour=begin.hour if period == "day" else 0, minute=0, second=0, microsecond=0)


def of_reader(place: Place, every: list[Made], owner: Principal) -> list[Made]:
    """An administrator sees what the organisation does, another what is theirs."""
    if owner.role == "task_executor":
        return [one for one in every if place.owners[one.of.owner] is owner]
    return [one for one in every if place.owners[one.of.owner].organisation_id == owner.organisation_id]


def wanted_by(only: Only, one: Made) -> bool:
    told = (one.planned.model.partition("/")[0], one.planned.model, one.of.agent)
    return all(want in {None, is_} for want, is_ in zip((only.provider, only.model, only.agent), told, strict=True))


def costs_alone(model: str, one: Made) -> int:
    tokens = one.planned.tokens_in or 0, one.planned.tokens_out or 0
    return PRICES.cost(CATALOG.find(model), *tokens) or 0 if one.answered else 0


def projection(seen: list[Made], now: datetime) -> dict[str, Any]:
    """The month so far, and the mean of up to seven whole days since the first day for what is left of it."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month, after = today.replace(day=1), (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    days = min(7, (today.date() - BEGUN.date()).days - 1)
    cost = [(one.ended, one.planned.cost / 1e9) for one in seen if one.ended < now]
    so_far = sum(usd for at, usd in cost if at >= month)
    recent = sum(usd for at, usd in cost if today - timedelta(days=days) <= at < today)
    left = (after - now) / timedelta(days=1)
    return {"month_to_date_usd": so_far, "month_end_usd": so_far + recent / days * left, "basis_days": days}

"""What the ledger's rows say of budgets, on real databases: computed here from the same rows in another way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import empty
from times import examples
from usage_history import id_of

from vel_tutor_mcp.models import NanoUsd, Principal, Priority, Task, TaskStatus
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import budgets
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import INSTALLATION, Transaction
from vel_tutor_mcp.store.money_tables import budgets as limits
from vel_tutor_mcp.store.money_tables import ledger, ledger_sums
from vel_tutor_mcp.store.people_tables import organisations, users
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.standing import Budget, Period, Scope, Standing, begins
from vel_tutor_mcp.store.tables import agents, attempts, tasks

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HERE, THERE, RUN = id_of("here"), id_of("there"), id_of("run")
NAMES = {id_of(name): name for name in ("ada", "bob", "eve")}
ADA, BOB, EVE = NAMES
# Each task with its owner, its organisation and its run; each owner has one agent.
TASKS = {
    id_of("task", n): of
    for n, of in enumerate([(ADA, HERE, None), (ADA, HERE, RUN), (BOB, HERE, RUN), (EVE, THERE, None)])
}
FIRST, SECOND, *_ = TASKS


def agent_of(owner: str) -> str:
    return id_of("agent", owner)


@dataclass(frozen=True)
class Booked:
    """A row of the ledger."""

    at: datetime
    task: str
    reserved: int
    settled: int | None

    def is_on(self, budget: Budget) -> bool:
        owner, organisation, run = TASKS[self.task]
        subject = {
            Scope.TASK: self.task,
            Scope.RUN: run,
            Scope.AGENT: agent_of(owner),
            Scope.USER: owner,
            Scope.ORGANISATION: organisation,
        }[budget.scope]
        return subject == budget.subject_id and begins(budget.period, self.at) == begins(budget.period, NOW)


def limit(scope: Scope, subject: str, period: Period, nano: int = 100, *, hard: bool = True) -> Budget:
    return Budget(scope=scope, subject_id=subject, period=period, limit_nanousd=NanoUsd(nano), hard=hard)


LIMITS = [
    limit(Scope.TASK, FIRST, Period.TASK),
    limit(Scope.RUN, RUN, Period.RUN),
    *(
        limit(scope, subject, period)
        for scope, subject in [(Scope.AGENT, agent_of(ADA)), (Scope.USER, ADA), (Scope.ORGANISATION, HERE)]
        for period in (Period.DAY, Period.MONTH)
    ),
    limit(Scope.ORGANISATION, THERE, Period.MONTH),
]


def of_calendar(budget: Budget) -> bool:
    return begins(budget.period, NOW) is not None


async def furnish(tx: Transaction) -> None:
    for organisation in (HERE, THERE):
        await tx.execute(organisations.insert(), {"id": organisation, "name": f"at {organisation}", "created_at": NOW})
    for owner, organisation in {(owner, organisation) for owner, organisation, _ in TASKS.values()}:
        made = {"organisation_id": organisation, "created_at": NOW, "updated_at": NOW}
        await tx.execute(users.insert(), made | {"id": owner, "name": NAMES[owner], "role": "viewer"})
        of_owner = {"owner_id": owner, "name": "writer", "type": "researcher", "status": "active", "version": 1}
        await tx.execute(agents.insert(), made | of_owner | {"id": agent_of(owner)})
    for task, (owner, organisation, run) in TASKS.items():
        row: dict[str, Any] = {
            "id": task, "organisation_id": organisation, "owner_id": owner, "run_id": run, "agent_id": agent_of(owner),
            "agent_name": "writer", "agent_version": 1, "status": "in_progress", "prompt": "Say hello", "priority": 1,
            "parameters": {}, "attempt_set": 1, "recoveries": 0, "cancel_requested": False, "running": True,
            "partial": False, "created_at": NOW, "updated_at": NOW,
        }  # fmt: skip
        await tx.execute(tasks.insert(), row)


async def book(tx: Transaction, rows: list[Booked], numbers: range) -> None:
    """As calls are: what is kept of later ones is dropped."""
    for number, row in zip(numbers, rows, strict=True):
        owner, organisation, _ = TASKS[row.task]
        of = {"organisation_id": organisation, "owner_id": owner, "task_id": row.task}
        attempt = {
            "id": id_of("attempt", number), "attempt_set": 1, "number": number, "provider": "groq", "model": "m",
            "outcome": "open", "started_at": row.at,
        }  # fmt: skip
        await tx.execute(attempts.insert(), of | attempt)
        await tx.execute(
            ledger.insert(),
            of
            | {
                "id": id_of("row", number), "attempt_id": attempt["id"], "agent_id": agent_of(owner),
                "reserved_nanousd": row.reserved, "settled_nanousd": row.settled, "reserved_at": row.at,
                "settled_at": None if row.settled is None else row.at + timedelta(seconds=9),
            },
        )  # fmt: skip
        await budgets.drop_sums(tx, organisation, row.at)


def check(standings: list[Standing], rows: list[Booked]) -> None:
    for standing in standings:
        ours = [row for row in rows if row.is_on(standing.budget)]
        still_open = [row for row in ours if row.settled is None]
        assert standing.spent == sum(row.settled or 0 for row in ours)
        assert standing.reserved == sum(row.reserved for row in still_open)
        assert standing.held == sum(row.reserved for row in still_open if row.task != FIRST)


async def check_kept(tx: Transaction, standings: list[Standing], rows: list[Booked]) -> None:
    """A sum is kept where more rows than need be were read: of all before the first that is open, or the last."""
    kept = {(row.scope, row.subject_id, row.period): row for row in await tx.execute(sa.select(ledger_sums))}
    for standing in standings:
        budget = standing.budget
        if standing.tail <= budgets.LONGEST_TAIL or not of_calendar(budget):
            continue
        ours = [row for row in rows if row.is_on(budget)]
        found = kept[budget.scope, budget.subject_id, budget.period]
        through = min((row.at for row in ours if row.settled is None), default=max(row.at for row in ours))
        assert (found.through, found.since) == (through, begins(budget.period, NOW))
        assert found.settled_nanousd == sum(row.settled or 0 for row in ours if row.at < through)
        assert found.organisation_id == (THERE if budget.subject_id == THERE else HERE)
        again = await budgets.standing(tx, budget, NOW)
        assert again.tail == sum(row.at >= through for row in ours)


moments = st.sampled_from([-32, -25, -24, -20, -3, -1, 0, 0, 0, 6]).flatmap(
    lambda days: st.integers(0, 11).map(lambda hours: NOW + timedelta(days=days, hours=hours - 6))
)
rows_booked = st.lists(
    st.builds(Booked, moments, st.sampled_from(list(TASKS)), st.integers(1, 50), st.none() | st.integers(0, 60)),
    max_size=12,
)


@settings(max_examples=examples(15), deadline=None)
@given(rows_booked, rows_booked)
def test_budgets_stand_as_the_rows_say_whatever_sums_are_kept(
    stored_in: Settings, earlier: list[Booked], later: list[Booked]
) -> None:
    async def play(tx: Transaction) -> None:
        assert await budgets.stand(tx, [], NOW) == []
        await book(tx, earlier, range(len(earlier)))
        before = await budgets.stand(tx, LIMITS, NOW, FIRST)
        check(before, earlier)
        assert [one.tail for one in before] == [sum(row.is_on(one.budget) for row in earlier) for one in before]
        await budgets.keep_sums(tx, HERE, before[:-1])
        await budgets.keep_sums(tx, THERE, before[-1:])
        await check_kept(tx, before, earlier)
        kept = await tx.scalar(sa.select(sa.func.count()).select_from(ledger_sums))
        assert kept == sum(one.tail > budgets.LONGEST_TAIL and of_calendar(one.budget) for one in before)
        check(await budgets.stand(tx, LIMITS, NOW, FIRST), earlier)

        await book(tx, later, range(len(earlier), len(earlier) + len(later)))
        after = await budgets.stand(tx, LIMITS, NOW, FIRST)
        check(after, earlier + later)
        await budgets.keep_sums(tx, HERE, after[:-1])
        await budgets.keep_sums(tx, THERE, after[-1:])
        await check_kept(tx, after, earlier + later)
        check(await budgets.stand(tx, LIMITS, NOW, FIRST), earlier + later)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(budgets, "LONGEST_TAIL", 2)
        asyncio.run(on_rows(stored_in, play))


async def on_rows(stored_in: Settings, play: Callable[[Transaction], Awaitable[None]]) -> None:
    database = database_of(stored_in)
    try:
        await empty(database)
        async with database.write(INSTALLATION) as tx:
            await furnish(tx)
            await play(tx)
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("period", "midnights"),
    [
        (Period.DAY, [datetime(2026, 11, day, tzinfo=UTC) for day in (25, 26)]),
        (Period.MONTH, [datetime(2026, month, 1, tzinfo=UTC) for month in (11, 12)]),
    ],
)
def test_what_is_booked_at_midnight_is_of_the_period_that_begins(
    stored_in: Settings, period: Period, midnights: list[datetime]
) -> None:
    async def play(tx: Transaction) -> None:
        began, ends = midnights
        await book(tx, [Booked(began, FIRST, 3, None), Booked(ends, FIRST, 5, None)], range(2))
        assert (await budgets.standing(tx, limit(Scope.USER, ADA, period), NOW)).reserved == 3

    asyncio.run(on_rows(stored_in, play))


def test_without_a_task_all_that_is_set_aside_is_held_by_others(stored_in: Settings) -> None:
    async def play(tx: Transaction) -> None:
        await book(tx, [Booked(NOW, FIRST, 7, None), Booked(NOW, SECOND, 5, None)], range(2))
        found = await budgets.standing(tx, limit(Scope.USER, ADA, Period.DAY), NOW)
        assert (found.spent, found.reserved, found.held, found.tail) == (0, 12, 12, 2)

    asyncio.run(on_rows(stored_in, play))


def test_what_came_before_what_is_kept_of_another_organisation_leaves_ours(stored_in: Settings) -> None:
    async def play(tx: Transaction) -> None:
        budget = limit(Scope.USER, ADA, Period.DAY)
        await book(tx, [Booked(NOW, FIRST, 7, 7)] * 3, range(3))
        await budgets.keep_sums(tx, HERE, [await budgets.standing(tx, budget, NOW)])
        through = sa.select(ledger_sums.c.through)
        for organisation, at, left in [
            (THERE, NOW - timedelta(1), [NOW]),
            (HERE, NOW, [NOW]),
            (HERE, NOW - timedelta(1), []),
        ]:
            await budgets.drop_sums(tx, organisation, at)
            assert list(await tx.scalars(through)) == left

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(budgets, "LONGEST_TAIL", 2)
        asyncio.run(on_rows(stored_in, play))


PAYER = Payer(organisation_id=HERE, owner_id=ADA, agent_id=agent_of(ADA), run_id=RUN, task_id=SECOND)


def test_a_tasks_payer_is_all_whom_it_belongs_to() -> None:
    task = Task(
        id=SECOND, owner_id=ADA, organisation_id=HERE, agent_id=agent_of(ADA), agent_name="writer", agent_version=1,
        run_id=RUN, status=TaskStatus.PENDING, prompt="Say hello", task_type=None, priority=Priority.LOW,
        created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    assert Payer.of(task) == PAYER


SET = [
    limit(Scope.TASK, SECOND, Period.TASK, 1),
    limit(Scope.RUN, RUN, Period.RUN, 2),
    limit(Scope.AGENT, agent_of(ADA), Period.DAY, 3),
    limit(Scope.USER, ADA, Period.MONTH, 4, hard=False),
    limit(Scope.ORGANISATION, HERE, Period.DAY, 5),
]


async def standings_of(tx: Transaction, payer: Payer, of_day: NanoUsd | None = None) -> list[Standing]:
    await book(tx, [Booked(NOW, FIRST, 3, None), Booked(NOW, SECOND, 5, None)], range(2))
    for budget in reversed(SET):
        await budgets.put(tx, budget, HERE, ADA, NOW)
    return await budgets.standings(tx, payer, NOW, of_day)


@pytest.mark.parametrize(
    ("payer", "found"),
    [
        (PAYER, SET),
        (Payer(organisation_id=HERE, owner_id=ADA), SET[3:]),
        (Payer(organisation_id=HERE, owner_id=BOB), SET[4:]),
        (Payer(organisation_id=THERE, owner_id=EVE), []),
    ],
)
def test_a_call_is_on_the_budgets_of_its_payer_the_narrowest_first(
    stored_in: Settings, payer: Payer, found: list[Budget]
) -> None:
    async def play(tx: Transaction) -> None:
        assert [standing.budget for standing in await standings_of(tx, payer)] == found

    asyncio.run(on_rows(stored_in, play))


def test_what_other_tasks_have_set_aside_is_held(stored_in: Settings) -> None:
    async def play(tx: Transaction) -> None:
        of_task, of_run, of_agent, of_user, _ = await standings_of(tx, PAYER)
        assert [(one.reserved, one.held, one.at) for one in (of_task, of_run)] == [(5, 0, NOW)] * 2
        assert [(one.reserved, one.held, one.at) for one in (of_agent, of_user)] == [(8, 3, NOW)] * 2

    asyncio.run(on_rows(stored_in, play))


def test_the_installations_own_limit_of_a_day_comes_last(stored_in: Settings) -> None:
    async def play(tx: Transaction) -> None:
        own = replace(limit(Scope.ORGANISATION, HERE, Period.DAY, 9), of_settings=True)
        assert [standing.budget for standing in await standings_of(tx, PAYER, NanoUsd(9))] == [*SET, own]

    asyncio.run(on_rows(stored_in, play))


def test_a_budget_is_put_in_the_place_of_the_one_of_its_subject_and_period(stored_in: Settings) -> None:
    async def play(tx: Transaction) -> None:
        later = NOW + timedelta(hours=1)
        for budget in SET:
            await budgets.put(tx, budget, HERE, ADA, NOW)
        await budgets.put(tx, limit(Scope.USER, ADA, Period.MONTH, 44), HERE, BOB, later)
        assert await budgets.set_by(tx, Scope.USER, ADA, Period.MONTH) == BOB
        assert await budgets.set_by(tx, Scope.AGENT, agent_of(ADA), Period.DAY) == ADA
        assert await budgets.set_by(tx, Scope.AGENT, agent_of(ADA), Period.MONTH) is None
        dates = sa.select(limits.c.created_at, limits.c.updated_at)
        assert tuple((await tx.execute(dates.where(limits.c.limit_nanousd == 44))).one()) == (NOW, later)
        assert tuple((await tx.execute(dates.where(limits.c.limit_nanousd == 3))).one()) == (NOW, None)

        assert await budgets.remove(tx, Scope.USER, ADA, Period.MONTH) is True
        assert await budgets.remove(tx, Scope.USER, ADA, Period.MONTH) is False
        assert await budgets.of_organisation(tx, HERE) == [(SET[2], "writer"), (SET[4], f"at {HERE}")]

    asyncio.run(on_rows(stored_in, play))


def test_an_organisations_budgets_are_listed_by_scope_name_and_period(stored_in: Settings) -> None:
    of_users = [limit(Scope.USER, *of) for of in ((ADA, Period.DAY, 1), (ADA, Period.MONTH, 2), (BOB, Period.DAY, 3))]

    async def play(tx: Transaction) -> None:
        for budget in (*reversed(of_users), *SET[:3], SET[4]):
            await budgets.put(tx, budget, HERE, ADA, NOW)
        await budgets.put(tx, limit(Scope.USER, EVE, Period.DAY, 7), THERE, EVE, NOW)
        assert await budgets.of_organisation(tx, HERE) == [
            (SET[2], "writer"),
            (SET[4], f"at {HERE}"),
            *zip(of_users, ["ada", "ada", "bob"], strict=True),
        ]

    asyncio.run(on_rows(stored_in, play))


def test_calls_are_booked_on_ones_agents_oneself_and_ones_organisation(stored_in: Settings) -> None:
    async def play(tx: Transaction) -> None:
        ada = Principal(user_id=ADA, organisation_id=HERE, name="ada", role="viewer")
        assert await budgets.own_subjects(tx, ada) == {agent_of(ADA), ADA, HERE}

    asyncio.run(on_rows(stored_in, play))

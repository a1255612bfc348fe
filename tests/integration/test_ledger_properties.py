"""The ledger under random schedules, on real databases: no hard budget is ever passed, no cent is lost or booked twice,
and nothing is refused that there was money for.

`VEL_TEST_SCHEDULES=2000` plays so many; without it a few dozen. One is told by its number, which a failure names.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from noted import CATALOG, PRICES
from schedules import Clock, Schedule, most_taken

from vel_tutor_mcp.models import Attempt, AuditEntry, FailureKind, NanoUsd, Outcome
from vel_tutor_mcp.routing.ledger import nano_usd, prompt_bytes
from vel_tutor_mcp.routing.policy import SHORTEST_ANSWER, SHORTEST_REASONED_ANSWER
from vel_tutor_mcp.routing.reasons import OVER_BUDGET
from vel_tutor_mcp.services import record
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import attempts, budgets, history
from vel_tutor_mcp.store.audit import EntryQuery, page
from vel_tutor_mcp.store.database import INSTALLATION, Transaction
from vel_tutor_mcp.store.money_tables import budgets as limits
from vel_tutor_mcp.store.money_tables import ledger, ledger_sums
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.standing import Budget, Scope, begins
from vel_tutor_mcp.store.tables import agents, tasks

SCHEDULES = int(os.environ.get("VEL_TEST_SCHEDULES", "16"))
FIRST = int(os.environ.get("VEL_TEST_FIRST_SCHEDULE", "0"))
WARNED, EXCEEDED = 80, 100

SEEN: Counter[str] = Counter()


@pytest.mark.timeout(7200)
def test_in_any_order_of_events_the_money_is_right(stored_in: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(record, "now", clock.now)
    # So that a kept sum is part of nearly every reading.
    monkeypatch.setattr(budgets, "LONGEST_TAIL", 2)
    SEEN.clear()
    asyncio.run(played(stored_in, clock))
    assert all(
        SEEN[what] for what in ("completed", "cut", "fallback", "raced", "waited", "refused", "warned", "kept")
    ), SEEN


async def played(stored_in: Settings, clock: Clock) -> None:
    database = database_of(stored_in)
    try:
        for seed in range(FIRST, FIRST + SCHEDULES):
            await one(Schedule(seed, database, clock, check), seed)
    finally:
        await database.close()


async def one(schedule: Schedule, seed: int) -> None:
    try:
        await schedule.play()
        await check_end(schedule)
    except BaseException as problem:
        problem.add_note(f"in schedule {seed}: VEL_TEST_SCHEDULES=1 VEL_TEST_FIRST_SCHEDULE={seed}")
        raise


@dataclass(frozen=True)
class Book:
    """All that is stored about money, as plain rows; what they come to is computed here, in another way."""

    budgets: list[Budget]
    rows: list[sa.Row[Any]]

    @classmethod
    async def read(cls, tx: Transaction, schedule: Schedule) -> "Book":
        found = [budgets._budget(row) for row in await tx.execute(sa.select(limits))]
        if schedule.of_day is not None:
            of_day = nano_usd(schedule.of_day)
            found.append(budgets.of_settings(schedule.people[0].organisation_id, of_day))
        query = sa.select(ledger, tasks.c.run_id).join(tasks, tasks.c.id == ledger.c.task_id)
        return cls(found, list(await tx.execute(query)))

    def of(self, budget: Budget) -> dict[datetime | None, list[sa.Row[Any]]]:
        """The budget's rows by period."""
        column = {
            Scope.TASK: "task_id",
            Scope.RUN: "run_id",
            Scope.AGENT: "agent_id",
            Scope.USER: "owner_id",
            Scope.ORGANISATION: "organisation_id",
        }[budget.scope]
        found: dict[datetime | None, list[sa.Row[Any]]] = {}
        for row in self.rows:
            if getattr(row, column) == budget.subject_id:
                found.setdefault(begins(budget.period, row.reserved_at), []).append(row)
        return found

    def spent(self, budget: Budget, at: datetime) -> int:
        """What calls had cost by then, in the period of that moment."""
        rows = self.of(budget).get(begins(budget.period, at), [])
        return sum(row.settled_nanousd for row in rows if row.settled_at is not None and row.settled_at <= at)


async def check(schedule: Schedule) -> None:
    """What holds at every moment; computed outside of the transaction, which a database ends that waits too long."""
    async with schedule.database.read(INSTALLATION) as tx:
        book = await Book.read(tx, schedule)
        standings = await budgets.stand(tx, book.budgets, record.now())
    for standing in standings:
        budget, periods = standing.budget, book.of(standing.budget)
        for rows in periods.values():
            assert not budget.hard or most_taken(rows) <= budget.limit_nanousd, (budget, rows)
        now = periods.get(begins(budget.period, standing.at), [])
        assert standing.spent == sum(row.settled_nanousd or 0 for row in now)
        assert standing.reserved == sum(row.reserved_nanousd for row in now if row.settled_at is None)


async def check_end(schedule: Schedule) -> None:
    async with schedule.database.read(INSTALLATION) as tx:
        book = await Book.read(tx, schedule)
        made = [
            attempt for task in await tx.scalars(sa.select(tasks.c.id)) for attempt in await attempts.of_task(tx, task)
        ]
        await check_bookings(tx, schedule, book, made)
        await check_refusals(tx, schedule, book)
        await check_warnings(tx, schedule, book)
        SEEN["kept"] += len((await tx.execute(sa.select(ledger_sums))).all())
        SEEN["waited"] += len((await tx.execute(sa.select(tasks.c.id).where(tasks.c.turn > 1))).all())


async def check_bookings(tx: Transaction, schedule: Schedule, book: Book, made: list[Attempt]) -> None:
    """Every call is booked once, at what it cost; every reservation is settled."""
    booked = {row.attempt_id: row for row in book.rows}
    assert len(booked) == len(book.rows) == len(made)
    for attempt in made:
        row = booked[attempt.id]
        assert row.settled_nanousd == attempt.cost_nanousd
        assert attempt.cost_nanousd in cost_of(attempt, row.reserved_nanousd)
        SEEN[attempt.outcome] += 1
        SEEN["raced"] += lost_race(attempt)
        SEEN["fallback"] += attempt.outcome is Outcome.COMPLETED and attempt.number > 1
    heard = Counter(
        (call.request.prompt, name, call.request.model)
        for name, vendor in schedule.vendors.items()
        for call in vendor.heard
    )
    prompts = {row.id: row.prompt for row in await tx.execute(sa.select(tasks.c.id, tasks.c.prompt))}
    asked = Counter((prompts[attempt.task_id], attempt.provider, attempt.model) for attempt in made)
    unheard = Counter(
        (prompts[attempt.task_id], attempt.provider, attempt.model)
        for attempt in made
        if attempt.outcome in {Outcome.CUT, Outcome.CANCELLED}
    )
    assert heard <= asked
    assert asked - heard <= unheard


def cost_of(attempt: Attempt, reserved: int) -> set[int | None]:
    """What it may be booked at: one amount, but for who lost a race perhaps before anything was sent."""
    if attempt.tokens_out is not None:
        row = CATALOG.find(f"{attempt.provider}/{attempt.model}")
        return {PRICES.cost(row, attempt.tokens_in or 0, attempt.tokens_out)}
    if attempt.outcome is Outcome.FAILED and attempt.failure is not FailureKind.MALFORMED:
        return {0}
    return {reserved, 0} if lost_race(attempt) else {reserved}


def lost_race(attempt: Attempt) -> bool:
    return attempt.outcome is Outcome.CANCELLED and (attempt.error or "").startswith("lost the race")


async def check_refusals(tx: Transaction, schedule: Schedule, book: Book) -> None:
    """Where money kept a task from being done, what was really spent did not allow the shortest answer."""
    query = sa.select(tasks, agents.c.name).join(agents, agents.c.id == tasks.c.agent_id)
    for task in await tx.execute(query.where(tasks.c.error_code.in_(["no_candidate", "over_budget"]))):
        SEEN["refused"] += 1
        decision = await history.decision(tx, task.id, task.attempt_set)
        assert decision is not None
        refused = [out for out in decision.excluded if out.reason.startswith(OVER_BUDGET)]
        left = min(
            schedule.limit(budget, task.ended_at) - book.spent(budget, task.ended_at)
            for budget in book.budgets
            if budget.hard
            and budget.subject_id in {task.id, task.run_id, task.agent_id, task.owner_id, task.organisation_id}
        )
        names = [row.name for row in decision.candidates] + [f"{row.provider}/{row.model}" for row in refused]
        assert min(shortest_cost(name, task.prompt) for name in names) > left
        assert "is spent" in task.error_message


def shortest_cost(model: str, prompt: str) -> NanoUsd:
    row = CATALOG.find(model)
    shortest = SHORTEST_REASONED_ANSWER if "reasoning" in row.capabilities else SHORTEST_ANSWER
    cost = PRICES.worst_case(row, prompt_bytes(prompt), min(shortest, row.max_output_tokens))
    assert cost is not None
    return cost


async def check_warnings(tx: Transaction, schedule: Schedule, book: Book) -> None:
    """A mark that was passed is told once for each period of each budget."""
    entries: list[AuditEntry] = []
    for action in ("budget_warning", "budget_exceeded"):
        entries += (await page(tx, schedule.people[0], 1000, None, EntryQuery(action=action))).rows
    told = Counter(
        (entry.action, entry.payload["scope"], entry.payload["subject"], entry.payload["period"]) for entry in entries
    )
    SEEN["warned"] += len(entries)
    due: Counter[tuple[str, str, str, str]] = Counter()
    for budget in book.budgets:
        for rows in book.of(budget).values():
            spent = sum(row.settled_nanousd for row in rows)
            subject = (budget.scope.value, budget.subject_id, budget.period.value)
            due["budget_warning", *subject] += 100 * spent >= WARNED * budget.limit_nanousd
            due["budget_exceeded", *subject] += 100 * spent > EXCEEDED * budget.limit_nanousd
    raised = {(old.scope.value, old.subject_id, old.period.value) for _, old in schedule.raised}
    for key in told.keys() | due.keys():
        if key[1:] not in raised:
            assert told[key] == due[key], key

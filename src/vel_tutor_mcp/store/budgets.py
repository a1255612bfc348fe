"""Budgets, and what the ledger's rows say of them: the rows are the only counter there is.

So that no call adds up a month, the sum of a period's first rows is kept, up to a moment before which none is open.
Such rows never change; where a row comes to stand before that moment (a clock was set back), the sum is dropped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.models import NanoUsd, Principal, Task
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.money_tables import budgets, ledger, ledger_sums
from vel_tutor_mcp.store.people_tables import organisations, users
from vel_tutor_mcp.store.standing import Budget, Period, Scope, Standing, begins, renews
from vel_tutor_mcp.store.tables import agents, tasks

# So many rows are added up at each call before their sum is kept.
LONGEST_TAIL = 500

_open = ledger.c.settled_nanousd.is_(None)
_columns: dict[Scope, sa.Column[Any]] = {
    Scope.TASK: ledger.c.task_id,
    Scope.AGENT: ledger.c.agent_id,
    Scope.USER: ledger.c.owner_id,
    Scope.ORGANISATION: ledger.c.organisation_id,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """On whose budgets a call is; without `task_id` it is one that could be made."""

    organisation_id: str
    owner_id: str
    agent_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None

    @classmethod
    def of(cls, task: Task) -> "Payer":
        return cls(
            organisation_id=task.organisation_id,
            owner_id=task.owner_id,
            agent_id=task.agent_id,
            run_id=task.run_id,
            task_id=task.id,
        )

    def subjects(self) -> dict[Scope, str]:
        found = {
            Scope.TASK: self.task_id,
            Scope.RUN: self.run_id,
            Scope.AGENT: self.agent_id,
            Scope.USER: self.owner_id,
            Scope.ORGANISATION: self.organisation_id,
        }
        return {scope: subject for scope, subject in found.items() if subject is not None}


async def put(tx: Transaction, budget: Budget, organisation_id: str, owner_id: str, now: datetime) -> None:
    """Store the budget in the place of an earlier one of the same subject and period; `owner_id` is who sets it."""
    values = {"limit_nanousd": budget.limit_nanousd, "kind": budget.kind, "owner_id": owner_id, "updated_at": now}
    changed = await tx.execute(budgets.update().where(_is(budget.scope, budget.subject_id, budget.period)), values)
    if changed.rowcount:
        return
    made = {"id": str(uuid4()), "organisation_id": organisation_id, "created_at": now, "period": budget.period}
    await tx.execute(
        budgets.insert(), values | made | {"scope": budget.scope, "subject_id": budget.subject_id, "updated_at": None}
    )


async def remove(tx: Transaction, scope: Scope, subject_id: str, period: Period) -> bool:
    """Take the budget away; False where there is none."""
    return bool((await tx.execute(budgets.delete().where(_is(scope, subject_id, period)))).rowcount)


async def set_by(tx: Transaction, scope: Scope, subject_id: str, period: Period) -> str | None:
    """Who set the budget; None where there is none."""
    found: str | None = await tx.scalar(sa.select(budgets.c.owner_id).where(_is(scope, subject_id, period)))
    return found


async def of_organisation(tx: Transaction, organisation_id: str) -> list[tuple[Budget, str]]:
    """The budgets of the organisation, its users and their agents, each with the name of its subject."""
    named = (
        # No two things have one id, so at most one of these finds the subject.
        budgets.outerjoin(agents, agents.c.id == budgets.c.subject_id)
        .outerjoin(users, users.c.id == budgets.c.subject_id)
        .outerjoin(organisations, organisations.c.id == budgets.c.subject_id)
    )
    name = sa.func.coalesce(agents.c.name, users.c.name, organisations.c.name).label("name")
    query = (
        sa.select(budgets, name)
        .select_from(named)
        .where(budgets.c.organisation_id == organisation_id, budgets.c.period.in_([Period.DAY, Period.MONTH]))
        .order_by(budgets.c.scope, name, budgets.c.period)
    )
    return [(_budget(row), row.name) for row in await tx.execute(query)]


async def own_subjects(tx: Transaction, principal: Principal) -> set[str]:
    """What the principal's calls are booked on, but tasks and runs: agents of theirs, they, and their organisation."""
    theirs = await tx.scalars(sa.select(agents.c.id).where(agents.c.owner_id == principal.user_id))
    return {*theirs, principal.user_id, principal.organisation_id}


async def standings(tx: Transaction, payer: Payer, at: datetime, of_day: NanoUsd | None = None) -> list[Standing]:
    """How the budgets stand that a call of this payer at `at` would be on, the narrowest first.

    `of_day` is the installation's own limit for a day of the organisation.
    """
    subjects = payer.subjects()
    ours = [
        sa.and_(budgets.c.scope == scope, budgets.c.subject_id == subject_id) for scope, subject_id in subjects.items()
    ]
    rows = await tx.execute(sa.select(budgets).where(sa.or_(*ours)))
    # Written from the narrowest to the widest.
    places = list(Scope)
    found = sorted((_budget(row) for row in rows), key=lambda budget: places.index(budget.scope))
    if of_day is not None:
        found.append(of_settings(payer.organisation_id, of_day))
    return await stand(tx, found, at, payer.task_id)


def of_settings(organisation_id: str, of_day: NanoUsd) -> Budget:
    return Budget(
        scope=Scope.ORGANISATION,
        subject_id=organisation_id,
        period=Period.DAY,
        limit_nanousd=of_day,
        of_settings=True,
    )


async def standing(tx: Transaction, budget: Budget, at: datetime) -> Standing:
    """How the budget stands in the period of `at`."""
    (found,) = await stand(tx, [budget], at)
    return found


async def stand(tx: Transaction, found: Sequence[Budget], at: datetime, task_id: str | None = None) -> list[Standing]:
    """How each of the budgets stands in its period of `at`; what is set aside for any task but this one is held."""
    if not found:
        return []
    kept = await _kept_sums(tx, found, at)
    parts = [
        _taken(_rows(budget, at, through), task_id).add_columns(sa.literal(place).label("place"))
        for place, (budget, (_, through)) in enumerate(zip(found, kept, strict=True))
    ]
    taken = {row.place: row for row in await tx.execute(sa.union_all(*parts))}
    return [
        Standing(
            budget=budget,
            at=at,
            spent=NanoUsd(kept[place][0] + int(taken[place].spent)),
            reserved=NanoUsd(int(taken[place].reserved)),
            held=NanoUsd(int(taken[place].held)),
            tail=taken[place].tail,
        )
        for place, budget in enumerate(found)
    ]


def _taken(rows: Sequence[sa.ColumnElement[bool]], task_id: str | None) -> sa.Select[Any]:
    set_aside = sa.func.sum(ledger.c.reserved_nanousd)
    others = (_open,) if task_id is None else (_open, ledger.c.task_id != task_id)
    return sa.select(
        sa.func.count().label("tail"),
        sa.func.coalesce(sa.func.sum(ledger.c.settled_nanousd), 0).label("spent"),
        sa.func.coalesce(set_aside.filter(_open), 0).label("reserved"),
        sa.func.coalesce(set_aside.filter(*others), 0).label("held"),
    ).where(*rows)


async def keep_sums(tx: Transaction, organisation_id: str, standings: Iterable[Standing]) -> None:
    """Keep the sum of what has ended, where more rows than need be were read; in a writer's transaction."""
    for row in standings:
        if row.tail > LONGEST_TAIL and begins(row.budget.period, row.at) is not None:
            await _keep_sum(tx, organisation_id, row.budget, row.at)


async def drop_sums(tx: Transaction, organisation_id: str, at: datetime) -> None:
    """A row comes to stand at `at`: what is kept of later ones would not count it."""
    stale = (ledger_sums.c.organisation_id == organisation_id, ledger_sums.c.through > at)
    await tx.execute(ledger_sums.delete().where(*stale))


async def _keep_sum(tx: Transaction, organisation_id: str, budget: Budget, at: datetime) -> None:
    ((kept, since),) = await _kept_sums(tx, [budget], at)
    rows = _rows(budget, at, since)
    first_open, last = sa.func.min(ledger.c.reserved_at).filter(_open), sa.func.max(ledger.c.reserved_at)
    bounds = (await tx.execute(sa.select(first_open.label("open"), last.label("last")).where(*rows))).one()
    # What was reserved at that very moment is left out: more of it may come.
    through = bounds.open or bounds.last
    ended = sa.select(sa.func.coalesce(sa.func.sum(ledger.c.settled_nanousd), 0))
    more: Any = await tx.scalar(ended.where(*rows, ledger.c.reserved_at < through))
    await tx.execute(ledger_sums.delete().where(*_is_sum_of(budget, at)))
    await tx.execute(
        ledger_sums.insert(),
        {
            "scope": budget.scope,
            "subject_id": budget.subject_id,
            "since": begins(budget.period, at),
            "period": budget.period,
            "organisation_id": organisation_id,
            "settled_nanousd": kept + int(more),
            "through": through,
        },
    )


async def _kept_sums(tx: Transaction, found: Sequence[Budget], at: datetime) -> list[tuple[int, datetime | None]]:
    """For each budget the sum that is kept of its period, and the moment up to which; 0 and its beginning without."""
    ours = [sa.and_(*_is_sum_of(budget, at)) for budget in found if begins(budget.period, at) is not None]
    rows = await tx.execute(sa.select(ledger_sums).where(sa.or_(*ours))) if ours else ()
    kept = {(row.scope, row.subject_id, row.period): (int(row.settled_nanousd), row.through) for row in rows}
    return [
        kept.get((budget.scope, budget.subject_id, budget.period), (0, begins(budget.period, at))) for budget in found
    ]


def _rows(budget: Budget, at: datetime, since: datetime | None) -> Sequence[sa.ColumnElement[bool]]:
    """The budget's rows in the period of `at`, from `since` on."""
    if budget.scope is Scope.RUN:
        # The ledger names no runs.
        return (ledger.c.task_id.in_(sa.select(tasks.c.id).where(tasks.c.run_id == budget.subject_id)),)
    of_subject = _columns[budget.scope] == budget.subject_id
    if since is None:
        # Of a task: its whole life.
        return (of_subject,)
    return of_subject, ledger.c.reserved_at >= since, ledger.c.reserved_at < renews(budget.period, at)


def _is(scope: Scope, subject_id: str, period: Period) -> sa.ColumnElement[bool]:
    return sa.and_(budgets.c.scope == scope, budgets.c.subject_id == subject_id, budgets.c.period == period)


def _is_sum_of(budget: Budget, at: datetime) -> Sequence[sa.ColumnElement[bool]]:
    return (
        ledger_sums.c.scope == budget.scope,
        ledger_sums.c.subject_id == budget.subject_id,
        ledger_sums.c.period == budget.period,
        ledger_sums.c.since == begins(budget.period, at),
    )


def _budget(row: sa.Row[Any]) -> Budget:
    return Budget(
        scope=Scope(row.scope),
        subject_id=row.subject_id,
        period=Period(row.period),
        limit_nanousd=NanoUsd(row.limit_nanousd),
        hard=row.kind == "hard",
    )

"""Errands, and the steps of runs that the bridge to Task Master has to do with."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import TaskError
from vel_tutor_mcp.store import rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.run_tables import errands, run_steps
from vel_tutor_mcp.store.tables import tasks
from vel_tutor_mcp.taskmaster.errands import Errand, State, number_of
from vel_tutor_mcp.taskmaster.items import Status
from vel_tutor_mcp.workflows.model import Run

_PLAIN = ("run_id", "step_id", "item_id", "number", "title", "state", "outcome", "lost", "backup")


async def steps_of(tx: Transaction, homes: Iterable[str]) -> list[tuple[str, str]]:
    """The run and step ids of the steps that the bridges of these homes have to do with, the oldest runs first."""
    query = sa.select(run_steps.c.run_id, run_steps.c.step_id).where(run_steps.c.home.in_(homes))
    return [(row.run_id, row.step_id) for row in await tx.execute(query.order_by(run_steps.c.started_at))]


async def of_step(tx: Transaction, run_id: str, step_id: str) -> dict[str, Errand]:
    """The step's errands by item, in the order in which they were taken on."""
    found = await tx.execute(_of_step(run_id, step_id).order_by(errands.c.number))
    return {row["item_id"]: _errand(row) for row in found.mappings()}


async def of_run(tx: Transaction, run_id: str) -> list[Errand]:
    query = sa.select(errands).where(errands.c.run_id == run_id).order_by(errands.c.step_id, errands.c.number)
    return await rows.every(tx, query, _errand)


async def of_number(tx: Transaction, run_id: str, step_id: str, number: int) -> Errand | None:
    """The errand, unless it was given up since its task was made."""
    return await rows.one(tx, _of_step(run_id, step_id).where(errands.c.number == number), _errand)


async def insert(tx: Transaction, run: Run, taken: Sequence[Errand], now: datetime) -> None:
    owned = {"organisation_id": run.organisation_id, "owner_id": run.owner_id, "updated_at": now}
    await tx.execute(errands.insert(), [_row(errand) | owned for errand in taken])


async def change(tx: Transaction, errand: Errand, now: datetime) -> None:
    await tx.execute(errands.update().where(_is(errand)), _row(errand) | {"updated_at": now})


async def forget(tx: Transaction, gone: Iterable[Errand]) -> None:
    for errand in gone:
        await tx.execute(errands.delete().where(_is(errand)))


async def next_number(tx: Transaction, run_id: str, step_id: str) -> int:
    """Higher than that of any errand of the step, also of those that were forgotten and whose tasks are still there."""
    query = sa.select(sa.func.max(tasks.c.item)).where(tasks.c.run_id == run_id, tasks.c.step_id == step_id)
    of_tasks = await tx.scalar(query)
    of_errands = await tx.scalar(
        sa.select(sa.func.max(errands.c.number)).where(errands.c.run_id == run_id, errands.c.step_id == step_id)
    )
    # Behind both: a task is made of an errand, and stays where that is given up.
    return max(-1 if of_tasks is None else number_of(of_tasks), -1 if of_errands is None else of_errands) + 1


async def costs(tx: Transaction, run_id: str, step_id: str) -> dict[str, int]:
    """What each task of the step has cost so far, in nano-US-dollars."""
    of_step = sa.select(tasks.c.id).where(tasks.c.run_id == run_id, tasks.c.step_id == step_id)
    spent = sa.func.coalesce(sa.func.sum(ledger.c.settled_nanousd), 0).label("spent")
    query = sa.select(ledger.c.task_id, spent).where(ledger.c.task_id.in_(of_step)).group_by(ledger.c.task_id)
    return {row.task_id: int(row.spent) for row in await tx.execute(query)}


def _of_step(run_id: str, step_id: str) -> sa.Select[Any]:
    return sa.select(errands).where(errands.c.run_id == run_id, errands.c.step_id == step_id)


def _is(errand: Errand) -> sa.ColumnElement[bool]:
    return sa.and_(
        errands.c.run_id == errand.run_id, errands.c.step_id == errand.step_id, errands.c.item_id == errand.item_id
    )


def _row(errand: Errand) -> dict[str, Any]:
    error = errand.error
    values = {name: getattr(errand, name) for name in _PLAIN} | {"lost": list(errand.lost)}
    return values | {"error_code": error.code if error else None, "error_message": error.message if error else None}


def _errand(row: sa.RowMapping) -> Errand:
    values = {name: row[name] for name in _PLAIN}
    values["state"] = State(row["state"])
    values["outcome"] = Status(row["outcome"]) if row["outcome"] else None
    error = TaskError(code=row["error_code"], message=row["error_message"]) if row["error_code"] else None
    return Errand(**values, error=error)

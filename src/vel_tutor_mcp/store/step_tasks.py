"""The tasks of runs' steps: one for a task step, one for each item of a map's list."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import NanoUsd, Task, TaskStatus
from vel_tutor_mcp.store import rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.tables import tasks
from vel_tutor_mcp.store.tasks import has_not_ended, task_in

# Until when an item waits that is to be done again, but not yet: until it is released.
PARKED = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Items:
    """How many tasks a map has made, how many of them are being done, and how many are parked."""

    made: int
    open: int
    parked: int


async def of_item(tx: Transaction, run_id: str, step_id: str, item: int = 0) -> Task | None:
    """The task of the step, where it has been made."""
    query = _of_step(run_id, step_id).where(tasks.c.item == item)
    return await rows.one(tx, query, task_in)


async def of_step(tx: Transaction, run_id: str, step_id: str) -> list[Task]:
    """All tasks of the step, by item."""
    return await rows.every(tx, _of_step(run_id, step_id), task_in)


async def unended(tx: Transaction, run_id: str, step_id: str | None = None) -> list[Task]:
    """The tasks of the run, or of one of its steps, that have not ended."""
    query = sa.select(tasks).where(tasks.c.run_id == run_id, has_not_ended)
    if step_id is not None:
        query = query.where(tasks.c.step_id == step_id)
    return await rows.every(tx, query, task_in)


async def items(tx: Transaction, run_id: str, step_id: str) -> Items:
    is_parked = sa.and_(has_not_ended, tasks.c.not_before == PARKED)
    query = sa.select(
        sa.func.count(), sa.func.count().filter(has_not_ended), sa.func.count().filter(is_parked)
    ).where(tasks.c.run_id == run_id, tasks.c.step_id == step_id)  # fmt: skip
    made, unended_, parked = (await tx.execute(query)).one()
    return Items(made, unended_ - parked, parked)


async def release(tx: Transaction, run_id: str, step_id: str, count: int) -> int:
    """Let so many of the parked items wait for their turn, the first ones first; returns how many there were."""
    query = (
        sa.select(tasks.c.id)
        .where(tasks.c.run_id == run_id, tasks.c.step_id == step_id, has_not_ended, tasks.c.not_before == PARKED)
        .order_by(tasks.c.item)
        .limit(count)
    )
    found = list(await tx.scalars(query))
    if found:
        await tx.execute(tasks.update().where(tasks.c.id.in_(found)).values(not_before=None))
    return len(found)


@dataclass(frozen=True, slots=True)
class StepTasks:
    """A step's tasks for those who look: their ids, by item, and how many have each status."""

    ids: list[str]
    counts: Counter[TaskStatus]

    @property
    def first(self) -> str:
        return self.ids[0]


async def overview(tx: Transaction, run_id: str) -> dict[str, StepTasks]:
    """What the steps of a run have, by step; those without a task are left out."""
    query = sa.select(tasks.c.step_id, tasks.c.id, tasks.c.status).where(tasks.c.run_id == run_id)
    made: dict[str, StepTasks] = {}
    for row in await tx.execute(query.order_by(tasks.c.step_id, tasks.c.item)):
        of_step = made.setdefault(row.step_id, StepTasks([], Counter()))
        of_step.ids.append(row.id)
        of_step.counts[TaskStatus(row.status)] += 1
    return made


async def cost(tx: Transaction, run_id: str) -> NanoUsd:
    """What the run has cost so far, all attempts of all its tasks."""
    of_run = sa.select(tasks.c.id).where(tasks.c.run_id == run_id)
    query = sa.select(sa.func.coalesce(sa.func.sum(ledger.c.settled_nanousd), 0)).where(ledger.c.task_id.in_(of_run))
    return NanoUsd(int((await tx.execute(query)).scalar_one()))


def _of_step(run_id: str, step_id: str) -> sa.Select[Any]:
    return sa.select(tasks).where(tasks.c.run_id == run_id, tasks.c.step_id == step_id).order_by(tasks.c.item)

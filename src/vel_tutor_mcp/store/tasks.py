"""Tasks: their rows, and the transitions that only one process can win; see `admission` for their turn."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import ENDED, Principal, Priority, Task, TaskError, TaskStatus, TaskType, Work
from vel_tutor_mcp.store import paging, rows, task_texts
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import idempotency_keys, tasks

_RANK = {Priority.LOW: 0, Priority.MEDIUM: 1, Priority.HIGH: 2}
PRIORITIES = {rank: priority for priority, rank in _RANK.items()}
has_not_ended = tasks.c.status.not_in(sorted(ENDED))


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the care loop needs of a task in progress; `executor` is the process that has it."""

    work: Work
    owner_id: str
    executor: str | None
    cancel_requested: bool


async def insert(tx: Transaction, task: Task) -> None:
    """With what a search will find it by."""
    values = {
        "id": task.id,
        "organisation_id": task.organisation_id,
        "owner_id": task.owner_id,
        "agent_id": task.agent_id,
        "agent_name": task.agent_name,
        "agent_version": task.agent_version,
        "status": task.status,
        "prompt": task.prompt,
        "task_type": task.task_type,
        "priority": _RANK[task.priority],
        "parameters": task.parameters,
        "response_schema": task.response_schema,
        "config_changes": task.config_changes,
        "traceparent": task.traceparent,
        "max_cost_nanousd": task.max_cost_nanousd,
        "attempt_set": task.attempt_set,
        "recoveries": task.recoveries,
        "cancel_requested": task.cancel_requested,
        "running": task.running,
        "partial": task.partial,
        "run_id": task.run_id,
        "step_id": task.step_id,
        "item": task.item,
        "retries_left": task.retries_left,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
    }
    await tx.execute(tasks.insert(), values)
    await task_texts.add(tx, values)


async def get(tx: Transaction, task_id: str) -> Task | None:
    return await rows.one(tx, sa.select(tasks).where(tasks.c.id == task_id), task_in)


async def trace(tx: Transaction, task_id: str) -> tuple[str | None, str | None]:
    """Where in a trace the task was submitted, and the id of its agent."""
    query = sa.select(tasks.c.traceparent, tasks.c.agent_id).where(tasks.c.id == task_id)
    row = (await tx.execute(query)).one_or_none()
    return (row.traceparent, row.agent_id) if row else (None, None)


async def of_ids(tx: Transaction, task_ids: Collection[str]) -> dict[str, Task]:
    """Those of these tasks that there are, each under its id."""
    rows = (await tx.execute(sa.select(tasks).where(tasks.c.id.in_(task_ids)))).mappings()
    return {row["id"]: task_in(row) for row in rows}


async def find(tx: Transaction, principal: Principal, task_id: str) -> Task | None:
    """The task, where the principal may see it."""
    query = sa.select(tasks).where(tasks.c.id == task_id, paging.visible(tasks, principal))
    return await rows.one(tx, query, task_in)


async def claimed(tx: Transaction) -> list[Claimed]:
    """Everything that is in progress, of all owners and processes."""
    columns = tasks.c
    query = sa.select(
        columns.id, columns.attempt_set, columns.turn, columns.owner_id, columns.executor, columns.cancel_requested
    ).where(columns.status == TaskStatus.IN_PROGRESS)  # fmt: skip
    return [
        Claimed(Work(row.id, row.attempt_set, row.turn), row.owner_id, row.executor, row.cancel_requested)
        for row in await tx.execute(query)
    ]


async def ended_of(tx: Transaction, task_ids: Collection[str]) -> list[str]:
    """Those that have ended."""
    query = sa.select(tasks.c.id).where(tasks.c.id.in_(task_ids), tasks.c.status.in_(sorted(ENDED)))
    return list(await tx.scalars(query)) if task_ids else []


def has(task: Task, work: Work, executor: str) -> bool:
    """Whether this run is the task's current one, and it is this process that has it."""
    return (task.id, task.attempt_set, task.turn, task.executor) == (
        work.task_id,
        work.attempt_set,
        work.turn,
        executor,
    )


async def is_held(tx: Transaction, work: Work, executor: str) -> bool:
    """The same as `has`, where the task has not been read."""
    query = sa.select(sa.literal(1)).where(
        tasks.c.id == work.task_id,
        tasks.c.attempt_set == work.attempt_set,
        tasks.c.turn == work.turn,
        tasks.c.executor == executor,
    )
    return await tx.scalar(query) is not None


async def change(tx: Transaction, task_id: str, now: datetime, **values: Any) -> None:
    await tx.execute(tasks.update().where(tasks.c.id == task_id), {"updated_at": now} | values)


async def end(
    tx: Transaction,
    work: Work,
    status: TaskStatus,
    now: datetime,
    *,
    error: TaskError | None = None,
    **values: Any,
) -> bool:
    """Give the run its final state; False where it already had one, which then stands."""
    result = await tx.execute(
        tasks.update()
        .where(tasks.c.id == work.task_id, tasks.c.attempt_set == work.attempt_set, has_not_ended)
        .values(
            status=status,
            running=False,
            waits_for=None,
            error_code=error.code if error else None,
            error_message=error.message if error else None,
            updated_at=now,
            ended_at=now,
            **values,
        )
    )
    return bool(result.rowcount)


async def remember_key(
    tx: Transaction, principal: Principal, key: str, body_hash: str, task_id: str, now: datetime
) -> None:
    await tx.execute(
        idempotency_keys.insert(),
        {
            "owner_id": principal.user_id,
            "key": key,
            "organisation_id": principal.organisation_id,
            "body_hash": body_hash,
            "task_id": task_id,
            "created_at": now,
        },
    )


async def by_key(tx: Transaction, principal: Principal, key: str) -> tuple[str, str] | None:
    """The task id and the body's hash that this key was used with."""
    query = sa.select(idempotency_keys.c.task_id, idempotency_keys.c.body_hash).where(
        idempotency_keys.c.owner_id == principal.user_id, idempotency_keys.c.key == key
    )
    row = (await tx.execute(query)).one_or_none()
    return (row.task_id, row.body_hash) if row else None


async def pending_of_agent(tx: Transaction, agent_id: str) -> list[Task]:
    query = sa.select(tasks).where(tasks.c.agent_id == agent_id, tasks.c.status == TaskStatus.PENDING)
    return await rows.every(tx, query, task_in)


def task_in(row: sa.RowMapping) -> Task:
    """The task in a row of all columns."""
    values = dict(row)
    code, message = values.pop("error_code"), values.pop("error_message")
    return Task(
        **values
        | {
            "status": TaskStatus(row["status"]),
            "task_type": TaskType(row["task_type"]) if row["task_type"] else None,
            "inferred_type": TaskType(row["inferred_type"]) if row["inferred_type"] else None,
            "priority": PRIORITIES[row["priority"]],
            "error": TaskError(code=code, message=message) if code else None,
        }
    )

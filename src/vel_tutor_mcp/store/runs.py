"""Runs, their steps, and what happened to them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from vel_tutor_mcp.models import ENDED, Page, Principal, Start, TaskError, TaskStatus
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.run_tables import run_events, run_steps, runs
from vel_tutor_mcp.workflows.model import Run, RunEvent, RunStep, StepStatus

_MOST_AT_ONCE = 50
_ERROR = ("error_code", "error_message")
_RUN = tuple(name for name in Run.__slots__ if name != "error")
_STEP = tuple(name for name in RunStep.__slots__ if name != "error")
_AWAITED = ("workflow_id", "workflow_name", "workflow_version")


class Awaiting(NamedTuple):
    """An approval that waits for its decision, and of which workflow it is."""

    workflow_id: str
    workflow_name: str
    workflow_version: int
    step: RunStep


async def insert(tx: Transaction, run: Run, steps: Iterable[RunStep], key: str | None, body_hash: str) -> None:
    """Store a new run; `key` and `body_hash` tell whether the same request comes again."""
    row = {name: getattr(run, name) for name in _RUN}
    await tx.execute(runs.insert(), row | {"idempotency_key": key, "body_hash": body_hash})
    owned = {"organisation_id": run.organisation_id, "owner_id": run.owner_id}
    await tx.execute(run_steps.insert(), [_step_row(step) | owned for step in steps])


async def by_key(tx: Transaction, principal: Principal, key: str) -> tuple[str, str] | None:
    """The run's id and the body's hash that this key was used with."""
    query = sa.select(runs.c.id, runs.c.body_hash).where(
        runs.c.owner_id == principal.user_id, runs.c.idempotency_key == key
    )
    row = (await tx.execute(query)).one_or_none()
    return (row.id, row.body_hash) if row else None


async def get(tx: Transaction, run_id: str) -> Run:
    """The run, which must exist."""
    return _run((await tx.execute(sa.select(runs).where(runs.c.id == run_id))).mappings().one())


async def stored(tx: Transaction, run_id: str) -> Run | None:
    """The run, where there is one."""
    return await rows.one(tx, sa.select(runs).where(runs.c.id == run_id), _run)


async def find(tx: Transaction, principal: Principal, run_id: str) -> Run | None:
    """The run, where the principal may see it."""
    query = sa.select(runs).where(runs.c.id == run_id, paging.visible(runs, principal))
    return await rows.one(tx, query, _run)


async def page(
    tx: Transaction,
    principal: Principal,
    limit: int,
    cursor: Start,
    *,
    status: TaskStatus | None = None,
    workflow_id: str | None = None,
) -> Page[Run]:
    query = sa.select(runs).where(paging.visible(runs, principal))
    if status is not None:
        query = query.where(runs.c.status == status)
    if workflow_id is not None:
        query = query.where(runs.c.workflow_id == workflow_id)
    return await paging.newest_first(tx, query, (runs.c.created_at, runs.c.id), limit, cursor, _run)


async def awaiting(tx: Transaction, principal: Principal, limit: int, offset: int) -> Page[Awaiting]:
    """What waits for a decision, of runs that the principal may see, the longest waiting first."""
    query = awaiting_of(paging.visible(runs, principal))
    total = await tx.scalar(query.with_only_columns(sa.func.count(), maintain_column_froms=True))
    query = query.order_by(run_steps.c.started_at, run_steps.c.run_id, run_steps.c.position).offset(offset)
    found = (await tx.execute(query.limit(limit))).mappings().all()
    rows = tuple(_awaiting(row) for row in found)
    return Page(rows, (), more=offset + len(rows) < (total or 0), total=total)


def awaiting_of(seen: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The approvals that wait for a decision, of the runs for which this is so."""
    waits = run_steps.c.status == StepStatus.AWAITING_APPROVAL
    of_runs = sa.and_(runs.c.status == TaskStatus.AWAITING_APPROVAL, seen)  # for that there is an index
    columns = (*run_steps.c, *(runs.c[name] for name in _AWAITED))
    return sa.select(*columns).join_from(run_steps, runs).where(waits, of_runs)


async def steps(tx: Transaction, run_id: str) -> list[RunStep]:
    """The run's steps, in the order in which they are written in its definition."""
    query = sa.select(run_steps).where(run_steps.c.run_id == run_id).order_by(run_steps.c.position)
    return await rows.every(tx, query, _step)


async def change(tx: Transaction, run: Run) -> None:
    """Store the run's state."""
    values = {"status": run.status, "updated_at": run.updated_at, "ended_at": run.ended_at} | _error_values(run.error)
    await tx.execute(runs.update().where(runs.c.id == run.id), values)


async def change_step(tx: Transaction, step: RunStep) -> None:
    key = sa.and_(run_steps.c.run_id == step.run_id, run_steps.c.step_id == step.step_id)
    await tx.execute(run_steps.update().where(key), _step_row(step))


async def add_events(tx: Transaction, run: Run, events: Sequence[RunEvent], executor: str) -> None:
    """Add to the run's history; `executor` is the process that does."""
    owned = {"run_id": run.id, "organisation_id": run.organisation_id, "owner_id": run.owner_id, "executor": executor}
    rows = [{name: getattr(event, name) for name in RunEvent.__slots__} | owned for event in events]
    if rows:
        await tx.execute(run_events.insert(), rows)


async def events(tx: Transaction, run_id: str) -> list[RunEvent]:
    query = sa.select(run_events).where(run_events.c.run_id == run_id).order_by(run_events.c.sequence)
    return [_event(row) for row in await tx.execute(query)]


async def last_sequence(tx: Transaction, before: datetime) -> int:
    """The number of the newest event of any run before this time; they are numbered in the order of their commits."""
    query = sa.select(run_events.c.sequence).where(run_events.c.at < before).order_by(run_events.c.sequence.desc())
    return await tx.scalar(query.limit(1)) or 0


async def events_after(tx: Transaction, sequence: int, not_by: str) -> list[tuple[int, str, RunEvent]]:
    """The events newer than `sequence` that other processes added, each with its number and run's id, oldest first."""
    query = sa.select(run_events).where(run_events.c.sequence > sequence, run_events.c.executor != not_by)
    return [(row.sequence, row.run_id, _event(row)) for row in await tx.execute(query.order_by(run_events.c.sequence))]


async def overdue(tx: Transaction, now: datetime) -> list[tuple[str, str]]:
    """The run and step ids of steps whose time is over, as many as may be taken on before others are seen to."""
    query = sa.select(run_steps.c.run_id, run_steps.c.step_id).where(run_steps.c.due_at <= now)
    # The newest first: one that a fault keeps from ending stays overdue, and must not take the place of others.
    query = query.order_by(run_steps.c.due_at.desc()).limit(_MOST_AT_ONCE)
    return [(row.run_id, row.step_id) for row in await tx.execute(query)]


async def ended_of(tx: Transaction, run_ids: Collection[str]) -> list[str]:
    """Those that have ended."""
    query = sa.select(runs.c.id).where(runs.c.id.in_(run_ids), runs.c.status.in_(sorted(ENDED)))
    return list(await tx.scalars(query)) if run_ids else []


def _step_row(step: RunStep) -> dict[str, Any]:
    return {name: getattr(step, name) for name in _STEP} | _error_values(step.error)


def _error_values(error: TaskError | None) -> dict[str, str | None]:
    return dict(zip(_ERROR, (error.code, error.message) if error else (None, None), strict=True))


def _error(row: sa.RowMapping) -> TaskError | None:
    return TaskError(code=row["error_code"], message=row["error_message"]) if row["error_code"] else None


def _run(row: sa.RowMapping) -> Run:
    values = {name: row[name] for name in _RUN}
    return Run(**values | {"status": TaskStatus(row["status"]), "error": _error(row)})


def _step(row: sa.RowMapping) -> RunStep:
    values = {name: row[name] for name in _STEP}
    return RunStep(**values | {"status": StepStatus(row["status"]), "error": _error(row)})


def _awaiting(row: sa.RowMapping) -> Awaiting:
    return Awaiting(row["workflow_id"], row["workflow_name"], row["workflow_version"], _step(row))


def _event(row: sa.Row[Any]) -> RunEvent:
    return RunEvent(**{name: getattr(row, name) for name in RunEvent.__slots__})

"""Attempts and the ledger: a call is reserved for before it is made, and settled where its end is stored."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.models import LONGEST_NAME, Attempt, FailureKind, NanoUsd, Outcome, Task, Work
from vel_tutor_mcp.store import budgets, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.tables import attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended, and what it cost."""

    outcome: Outcome
    cost_nanousd: NanoUsd
    total_ms: int | None = None
    failure: FailureKind | None = None
    error: str | None = None
    retry_after: float | None = None
    partial: str | None = None
    served_model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    first_token_ms: int | None = None


async def of_task(tx: Transaction, task_id: str) -> list[Attempt]:
    """All attempts of the task, oldest first."""
    query = sa.select(attempts).where(attempts.c.task_id == task_id).order_by(attempts.c.attempt_set, attempts.c.number)
    return await rows.every(tx, query, _attempt)


async def of_tasks(tx: Transaction, task_ids: Collection[str]) -> list[Attempt]:
    """All attempts of these tasks, in no order."""
    query = sa.select(attempts).where(attempts.c.task_id.in_(task_ids))
    return await rows.every(tx, query, _attempt)


async def open_attempt(tx: Transaction, task: Task, attempt: Attempt, reserved: NanoUsd) -> None:
    """Store that a call begins, with the most it can cost."""
    # A clock that was set back may put it among rows whose sum is kept.
    await budgets.drop_sums(tx, task.organisation_id, attempt.started_at)
    owned = {"organisation_id": task.organisation_id, "owner_id": task.owner_id, "task_id": task.id}
    await tx.execute(
        attempts.insert(),
        dict(
            **owned,
            id=attempt.id,
            attempt_set=attempt.attempt_set,
            number=attempt.number,
            provider=attempt.provider,
            model=attempt.model,
            outcome=attempt.outcome,
            started_at=attempt.started_at,
        ),
    )
    await tx.execute(
        ledger.insert(),
        dict(
            **owned,
            id=str(uuid4()),
            attempt_id=attempt.id,
            agent_id=task.agent_id,
            reserved_nanousd=reserved,
            reserved_at=attempt.started_at,
        ),
    )


async def close(tx: Transaction, attempt_id: str, ending: Ending, now: datetime) -> bool:
    """Store the attempt's end and settle its reservation; False where that was done before, which then stands."""
    closed = await tx.execute(
        attempts.update().where(attempts.c.id == attempt_id, attempts.c.outcome == Outcome.OPEN),
        {
            "outcome": ending.outcome,
            "failure": ending.failure,
            "error": ending.error,
            "retry_after": ending.retry_after,
            "partial": ending.partial,
            "served_model": ending.served_model[:LONGEST_NAME] if ending.served_model else None,
            "tokens_in": ending.tokens_in,
            "tokens_out": ending.tokens_out,
            "cost_nanousd": ending.cost_nanousd,
            "first_token_ms": ending.first_token_ms,
            "total_ms": ending.total_ms,
            "ended_at": now,
        },
    )
    if not closed.rowcount:
        return False
    await tx.execute(
        ledger.update()
        .where(ledger.c.attempt_id == attempt_id)
        .values(settled_nanousd=ending.cost_nanousd, settled_at=now)
    )
    return True


async def reserved(tx: Transaction, attempt_id: str) -> NanoUsd:
    """What was set aside for this attempt."""
    query = sa.select(ledger.c.reserved_nanousd).where(ledger.c.attempt_id == attempt_id)
    return NanoUsd((await tx.execute(query)).scalar_one())


async def of_run(tx: Transaction, work: Work) -> list[Attempt]:
    """The attempts of this run, in order; one that is open was cut by a crash, or runs at this moment."""
    return [attempt for attempt in await of_task(tx, work.task_id) if attempt.attempt_set == work.attempt_set]


def _attempt(row: sa.RowMapping) -> Attempt:
    values = {name: row[name] for name in row if name not in {"organisation_id", "owner_id", "served_model"}}
    failure = FailureKind(row["failure"]) if row["failure"] else None
    return Attempt(**values | {"outcome": Outcome(row["outcome"]), "failure": failure})

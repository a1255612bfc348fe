"""The numbers of the installation for who watches over it; each is counted in an index, or in few rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.store import audit
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.run_tables import runs
from vel_tutor_mcp.store.tables import attempts, tasks
from vel_tutor_mcp.store.webhook_tables import webhook_deliveries as deliveries


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How things stand: tasks and runs by their status, what waits, and the number of the last audit entry.

    `pending_since` is when the oldest task was submitted that waits; `delivery_due` when the next delivery is due.
    """

    tasks: Mapping[str, int]
    runs: Mapping[str, int]
    pending_since: datetime | None
    deliveries: int
    delivery_due: datetime | None
    audit_head: int


class Ended(NamedTuple):
    """An attempt that has ended."""

    provider: str
    model: str
    outcome: str
    failure: str | None
    tokens_in: int | None
    tokens_out: int | None
    cost_nanousd: int | None
    first_token_ms: int | None
    total_ms: int | None
    ended_at: datetime


_ENDED = sa.select(*(attempts.c[name] for name in Ended._fields))


async def figures(tx: Transaction) -> Figures:
    pending = sa.select(sa.func.min(tasks.c.created_at)).where(tasks.c.status == TaskStatus.PENDING)
    waiting = sa.select(sa.func.count(), sa.func.min(deliveries.c.next_at)).where(deliveries.c.next_at.is_not(None))
    count, due = (await tx.execute(waiting)).one()
    return Figures(
        tasks=await _by_status(tx, tasks),
        runs=await _by_status(tx, runs),
        pending_since=await tx.scalar(pending),
        deliveries=count,
        delivery_due=due,
        audit_head=(await audit.head(tx)).sequence,
    )


async def ended_since(tx: Transaction, since: datetime) -> Sequence[Ended]:
    """The attempts that have ended from then on, in no order."""
    return [Ended._make(row) for row in await tx.execute(_ENDED.where(attempts.c.ended_at >= since))]


async def _by_status(tx: Transaction, table: sa.Table) -> Mapping[str, int]:
    rows = await tx.execute(sa.select(table.c.status, sa.func.count()).group_by(table.c.status))
    return dict(rows.all())

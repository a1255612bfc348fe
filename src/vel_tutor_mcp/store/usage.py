"""Sums over attempts and tasks, for reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from vel_tutor_mcp.models import NanoUsd, Outcome, Principal
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import users
from vel_tutor_mcp.store.tables import attempts, route_decisions, tasks

Group = Literal["provider", "model", "agent", "user", "task_type"]

_groups: dict[Group, sa.ColumnElement[Any]] = {
    "provider": attempts.c.provider,
    "model": sa.literal_column("''").concat(attempts.c.provider).concat("/").concat(attempts.c.model),
    "agent": tasks.c.agent_name,
    "user": users.c.name,
    "task_type": sa.func.coalesce(route_decisions.c.task_type, "general"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """One attempt, as a report sees it."""

    group: str
    task_id: str
    attempt_set: int
    model: str
    outcome: Outcome
    tokens_in: int
    tokens_out: int
    cost_nanousd: NanoUsd
    total_ms: int | None


async def since(tx: Transaction, principal: Principal, start: datetime, group: Group) -> Sequence[Used]:
    """The ended attempts since `start` that the principal may see, oldest first."""
    joined = (
        attempts.join(tasks, tasks.c.id == attempts.c.task_id)
        .join(users, users.c.id == attempts.c.owner_id)
        .outerjoin(
            route_decisions,
            sa.and_(
                route_decisions.c.task_id == attempts.c.task_id,
                route_decisions.c.attempt_set == attempts.c.attempt_set,
            ),
        )
    )
    query = (
        sa.select(attempts, _groups[group].label("grouped"))
        .select_from(joined)
        .where(paging.visible(attempts, principal), attempts.c.started_at >= start, attempts.c.outcome != Outcome.OPEN)
        .order_by(attempts.c.started_at)
    )
    return [
        Used(
            group=row.grouped,
            task_id=row.task_id,
            attempt_set=row.attempt_set,
            model=f"{row.provider}/{row.model}",
            outcome=Outcome(row.outcome),
            tokens_in=row.tokens_in or 0,
            tokens_out=row.tokens_out or 0,
            cost_nanousd=NanoUsd(row.cost_nanousd or 0),
            total_ms=row.total_ms,
        )
        for row in await tx.execute(query)
    ]

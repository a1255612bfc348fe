"""How often people may ask, and how much of it they have used."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.auth.accounts import RateLimits
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.names import id_in
from vel_tutor_mcp.store.people_tables import allowances, organisations, users


async def of_user(tx: Transaction, user_id: str) -> RateLimits:
    """What was set for the user alone."""
    row = (await tx.execute(_columns(users).where(users.c.id == user_id))).one_or_none()
    return _limits(row)


async def of_organisation(tx: Transaction, organisation_id: str) -> RateLimits:
    """What was set for each of the organisation's members."""
    row = (await tx.execute(_columns(organisations).where(organisations.c.id == organisation_id))).one_or_none()
    return _limits(row)


async def set_of_user(tx: Transaction, user_id: str, limits: RateLimits) -> None:
    await tx.execute(users.update().where(users.c.id == user_id).values(**_values(limits)))


async def set_of_organisation(tx: Transaction, organisation_id: str, limits: RateLimits) -> None:
    await tx.execute(organisations.update().where(organisations.c.id == organisation_id).values(**_values(limits)))


async def organisation(tx: Transaction, called: str) -> str | None:
    """The id of the organisation of this id or name."""
    query = sa.select(organisations.c.id)
    found: str | None = await tx.scalar(
        query.where(sa.or_(organisations.c.id == id_in(called), organisations.c.name == called))
    )
    return found


async def organisation_of(tx: Transaction, user_id: str) -> str:
    """The id of the user's organisation."""
    found: str = (await tx.execute(sa.select(users.c.organisation_id).where(users.c.id == user_id))).scalar_one()
    return found


async def take(tx: Transaction, principal: Principal, kind: str, begins_at: datetime, wanted: int, limit: int) -> int:
    """Take at most `wanted` of what is left of the limit in the time that begins then; returns how much it was.

    In a writer's transaction: what was read is still so when it is written.
    """
    this = sa.and_(allowances.c.owner_id == principal.user_id, allowances.c.kind == kind)
    row = (await tx.execute(sa.select(allowances.c.begins_at, allowances.c.taken).where(this))).one_or_none()
    # What stands there of an earlier hour or minute counts for nothing.
    before = row.taken if row is not None and row.begins_at == begins_at else 0
    granted = max(0, min(wanted, limit - before))
    values = {"begins_at": begins_at, "taken": before + granted}
    if row is None:
        names = {"owner_id": principal.user_id, "kind": kind, "organisation_id": principal.organisation_id}
        await tx.execute(allowances.insert(), names | values)
    elif granted:
        await tx.execute(allowances.update().where(this).values(**values))
    return granted


async def taken(tx: Transaction, user_id: str, kind: str, begins_at: datetime) -> int:
    """How much the user has taken in the time that begins then."""
    query = sa.select(allowances.c.taken).where(
        allowances.c.owner_id == user_id, allowances.c.kind == kind, allowances.c.begins_at == begins_at
    )
    return await tx.scalar(query) or 0


def _columns(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.tasks_per_hour, table.c.requests_per_minute)


def _limits(row: sa.Row[Any] | None) -> RateLimits:
    return RateLimits(*row) if row is not None else RateLimits()


def _values(limits: RateLimits) -> dict[str, int | None]:
    return {"tasks_per_hour": limits.tasks_per_hour, "requests_per_minute": limits.requests_per_minute}

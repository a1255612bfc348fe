"""Integrations: what an owner has stored to call a provider with. Keys come and go sealed: none can be read here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.auth.sealing import Sealed
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import integrations

PURPOSE = "integration"
# A program, no vendor: its key is kept for it, no task is asked of it, and nobody can say whether the key is good.
TASK_MASTER = "taskmaster"

_HAS_KEY = integrations.c.sealed_key.is_not(None)


class Status(StrEnum):
    """Only an active one is used: it was tested, and not refused since."""

    PENDING = "pending"
    ACTIVE = "active"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """`ends` is what the key ends with, `error` why it was not taken; `base_url` is None for the provider's own."""

    id: str
    organisation_id: str
    owner_id: str
    provider: str
    status: Status
    sealed_key: bytes | None = field(repr=False)
    ends: str = ""
    base_url: str | None = None
    tested_at: datetime | None = None
    error: str | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def context(self) -> tuple[str, str, str]:
        """What the sealed key belongs to."""
        return (integrations.name, self.owner_id, self.provider)

    @property
    def sealed(self) -> tuple[Sealed, ...]:
        """Its key, where it has one."""
        return () if self.sealed_key is None else (Sealed(self.sealed_key, PURPOSE, self.context),)


def new(principal: Principal, provider: str, at: datetime) -> Integration:
    """One that is not stored yet, and has no key."""
    return Integration(
        id=str(uuid4()),
        organisation_id=principal.organisation_id,
        owner_id=principal.user_id,
        provider=provider,
        status=Status.PENDING,
        sealed_key=None,
        created_at=at,
        updated_at=at,
    )


async def of_owner(tx: Transaction, owner_id: str) -> list[Integration]:
    """By the names of their providers."""
    return await _found(tx, integrations.c.owner_id == owner_id)


def call_models(owner_id: Any) -> sa.Exists:
    """Whether the owner has stored any of what models can be called with; usable or not, it is for them to hear of."""
    return sa.exists().where(integrations.c.owner_id == owner_id, integrations.c.provider != TASK_MASTER)


async def calls_models(tx: Transaction, owner_id: str) -> bool:
    return bool(await tx.scalar(sa.select(call_models(owner_id))))


async def page(tx: Transaction, reader: Principal, limit: int, cursor: Start) -> Page[Integration]:
    """What the reader may see, newest first."""
    query = sa.select(integrations).where(paging.visible(integrations, reader))
    keys = (integrations.c.created_at, integrations.c.id)
    return await paging.newest_first(tx, query, keys, limit, cursor, _integration)


async def find(tx: Transaction, owner_id: str, provider: str) -> Integration | None:
    found = await _found(tx, sa.and_(integrations.c.owner_id == owner_id, integrations.c.provider == provider))
    return found[0] if found else None


async def with_keys(tx: Transaction, after: str | None, most: int) -> list[Integration]:
    """The next ones, of anybody, that have a key; in the order of their ids."""
    query = sa.select(integrations).where(_HAS_KEY)
    if after is not None:
        query = query.where(integrations.c.id > after)
    return await rows.every(tx, query.order_by(integrations.c.id).limit(most), _integration)


def all_with_keys(connection: sa.Connection) -> list[Integration]:
    """Of anybody, for who only looks. Blocks."""
    return [_integration(row) for row in connection.execute(sa.select(integrations).where(_HAS_KEY)).mappings()]


async def add(tx: Transaction, integration: Integration) -> None:
    await tx.execute(integrations.insert(), _row(integration))


async def change(tx: Transaction, integration: Integration, seen: Integration) -> bool:
    """Store it in the place of what was `seen`; False where that has changed meanwhile."""
    this = sa.and_(integrations.c.id == seen.id, integrations.c.updated_at == seen.updated_at)
    changed = await tx.execute(integrations.update().where(this).values(_row(integration)))
    return bool(changed.rowcount)


async def reseal(tx: Transaction, seen: Integration, anew: Sequence[bytes]) -> bool:
    """Store the same key, sealed anew; False where another one is stored meanwhile."""
    this = sa.and_(integrations.c.id == seen.id, integrations.c.sealed_key == seen.sealed_key)
    changed = await tx.execute(integrations.update().where(this).values(sealed_key=anew[0]))
    return bool(changed.rowcount)


async def remove(tx: Transaction, integration: Integration) -> None:
    await tx.execute(integrations.delete().where(integrations.c.id == integration.id))


async def _found(tx: Transaction, wanted: sa.ColumnElement[bool]) -> list[Integration]:
    query = sa.select(integrations).where(wanted).order_by(integrations.c.provider, integrations.c.id)
    return await rows.every(tx, query, _integration)


def _row(integration: Integration) -> dict[str, Any]:
    tested_at = integration.tested_at
    config = {
        "base_url": integration.base_url,
        "ends": integration.ends,
        "tested_at": tested_at.isoformat() if tested_at else None,
        "error": integration.error,
    }
    plain = ("id", "organisation_id", "owner_id", "provider", "sealed_key", "created_at", "updated_at")
    return {name: getattr(integration, name) for name in plain} | {"status": integration.status.value, "config": config}


def _integration(row: sa.RowMapping) -> Integration:
    config = row["config"]
    return Integration(
        id=row["id"],
        organisation_id=row["organisation_id"],
        owner_id=row["owner_id"],
        provider=row["provider"],
        status=Status(row["status"]),
        sealed_key=row["sealed_key"],
        ends=config["ends"],
        base_url=config["base_url"],
        tested_at=datetime.fromisoformat(config["tested_at"]) if config["tested_at"] else None,
        error=config["error"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )

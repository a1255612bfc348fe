"""Webhooks: the addresses that owners want told of events. Their secrets come and go sealed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.auth.sealing import Sealed
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.webhook_tables import webhook_deliveries, webhooks

PURPOSE = "webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`off_because` says why it was switched off where its owner did not do so.

    Until `before_until` the secret before the present one signs as well. `failures` counts the deliveries that failed
    since the last one that did not, the first of them at `failing_since`; `last_...` is of the last attempt of any.
    """

    id: str
    organisation_id: str
    owner_id: str
    url: str = field(repr=False)
    description: str
    events: tuple[str, ...]
    active: bool = True
    off_because: str | None = None
    sealed_secret: bytes = field(repr=False)
    sealed_before: bytes | None = field(default=None, repr=False)
    before_until: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    last_at: datetime | None = None
    last_status: int | None = None
    last_ok: bool | None = None
    created_at: datetime
    updated_at: datetime

    @property
    def context(self) -> tuple[str, str, str]:
        """What its sealed secrets belong to."""
        return context_of(self.owner_id, self.id)

    @property
    def sealed(self) -> tuple[Sealed, ...]:
        """The secret that signs, and the one before it."""
        kept = (self.sealed_secret, self.sealed_before)
        return tuple(Sealed(value, PURPOSE, self.context) for value in kept if value is not None)


def context_of(owner_id: str, webhook_id: str) -> tuple[str, str, str]:
    return (webhooks.name, owner_id, webhook_id)


async def find(tx: Transaction, reader: Principal, webhook_id: str) -> Webhook | None:
    """The webhook of this id that the reader may see."""
    return await _one(tx, webhooks.c.id == webhook_id, paging.visible(webhooks, reader))


async def get(tx: Transaction, webhook_id: str) -> Webhook | None:
    return await _one(tx, webhooks.c.id == webhook_id)


async def page(tx: Transaction, reader: Principal, limit: int, cursor: Start) -> Page[Webhook]:
    """What the reader may see, newest first."""
    query = sa.select(webhooks).where(paging.visible(webhooks, reader))
    return await paging.newest_first(tx, query, (webhooks.c.created_at, webhooks.c.id), limit, cursor, _webhook)


async def count_of(tx: Transaction, owner_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(webhooks).where(webhooks.c.owner_id == owner_id)
    return int((await tx.execute(query)).scalar_one())


async def due(tx: Transaction, at: datetime, passing: Collection[str], most: int) -> list[Webhook]:
    """Those with a delivery that is due, but for some that are passed over; first who was sent to longest ago."""
    of_it = sa.exists().where(webhook_deliveries.c.webhook_id == webhooks.c.id, webhook_deliveries.c.next_at <= at)
    query = sa.select(webhooks).where(of_it, webhooks.c.id.not_in(passing))
    longest_ago = webhooks.c.last_at.asc().nulls_first()
    return await rows.every(tx, query.order_by(longest_ago).limit(most), _webhook)


async def add(tx: Transaction, webhook: Webhook) -> None:
    await tx.execute(webhooks.insert(), _row(webhook))


async def change(tx: Transaction, webhook: Webhook) -> None:
    """Store it as it is now, in the transaction in which it was read."""
    await tx.execute(webhooks.update().where(webhooks.c.id == webhook.id).values(_row(webhook)))


async def remove(tx: Transaction, webhook_id: str) -> None:
    """With all that was sent to it."""
    await tx.execute(webhook_deliveries.delete().where(webhook_deliveries.c.webhook_id == webhook_id))
    await tx.execute(webhooks.delete().where(webhooks.c.id == webhook_id))


async def after(tx: Transaction, webhook_id: str | None, most: int) -> list[Webhook]:
    """The next ones, of anybody, in the order of their ids."""
    query = sa.select(webhooks)
    if webhook_id is not None:
        query = query.where(webhooks.c.id > webhook_id)
    return await rows.every(tx, query.order_by(webhooks.c.id).limit(most), _webhook)


async def reseal(tx: Transaction, seen: Webhook, anew: Sequence[bytes]) -> bool:
    """Store the same secrets, sealed anew; False where there is a new one meanwhile."""
    # In the order of `Webhook.sealed`.
    values = {"sealed_secret": anew[0], "sealed_before": anew[1] if seen.sealed_before else None}
    this = sa.and_(webhooks.c.id == seen.id, webhooks.c.sealed_secret == seen.sealed_secret)
    return bool((await tx.execute(webhooks.update().where(this).values(**values))).rowcount)


def everyone(connection: sa.Connection) -> list[Webhook]:
    """Of anybody, for who only looks. Blocks."""
    return [_webhook(row) for row in connection.execute(sa.select(webhooks)).mappings()]


async def _one(tx: Transaction, *wanted: sa.ColumnElement[bool]) -> Webhook | None:
    return await rows.one(tx, sa.select(webhooks).where(*wanted), _webhook)


def _row(webhook: Webhook) -> dict[str, Any]:
    return {column.name: getattr(webhook, column.name) for column in fields(webhook)} | {"events": list(webhook.events)}


def _webhook(row: sa.RowMapping) -> Webhook:
    values: dict[str, Any] = dict(row)
    return Webhook(**values | {"events": tuple(row["events"])})

"""Deliveries: what webhooks are told, each once, and how often that was tried."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import users
from vel_tutor_mcp.store.webhook_tables import webhook_deliveries as deliveries
from vel_tutor_mcp.store.webhook_tables import webhooks

MOST_TRIES = 3


class State(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ear:
    """A webhook that is switched on: which events it asked for, and its owner as they are now."""

    webhook_id: str
    owner: Principal
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one webhook is told once. `body` is what is sent and signed; `attempts` are the last ones, each with `at`,
    `status`, `error` and `ms`.

    While it waits it is due at `next_at`, which whoever sends it sets ahead first: it is due again where they die.
    """

    id: str
    organisation_id: str
    owner_id: str
    webhook_id: str
    event: str
    body: str
    state: State = State.WAITING
    tries_left: int = MOST_TRIES
    attempts: tuple[dict[str, Any], ...] = ()
    next_at: datetime | None
    created_at: datetime


def new(owner: Principal, webhook_id: str, event: str, body: str, at: datetime) -> Delivery:
    """One that is not stored yet, due at once."""
    return Delivery(
        id=str(uuid4()),
        organisation_id=owner.organisation_id,
        owner_id=owner.user_id,
        webhook_id=webhook_id,
        event=event,
        body=body,
        next_at=at,
        created_at=at,
    )


async def ears(tx: Transaction, organisation_id: str) -> list[Ear]:
    """Those of the organisation, but for owners who are disabled."""
    query = (
        sa.select(webhooks.c.id.label("webhook_id"), webhooks.c.events, users.c.id, users.c.name, users.c.role)
        .join_from(webhooks, users, webhooks.c.owner_id == users.c.id)
        .where(webhooks.c.organisation_id == organisation_id, webhooks.c.active, users.c.disabled_at.is_(None))
    )
    return [_ear(row, organisation_id) for row in (await tx.execute(query)).mappings()]


async def add(tx: Transaction, made: Sequence[Delivery]) -> None:
    await tx.execute(deliveries.insert(), [_row(delivery) for delivery in made])


async def find(tx: Transaction, webhook_id: str, delivery_id: str) -> Delivery | None:
    query = sa.select(deliveries).where(deliveries.c.id == delivery_id, deliveries.c.webhook_id == webhook_id)
    return await rows.one(tx, query, _delivery)


async def page(tx: Transaction, webhook_id: str, limit: int, cursor: Start) -> Page[Delivery]:
    """Those of the webhook, newest first."""
    query = sa.select(deliveries).where(deliveries.c.webhook_id == webhook_id)
    return await paging.newest_first(tx, query, (deliveries.c.created_at, deliveries.c.id), limit, cursor, _delivery)


async def due(tx: Transaction, at: datetime, passing: Collection[str]) -> bool:
    """Whether any is due, but of the webhooks that are to be passed over."""
    query = sa.select(sa.literal(1)).where(deliveries.c.next_at <= at, deliveries.c.webhook_id.not_in(passing))
    return await tx.scalar(query.limit(1)) is not None


async def claim(tx: Transaction, webhook_id: str, at: datetime, until: datetime, most: int) -> list[Delivery]:
    """Those that are due longest, for the caller to send: due again at `until` unless it is noted how they went."""
    # The transaction must be a writer's, or two senders could claim the same.
    these = sa.select(deliveries).where(deliveries.c.webhook_id == webhook_id, deliveries.c.next_at <= at)
    rows = (await tx.execute(these.order_by(deliveries.c.next_at).limit(most))).mappings().all()
    ids = [row["id"] for row in rows]
    if ids:
        await tx.execute(deliveries.update().where(deliveries.c.id.in_(ids)).values(next_at=until))
    return [replace(_delivery(row), next_at=until) for row in rows]


async def note(tx: Transaction, seen: Delivery, noted: Delivery) -> bool:
    """Store how it went; False where it was taken from the sender meanwhile, or is gone."""
    this = sa.and_(deliveries.c.id == seen.id, deliveries.c.next_at == seen.next_at)
    changed = await tx.execute(deliveries.update().where(this).values(_row(noted)))
    return bool(changed.rowcount)


async def put(tx: Transaction, delivery: Delivery) -> None:
    """Store it as it is now, in the transaction in which it was read."""
    await tx.execute(deliveries.update().where(deliveries.c.id == delivery.id).values(_row(delivery)))


async def give_up(tx: Transaction, *, webhook_id: str | None = None, owner_id: str | None = None) -> None:
    """Send no more of what waits of this webhook, or of this owner's."""
    whose = deliveries.c.owner_id == owner_id if webhook_id is None else deliveries.c.webhook_id == webhook_id
    waiting = sa.and_(whose, deliveries.c.next_at.is_not(None))
    await tx.execute(deliveries.update().where(waiting).values(state=State.FAILED, next_at=None))


async def forget(tx: Transaction, before: datetime, most: int) -> int:
    """Take away those that were made before then, at most so many; how many there were."""
    old = sa.select(deliveries.c.id).where(deliveries.c.created_at < before).limit(most)
    return (await tx.execute(deliveries.delete().where(deliveries.c.id.in_(old)))).rowcount


def _ear(row: sa.RowMapping, organisation_id: str) -> Ear:
    owner = Principal(user_id=row["id"], organisation_id=organisation_id, name=row["name"], role=row["role"])
    return Ear(webhook_id=row["webhook_id"], owner=owner, events=tuple(row["events"]))


def _row(delivery: Delivery) -> dict[str, Any]:
    plain = ("id", "organisation_id", "owner_id", "webhook_id", "event", "body", "tries_left", "next_at", "created_at")
    values = {name: getattr(delivery, name) for name in plain}
    return values | {"state": delivery.state.value, "attempts": list(delivery.attempts)}


def _delivery(row: sa.RowMapping) -> Delivery:
    values: dict[str, Any] = dict(row)
    return Delivery(**values | {"state": State(row["state"]), "attempts": tuple(row["attempts"])})

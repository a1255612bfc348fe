"""Deliveries: what webhooks are told, each once, and how often that was tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.models import Principal
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


async def ears(tx: Transaction, organisation_id: str) -> list[Ear]:
    """Those of the organisation, but for owners who are disabled."""
    query = (
        sa.select(webhooks.c.id.label("webhook_id"), webhooks.c.events, users.c.id, users.c.name, users.c.role)
        .join_from(webhooks, users, webhooks.c.owner_id == users.c.id)
        .where(webhooks.c.organisation_id == organisation_id, webhooks.c.active, users.c.disabled_at.is_(None))
    )
    return [_ear(row, organisation_id) for row in (await tx.execute(query)).mappings()]


async def add(tx: Transaction, hearing: Sequence[Ear], event: str, body: str, at: datetime) -> None:
    """One for each of them, due at once."""
    rows = [
        {
            "id": str(uuid4()),
            "organisation_id": ear.owner.organisation_id,
            "owner_id": ear.owner.user_id,
            "webhook_id": ear.webhook_id,
            "event": event,
            "body": body,
            "state": State.WAITING,
            "tries_left": MOST_TRIES,
            "attempts": [],
            "next_at": at,
            "created_at": at,
        }
        for ear in hearing
    ]
    await tx.execute(deliveries.insert(), rows)


def _ear(row: sa.RowMapping, organisation_id: str) -> Ear:
    owner = Principal(user_id=row["id"], organisation_id=organisation_id, name=row["name"], role=row["role"])
    return Ear(webhook_id=row["webhook_id"], owner=owner, events=tuple(row["events"]))

"""Organisations and users."""

from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.models import LONGEST_NAME, Principal
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import organisations, users

DEFAULT_ORGANISATION = "default"


async def local_principal(tx: Transaction, name: str, now: datetime) -> Principal:
    """The operating-system user `name` as an administrator of the default organisation, made where missing."""
    name = _storable(name)
    organisation_id = await _organisation(tx, now)
    row = (
        await tx.execute(sa.select(users).where(users.c.organisation_id == organisation_id, users.c.name == name))
    ).one_or_none()
    user_id = row.id if row else str(uuid4())
    if row is None:
        await tx.execute(
            users.insert(),
            {
                "id": user_id,
                "organisation_id": organisation_id,
                "name": name,
                "role": "admin",
                "created_at": now,
                "updated_at": now,
            },
        )
    return Principal(user_id=user_id, organisation_id=organisation_id, name=name, role="admin")


async def principal(tx: Transaction, user_id: str) -> Principal:
    """The user with this id, who must exist."""
    row = (await tx.execute(sa.select(users).where(users.c.id == user_id))).one()
    return Principal(user_id=row.id, organisation_id=row.organisation_id, name=row.name, role=row.role)


def _storable(name: str) -> str:
    """An environment variable may say who the user is: at any length, and in bytes that are no text."""
    return name.encode(errors="replace").decode().replace("\0", "\ufffd")[:LONGEST_NAME]


async def _organisation(tx: Transaction, now: datetime) -> str:
    found: str | None = await tx.scalar(
        sa.select(organisations.c.id).where(organisations.c.name == DEFAULT_ORGANISATION)
    )
    if found is not None:
        return found
    made = str(uuid4())
    await tx.execute(organisations.insert(), {"id": made, "name": DEFAULT_ORGANISATION, "created_at": now})
    return made

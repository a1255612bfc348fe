"""Organisations and users."""

from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.models import LONGEST_NAME, Principal
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.names import id_in
from vel_tutor_mcp.store.people_tables import organisations, users

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


async def find(tx: Transaction, organisation_id: str, id_or_name: str) -> Principal | None:
    """The user of the organisation with this id or name."""
    named = sa.or_(users.c.name == id_or_name, users.c.id == id_in(id_or_name))
    query = sa.select(users.c.id).where(users.c.organisation_id == organisation_id, named)
    found: str | None = await tx.scalar(query)
    return None if found is None else await principal(tx, found)


async def organisation_name(tx: Transaction, organisation_id: str) -> str:
    """The name of this organisation, which must exist."""
    query = sa.select(organisations.c.name).where(organisations.c.id == organisation_id)
    return str((await tx.execute(query)).scalar_one())


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

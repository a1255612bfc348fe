"""Clients that registered themselves."""

from datetime import datetime

import sqlalchemy as sa

from vel_tutor_mcp.auth.oauth import Client
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import oauth_clients


async def insert(tx: Transaction, client: Client, at: datetime, expires_at: datetime) -> None:
    row = {
        "id": client.id,
        "name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "created_at": at,
        "expires_at": expires_at,
    }
    await tx.execute(oauth_clients.insert(), row)


async def get(tx: Transaction, client_id: str, at: datetime) -> Client | None:
    query = sa.select(oauth_clients).where(oauth_clients.c.id == client_id, oauth_clients.c.expires_at > at)
    row = (await tx.execute(query)).one_or_none()
    return None if row is None else Client(id=row.id, name=row.name, redirect_uris=tuple(row.redirect_uris))


async def note_use(tx: Transaction, client_id: str, at: datetime, expires_at: datetime) -> None:
    """Somebody has come in by it: it is kept until then."""
    this = oauth_clients.update().where(oauth_clients.c.id == client_id)
    await tx.execute(this.values(used_at=at, expires_at=expires_at))


async def forget(tx: Transaction, at: datetime, most_unused: int) -> None:
    """Take away those that have expired and, of those that nobody has come in by, the oldest beyond so many."""
    await tx.execute(oauth_clients.delete().where(oauth_clients.c.expires_at <= at))
    unused = sa.select(oauth_clients.c.id).where(oauth_clients.c.used_at.is_(None))
    beyond = unused.order_by(oauth_clients.c.created_at.desc(), oauth_clients.c.id).offset(most_unused).limit(100)
    await tx.execute(oauth_clients.delete().where(oauth_clients.c.id.in_(beyond)))

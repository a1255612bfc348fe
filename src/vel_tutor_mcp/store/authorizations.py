"""Sign-ins on the page of OAuth, from the browser's session to the code that a client takes; kept as hashes.

A session is good until its user decides, and a code once: using it is one update that only the first comer makes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.auth.accounts import Grant
from vel_tutor_mcp.store import rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import authorizations


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    grant_id: str
    redirect_uri: str | None
    challenge: str | None
    expires_at: datetime
    used_at: datetime | None


async def begin(tx: Transaction, grant: Grant, session_hash: str) -> None:
    row = {
        "grant_id": grant.id,
        "organisation_id": grant.organisation_id,
        "owner_id": grant.owner_id,
        "session_hash": session_hash,
        "expires_at": grant.expires_at,
    }
    await tx.execute(authorizations.insert(), row)


async def of_session(tx: Transaction, session_hash: str, at: datetime) -> str | None:
    """The grant of the session, while that is good."""
    query = sa.select(authorizations.c.grant_id).where(
        authorizations.c.session_hash == session_hash, authorizations.c.expires_at > at
    )
    found: str | None = await tx.scalar(query)
    return found


async def end_session(tx: Transaction, session_hash: str) -> None:
    await tx.execute(authorizations.delete().where(authorizations.c.session_hash == session_hash))


async def give_code(tx: Transaction, session_hash: str, **values: Any) -> None:
    """Put a code, with what it is bound to, in place of the session."""
    this = authorizations.update().where(authorizations.c.session_hash == session_hash)
    await tx.execute(this.values(session_hash=None, **values))


async def of_code(tx: Transaction, code_hash: str) -> Authorization | None:
    table = authorizations.c
    query = sa.select(table.grant_id, table.redirect_uri, table.challenge, table.expires_at, table.used_at)
    return await rows.one(tx, query.where(table.code_hash == code_hash), lambda row: Authorization(**row))


async def use_code(tx: Transaction, code_hash: str, at: datetime) -> bool:
    """Whether it was not used before."""
    this = sa.and_(authorizations.c.code_hash == code_hash, authorizations.c.used_at.is_(None))
    return bool((await tx.execute(authorizations.update().where(this).values(used_at=at))).rowcount)

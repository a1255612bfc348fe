"""What tokens are good by, and the refresh tokens that prolong a sign-in."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.auth.accounts import Grant
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import authorizations, grants, refresh_tokens, users


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token as it is kept."""

    grant_id: str
    organisation_id: str
    owner_id: str
    expires_at: datetime
    used_at: datetime | None


async def insert(tx: Transaction, grant: Grant) -> None:
    await tx.execute(grants.insert(), asdict(grant))


async def bearer(tx: Transaction, grant_id: str) -> Principal | None:
    """Whose grant it is, as they are now; None where it was revoked or there is none, or they are disabled."""
    return (await bearers(tx, [grant_id])).get(grant_id)


async def bearers(tx: Transaction, grant_ids: Collection[str]) -> dict[str, Principal]:
    """As `bearer`, of many; those who have none are left out."""
    query = (
        sa.select(grants.c.id.label("grant_id"), grants.c.kind, users)
        .join_from(grants, users, grants.c.owner_id == users.c.id)
        .where(grants.c.id.in_(grant_ids), grants.c.revoked_at.is_(None), users.c.disabled_at.is_(None))
    )
    return {row.grant_id: _principal(row) for row in await tx.execute(query)}


async def allow(tx: Transaction, grant_id: str, client_id: str, name: str) -> None:
    """The sign-in is the client's from now on."""
    values = {"kind": "oauth", "client_id": client_id, "name": name}
    await tx.execute(grants.update().where(grants.c.id == grant_id).values(**values))


async def prolong(tx: Transaction, grant_id: str, expires_at: datetime) -> None:
    await tx.execute(grants.update().where(grants.c.id == grant_id).values(expires_at=expires_at))


async def revoke(tx: Transaction, grant_id: str, at: datetime) -> bool:
    """Whether it was not revoked before."""
    this = sa.and_(grants.c.id == grant_id, grants.c.revoked_at.is_(None))
    return bool((await tx.execute(grants.update().where(this).values(revoked_at=at))).rowcount)


async def revoke_all(tx: Transaction, owner_id: str, at: datetime) -> int:
    """Revoke every grant of the user; how many were still good."""
    theirs = sa.and_(grants.c.owner_id == owner_id, grants.c.revoked_at.is_(None), grants.c.expires_at > at)
    return int((await tx.execute(grants.update().where(theirs).values(revoked_at=at))).rowcount)


async def get(tx: Transaction, grant_id: str) -> Grant | None:
    return await rows.one(tx, sa.select(grants).where(grants.c.id == grant_id), _grant)


async def page_of(tx: Transaction, owner_id: str, limit: int, cursor: Start) -> Page[Grant]:
    """What the user's clients have: issued tokens and what they were allowed by OAuth, newest first."""
    query = sa.select(grants).where(grants.c.owner_id == owner_id, grants.c.kind != "sign_in")
    return await paging.newest_first(tx, query, (grants.c.created_at, grants.c.id), limit, cursor, _grant)


async def add_refresh(tx: Transaction, grant: Grant, token_hash: str) -> None:
    row = {
        "hash": token_hash,
        "organisation_id": grant.organisation_id,
        "owner_id": grant.owner_id,
        "grant_id": grant.id,
        "expires_at": grant.expires_at,
    }
    await tx.execute(refresh_tokens.insert(), row)


async def find_refresh(tx: Transaction, token_hash: str) -> Refresh | None:
    row = (await tx.execute(sa.select(refresh_tokens).where(refresh_tokens.c.hash == token_hash))).one_or_none()
    return (
        None if row is None else Refresh(row.grant_id, row.organisation_id, row.owner_id, row.expires_at, row.used_at)
    )


async def use_refresh(tx: Transaction, token_hash: str, at: datetime) -> None:
    await tx.execute(refresh_tokens.update().where(refresh_tokens.c.hash == token_hash).values(used_at=at))


async def forget_expired(tx: Transaction, before: datetime, most: int) -> int:
    """Take away what expired before then, sign-ins that nobody went on with among it: no token is good by it. At most
    so many grants; how many there were.
    """
    over = (await tx.scalars(sa.select(grants.c.id).where(grants.c.expires_at <= before).limit(most))).all()
    # Grants last: the others refer to them.
    for column in (authorizations.c.grant_id, refresh_tokens.c.grant_id, grants.c.id):
        await tx.execute(column.table.delete().where(column.in_(over)))
    return len(over)


def _principal(row: sa.Row[Any]) -> Principal:
    return Principal(user_id=row.id, organisation_id=row.organisation_id, name=row.name, role=row.role, by=row.kind)


def _grant(row: sa.RowMapping) -> Grant:
    values: dict[str, Any] = dict(row)
    return Grant(**values)

"""Users with what they sign in by. How others see a user without that is `store.people`."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.models import Page, Role, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.names import id_in
from vel_tutor_mcp.store.people_tables import organisations, users

_query = sa.select(users, organisations.c.name.label("organisation")).join_from(users, organisations)


async def insert(tx: Transaction, account: Account, password_hash: str) -> None:
    row = {
        "id": account.id,
        "organisation_id": account.organisation_id,
        "name": account.name,
        "email": account.email,
        "role": account.role,
        "password_hash": password_hash,
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }
    await tx.execute(users.insert(), row)


async def update(tx: Transaction, user_id: str, **values: Any) -> None:
    await tx.execute(users.update().where(users.c.id == user_id).values(**values))


async def get(tx: Transaction, user_id: str) -> Account | None:
    return await rows.one(tx, _query.where(users.c.id == user_id), _account)


async def with_password(
    tx: Transaction, *, email: str | None = None, user_id: str | None = None
) -> tuple[Account, str | None] | None:
    """The account of this e-mail or id, with the hash of its password."""
    this = users.c.email == email if user_id is None else users.c.id == user_id
    row = (await tx.execute(_query.where(this))).mappings().one_or_none()
    return None if row is None else (_account(row), row["password_hash"])


async def linked(tx: Transaction, issuer: str, subject: str) -> Account | None:
    """The account that is linked with whom the outside issuer calls so."""
    this = sa.and_(users.c.oidc_issuer == issuer, users.c.oidc_subject == subject)
    return await rows.one(tx, _query.where(this), _account)


async def still_linked(tx: Transaction, user_ids: Collection[str]) -> list[Account]:
    """Those of them who are linked with somebody of an outside issuer, and not disabled."""
    query = _query.where(users.c.id.in_(user_ids), users.c.oidc_subject.is_not(None), users.c.disabled_at.is_(None))
    return await rows.every(tx, query, _account) if user_ids else []


async def find(tx: Transaction, organisation_id: str | None, called: str) -> Account | None:
    """The user of this id, e-mail or name, in the organisation or, with None, in any."""
    named = sa.or_(users.c.id == id_in(called), users.c.email == called, users.c.name == called)
    # A name may be in several organisations; nobody is meant where it does not say whom.
    rows = (await tx.execute(_query.where(named, *_within(organisation_id)).limit(2))).mappings().all()
    return _account(rows[0]) if len(rows) == 1 else None


async def page(
    tx: Transaction, organisation_id: str | None, role: Role | None, limit: int, cursor: Start
) -> Page[Account]:
    wanted = [users.c.role == role] if role is not None else []
    query = _query.where(*_within(organisation_id), *wanted)
    return await paging.newest_first(tx, query, (users.c.created_at, users.c.id), limit, cursor, _account)


async def organisation_named(tx: Transaction, name: str) -> str | None:
    """The id of the organisation of this name."""
    found: str | None = await tx.scalar(sa.select(organisations.c.id).where(organisations.c.name == name))
    return found


async def add_organisation(tx: Transaction, organisation_id: str, name: str, at: datetime) -> None:
    await tx.execute(organisations.insert(), {"id": organisation_id, "name": name, "created_at": at})


def _within(organisation_id: str | None) -> list[sa.ColumnElement[bool]]:
    return [] if organisation_id is None else [users.c.organisation_id == organisation_id]


def _account(row: Mapping[Any, Any]) -> Account:
    return Account(
        id=row["id"],
        organisation_id=row["organisation_id"],
        organisation=row["organisation"],
        name=row["name"],
        email=row["email"],
        role=row["role"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        disabled_at=row["disabled_at"],
        subject=row["oidc_subject"],
    )

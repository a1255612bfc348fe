"""What requests with a key were answered, by the key of who sent them."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import repeats


@dataclass(frozen=True, slots=True)
class Repeat:
    """A request that was sent with a key, at `at`; neither status nor answer while it is at work."""

    body_hash: str
    status: int | None
    answer: str | None
    at: datetime


async def find(tx: Transaction, principal: Principal, key: str) -> Repeat | None:
    query = sa.select(repeats.c.body_hash, repeats.c.status, repeats.c.answer, repeats.c.at)
    row = (await tx.execute(query.where(_this(principal, key)))).one_or_none()
    return Repeat(*row) if row else None


async def begin(tx: Transaction, principal: Principal, key: str, body_hash: str, at: datetime) -> None:
    """The request is at work; what was under its key before is not any more."""
    await forget(tx, principal, key)
    names = {"owner_id": principal.user_id, "organisation_id": principal.organisation_id, "key": key}
    await tx.execute(repeats.insert(), names | {"body_hash": body_hash, "at": at})


async def end(tx: Transaction, principal: Principal, key: str, status: int, answer: str) -> None:
    await tx.execute(repeats.update().where(_this(principal, key)).values(status=status, answer=answer))


async def forget(tx: Transaction, principal: Principal, key: str) -> None:
    await tx.execute(repeats.delete().where(_this(principal, key)))


async def forget_before(tx: Transaction, moment: datetime) -> None:
    await tx.execute(repeats.delete().where(repeats.c.at < moment))


def _this(principal: Principal, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(repeats.c.owner_id == principal.user_id, repeats.c.key == key)

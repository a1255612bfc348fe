"""How often something was tried of late: by account, by address."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import tries


async def of(tx: Transaction, subject: str, since: datetime) -> tuple[Sequence[datetime], bool]:
    """When it was tried since then, oldest first, and whether a further try was refused since then."""
    query = sa.select(tries.c.at, tries.c.refused).where(tries.c.subject == subject, tries.c.at > since)
    rows = (await tx.execute(query.order_by(tries.c.at))).all()
    return [row.at for row in rows if not row.refused], any(row.refused for row in rows)


async def note(tx: Transaction, subjects: Sequence[str], at: datetime, *, refused: bool = False) -> None:
    await tx.execute(tries.insert(), [{"subject": subject, "at": at, "refused": refused} for subject in subjects])


async def forget(tx: Transaction, before: datetime) -> None:
    await tx.execute(tries.delete().where(tries.c.at <= before))

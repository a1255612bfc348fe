"""The circuit breakers' states, so that a restart remembers which models were down."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import breakers


async def save(tx: Transaction, provider: str, model: str, state: dict[str, Any], now: datetime) -> None:
    this = sa.and_(breakers.c.provider == provider, breakers.c.model == model)
    changed = await tx.execute(breakers.update().where(this).values(state=state, updated_at=now))
    if not changed.rowcount:
        await tx.execute(breakers.insert(), {"provider": provider, "model": model, "state": state, "updated_at": now})


async def load(tx: Transaction) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row.provider, row.model): row.state for row in await tx.execute(sa.select(breakers))}

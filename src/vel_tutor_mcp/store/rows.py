"""What a query finds, each row built into what it stands for."""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from vel_tutor_mcp.store.database import Transaction

Built = TypeVar("Built")
Build = Callable[[sa.RowMapping], Built]


async def one(tx: Transaction, query: sa.Select[Any], build: Build[Built]) -> Built | None:
    """What the one row stands for; None where there is none."""
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else build(row)


async def every(tx: Transaction, query: sa.Select[Any], build: Build[Built]) -> list[Built]:
    """What each of the rows stands for."""
    return [build(row) for row in (await tx.execute(query)).mappings()]

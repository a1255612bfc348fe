"""Lists, newest first, a page at a time: behind the row that a cursor names, or behind so many rows."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from vel_tutor_mcp.auth.roles import Operation, Reach, reach
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store.columns import Utc
from vel_tutor_mcp.store.database import Transaction

Row = TypeVar("Row")

_TOO_GREAT = 2**63
_READS = {
    "agents": Operation.AGENT_READ,
    "workflows": Operation.WORKFLOW_READ,
    "tasks": Operation.TASK_READ,
    "runs": Operation.RUN_READ,
    "attempts": Operation.USAGE_READ,
    "usage_rollups": Operation.USAGE_READ,
    "route_decisions": Operation.TASK_READ,
    "audit_logs": Operation.AUDIT_READ,
    "integrations": Operation.INTEGRATION_READ,
    "webhooks": Operation.WEBHOOK_READ,
    "comparisons": Operation.TASK_READ,
}


def visible(table: sa.Table | sa.Subquery, principal: Principal) -> sa.ColumnElement[bool]:
    """What the principal may see of a table: as far as what reads it reaches for their role, and never beyond their
    organisation.
    """
    return within(table, principal, _READS[table.name])


def within(table: sa.Table | sa.Subquery, principal: Principal, operation: Operation) -> sa.ColumnElement[bool]:
    """What of a table the operation reaches for the principal, within their organisation."""
    if reach(principal.role, operation) >= Reach.ORGANISATION:
        return table.c.organisation_id == principal.organisation_id
    return sa.and_(table.c.organisation_id == principal.organisation_id, table.c.owner_id == principal.user_id)


async def newest_first(
    tx: Transaction,
    query: sa.Select[Any],
    keys: tuple[sa.ColumnElement[Any], ...],
    limit: int,
    start: Start,
    build: Callable[[sa.RowMapping], Row],
) -> Page[Row]:
    """The next `limit` rows of `query` in falling order of `keys`, which must identify a row.

    Raises:
        InputError: the cursor was not made by this list.
    """
    total: int | None = None
    if isinstance(start, int):
        total = await tx.scalar(query.with_only_columns(sa.func.count(), maintain_column_froms=True))
        query = query.offset(start)
    elif start is not None:
        query = query.where(sa.tuple_(*keys) < sa.tuple_(*_seen(start, keys)))
    query = query.order_by(*(key.desc() for key in keys)).limit(limit + 1)
    rows = (await tx.execute(query)).mappings().all()
    shown = rows[:limit]
    cursors = tuple(_cursor([row[key.key] for key in keys]) for row in shown)
    return Page(tuple(build(row) for row in shown), cursors, more=len(rows) > limit, total=total)


def _cursor(values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _seen(cursor: str, keys: tuple[sa.ColumnElement[Any], ...]) -> list[sa.BindParameter[Any]]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return [sa.literal(_typed(value, key), key.type) for value, key in zip(values, keys, strict=True)]
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise InputError(
            "The cursor is not one of this list; it was changed or belongs to another list; start without a cursor."
        ) from None


def _typed(value: Any, key: sa.ColumnElement[Any]) -> Any:
    if isinstance(key.type, Utc):
        return datetime.fromisoformat(value).astimezone(UTC)
    if isinstance(key.type, sa.Uuid):
        return str(UUID(value))
    if type(value) is not int or not 0 <= value < _TOO_GREAT:
        raise ValueError
    return value

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
Keys = tuple[sa.ColumnElement[Any], ...]

# Whole numbers have 64 bits on both databases, one of them for the sign.
_TOO_GREAT = 2**63
_FEW = 1000
_READS = {
    "agents": Operation.AGENT_READ,
    "workflows": Operation.WORKFLOW_READ,
    "tasks": Operation.TASK_READ,
    "task_texts": Operation.TASK_READ,
    "runs": Operation.RUN_READ,
    "attempts": Operation.USAGE_READ,
    "usage_rollups": Operation.USAGE_READ,
    "route_decisions": Operation.TASK_READ,
    "audit_logs": Operation.AUDIT_READ,
    "integrations": Operation.INTEGRATION_READ,
    "webhooks": Operation.WEBHOOK_READ,
    "comparisons": Operation.TASK_READ,
    "alerts": Operation.ALERT_READ,
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
    keys: Keys,
    limit: int,
    start: Start,
    build: Callable[[sa.RowMapping], Row],
    *,
    found: sa.Select[Any] | None = None,
) -> Page[Row]:
    """The next `limit` rows of `query` in falling order of `keys`, which must identify a row; where `start` is a number
    the last of them must do so alone.

    `found` has these keys of the same rows, from where no index tells which they are, but reading is cheaper.

    Raises:
        InputError: the cursor was not made by this list.
    """
    if isinstance(start, int):
        total, last = await (_found(tx, query, keys, start, limit) if found is None else _read(tx, found, start, limit))
        rows, more = await _rows(tx, query, keys, last), start + len(last) < total
        return Page(tuple(map(build, rows)), _cursors(rows, keys), more=more, total=total)
    if found is None:
        following = (await tx.execute(_falling(_behind(query, keys, start), keys).limit(limit + 1))).mappings().all()
    else:
        following = await _rows(tx, query, keys, await _read_behind(tx, found, start, limit + 1))
    rows = following[:limit]
    return Page(tuple(map(build, rows)), _cursors(rows, keys), more=len(following) > limit)


def _behind(query: sa.Select[Any], keys: Keys, cursor: str | None) -> sa.Select[Any]:
    # As one value, which an index of these columns finds; what was made since does not move the page.
    return query if cursor is None else query.where(sa.tuple_(*keys) < sa.tuple_(*_seen(cursor, keys)))


async def _found(tx: Transaction, query: sa.Select[Any], keys: Keys, start: int, limit: int) -> tuple[int, list[Any]]:
    """How many rows there are, and the last keys of those on the page: what an index can tell is read of no row."""
    total = await tx.scalar(query.with_only_columns(sa.func.count(), maintain_column_froms=True))
    last = query.with_only_columns(keys[-1], maintain_column_froms=True)
    return total or 0, list(await tx.scalars(_falling(last, keys).offset(start).limit(limit)))


async def _read(tx: Transaction, found: sa.Select[Any], start: int, limit: int) -> tuple[int, list[Any]]:
    """The same: of a few, by one look at each row there is; of many, for whose page that is not needed, as above."""
    few = await _few(tx, found)
    if few is None:
        return await _found(tx, found, tuple(found.selected_columns), start, limit)
    return len(few), few[start : start + limit]


async def _read_behind(tx: Transaction, found: sa.Select[Any], cursor: str | None, limit: int) -> list[Any]:
    """The last keys of the next rows behind the cursor."""
    keys = tuple(found.selected_columns)
    behind = _behind(found, keys, cursor)
    few = await _few(tx, behind)
    if few is None:
        return list(await tx.scalars(_falling(behind, keys).with_only_columns(keys[-1]).limit(limit)))
    return few[:limit]


async def _few(tx: Transaction, found: sa.Select[Any]) -> list[Any] | None:
    """The last keys of all of these rows, in falling order; None where they are many."""
    rows = (await tx.execute(found.limit(_FEW + 1))).all()
    return [row[-1] for row in sorted(rows, key=tuple, reverse=True)] if len(rows) <= _FEW else None


async def _rows(tx: Transaction, query: sa.Select[Any], keys: Keys, last: Sequence[Any]) -> Sequence[sa.RowMapping]:
    """The rows that these keys identify, which `query` has found."""
    whole = sa.select(*query.selected_columns).select_from(*query.get_final_froms()).where(keys[-1].in_(last))
    return (await tx.execute(_falling(whole, keys))).mappings().all() if last else []


def _falling(query: sa.Select[Any], keys: Keys) -> sa.Select[Any]:
    return query.order_by(*(key.desc() for key in keys))


def _cursors(rows: Sequence[sa.RowMapping], keys: Keys) -> tuple[str, ...]:
    return tuple(_cursor([row[str(key.key)] for key in keys]) for row in rows)


def _cursor(values: Sequence[Any]) -> str:
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _seen(cursor: str, keys: Keys) -> list[sa.BindParameter[Any]]:
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

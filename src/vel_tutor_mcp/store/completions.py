"""What the ids and names that somebody may see begin with."""

import sqlalchemy as sa

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.names import TABLES, Named

_FORM = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_NEEDED = ("id", "organisation_id", "owner_id", "created_at", "deleted_at")
# Of all that begin so, whosever they are; with a few digits more there are fewer.
_MOST_LOOKED_AT = 2_000


async def ids(tx: Transaction, principal: Principal, kind: Named, begun: str, limit: int) -> list[str]:
    """At most `limit` ids that begin so, newest first."""
    bounds = _bounds(begun.lower())
    if bounds is None:
        return []
    rows = _between(TABLES[kind], bounds) if begun else TABLES[kind]
    query = _visible(rows, principal, rows.c.id).order_by(rows.c.created_at.desc(), rows.c.id.desc())
    return list(await tx.scalars(query.limit(limit)))


async def names(tx: Transaction, principal: Principal, kind: Named, begun: str, limit: int) -> list[str]:
    """At most `limit` names that begin so, in upper or lower case, in their order."""
    table = TABLES[kind]
    query = _visible(table, principal, table.c.name).where(table.c.name.istartswith(begun, autoescape=True))
    return list(await tx.scalars(query.distinct().order_by(table.c.name).limit(limit)))


def _between(table: sa.Table, bounds: tuple[str, str]) -> sa.Subquery:
    """Apart, or SQLite would go through all that the principal may see instead of through the ids."""
    query = sa.select(*(table.c[name] for name in _NEEDED if name in table.c)).where(table.c.id.between(*bounds))
    return query.order_by(table.c.id).limit(_MOST_LOOKED_AT).subquery(table.name)


def _visible(rows: sa.Table | sa.Subquery, principal: Principal, column: sa.ColumnElement[str]) -> sa.Select[str]:
    query = sa.select(column).where(paging.visible(rows, principal))
    return query.where(rows.c.deleted_at.is_(None)) if "deleted_at" in rows.c else query


def _bounds(begun: str) -> tuple[str, str] | None:
    """The least and the greatest id that begin so, which an index finds; None where no id does."""
    if len(begun) > len(_FORM) or any(
        (sign == "-") != (place == "-") or sign not in "-0123456789abcdef"
        for sign, place in zip(begun, _FORM, strict=False)
    ):
        return None
    rest = _FORM[len(begun) :]
    return begun + rest.replace("x", "0"), begun + rest.replace("x", "f")

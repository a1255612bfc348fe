"""The types of columns, the same on both databases, and the columns that many tables have."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey


class Utc(sa.TypeDecorator[datetime]):
    """A point in time, aware, in UTC, on databases with time zones and without."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


Id = sa.Uuid(as_uuid=False)
# Not JSONB, which would put the members of a caller's schema in another order.
Json = sa.JSON(none_as_null=True)
# SQLite numbers rows by itself only for its own INTEGER type.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def row_id() -> Column[str]:
    return Column("id", Id, primary_key=True)


def owned() -> tuple[Column[Any], Column[Any]]:
    """Whose row it is."""
    return (
        Column("organisation_id", Id, ForeignKey("organisations.id"), nullable=False),
        Column("owner_id", Id, ForeignKey("users.id"), nullable=False),
    )


def moment(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, Utc, nullable=nullable)

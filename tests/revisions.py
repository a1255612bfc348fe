"""Databases of ours of any revision: made, looked into, and what they are made of."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.columns import Utc
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.tables import metadata

REVISIONS = schema.revisions()

NewPlace = Callable[[], Settings]

_NOON = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
_VALUES: Mapping[type, Callable[[int], Any]] = {
    Utc: lambda number: _NOON + timedelta(days=number),
    sa.JSON: lambda number: {"b": [None, 1.5, "ü"], "a": number},
    sa.Uuid: lambda _: str(uuid4()),
    sa.Boolean: lambda _: True,
    sa.Integer: lambda number: number,
    sa.Float: lambda number: number + 0.5,
    sa.LargeBinary: lambda number: bytes([0, 255, number]),
}

# Each row begins with its table's name.
SQLITE_SAYS = (
    "SELECT m.name, 'column', x.* FROM sqlite_master m, pragma_table_xinfo(m.name) x WHERE m.type = 'table'",
    'SELECT m.name, \'reference\', f."from", f."table", f."to" FROM sqlite_master m, pragma_foreign_key_list(m.name) f',
    "SELECT tbl_name, 'index', name, sql FROM sqlite_master WHERE type = 'index'",
)
POSTGRES_SAYS = (
    (
        "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_schema = 'vel_tutor'"
    ),
    (
        "SELECT r.relname, conname, pg_get_constraintdef(c.oid) FROM pg_constraint c "
        "JOIN pg_class r ON r.oid = conrelid WHERE connamespace = to_regnamespace('vel_tutor')"
    ),
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'vel_tutor'",
)


@contextmanager
def connected(place: Settings) -> Iterator[sa.Connection]:
    database = database_of(place)
    database.make()
    engine = database.blocking_engine(INSTALLATION)
    with engine.begin() as connection:
        yield connection
    engine.dispose()
    asyncio.run(database.close())


def migrated(place: Settings) -> Settings:
    """With a database of this version, of our own tables alone."""
    database = database_of(place)
    schema.prepare(database, lambda: None)
    asyncio.run(database.close())
    return place


def tables(place: Settings) -> list[str]:
    with connected(place) as connection:
        return sorted(sa.inspect(connection).get_table_names())


def dump(place: Settings) -> list[str]:
    """All that is in the database: what it is made of, and its rows."""
    return [*_made_of(place), *rows(place)]


def shape(place: Settings) -> list[str]:
    """What our own tables are made of."""
    return [line for line in _made_of(place) if line.split()[0] in metadata.tables]


def _made_of(place: Settings) -> list[str]:
    """Columns, keys and indexes in the database's own words, each after its table, in an order of their own."""
    with connected(place) as connection:
        questions = SQLITE_SAYS if connection.dialect.name == "sqlite" else POSTGRES_SAYS
        answers = [row for question in questions for row in connection.exec_driver_sql(question)]
    return sorted(" ".join(" ".join(map(str, row)).split()) for row in answers)


def rows(place: Settings) -> list[str]:
    with connected(place) as connection:
        return [
            f"{table} {row}"
            for table in sorted(sa.inspect(connection).get_table_names())
            for row in connection.execute(sa.select(sa.text("*")).select_from(sa.table(table)))
        ]


def columns_of(connection: sa.Connection) -> dict[str, list[str]]:
    """The columns of each table of ours as it is now, those that are referred to first."""
    look = sa.inspect(connection)
    there = set(look.get_table_names())
    return {
        table.name: [column["name"] for column in look.get_columns(table.name)]
        for table in metadata.sorted_tables
        if table.name in there
    }


def insert(connection: sa.Connection, table: str, values: Mapping[str, Any]) -> None:
    """As a version does it that knows these columns and no others."""
    known = metadata.tables[table].c
    named = sa.table(table, *(sa.column(name, known[name].type) for name in values))
    connection.execute(named.insert().values(dict(values)))


def row_of(table: str, columns: Sequence[str], ids: Mapping[str, str], number: int) -> dict[str, Any]:
    """A value in every column, texts as long as they may be; `number` tells it from other rows of the table."""
    known = metadata.tables[table].c
    return {name: _key_of(known[name], ids) or _value_of(known[name], number) for name in columns}


def _key_of(column: "sa.Column[Any]", ids: Mapping[str, str]) -> str | None:
    if column.name == "id" and isinstance(column.type, sa.Uuid):
        return ids[column.table.name]
    return next((ids[key.column.table.name] for key in column.foreign_keys), None)


def _value_of(column: "sa.Column[Any]", number: int) -> Any:
    if isinstance(column.type, sa.String):
        most = column.type.length or 300
        return f"{number:02} ünï 世界 {'x' * most}"[:most]
    return next(made(number) for kind, made in _VALUES.items() if isinstance(column.type, kind))

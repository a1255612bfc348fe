"""Copy every row of ours into another, empty database, and prove it there before anyone can see it.

Both are held by one transaction each, in which nobody else writes: whatever fails, or kills the process, leaves the
source as it was and the target without a row. The execution engine's tables are not copied: what it had not ended is
begun anew from our rows. Blocks.
"""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.store.audit_chain import follows
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.inspection import count
from vel_tutor_mcp.store.tables import metadata

_BATCH = 500
_LONGEST_KEY = 100
_NUMBER_ON = sa.text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)")

Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Step:
    """How far the copying, or the comparing that follows it, has come in one table."""

    doing: str
    table: str
    done: int
    total: int


def copy(
    source: Database, target: Database, undisturbed: Callable[[], None], tell: Callable[[Step], None]
) -> dict[str, int]:
    """How many rows each table has, all of them compared, on both sides.

    Args:
        source: of this version's schema.
        target: of the same schema.
        undisturbed: raises where somebody else uses the source; called when both are held, and again at the end.
        tell: is told of each step.

    Raises:
        Unavailable: a database cannot be used now.
        ConfigurationError: the target has rows, or cannot hold a row of the source, or holds it differently.
    """
    with _held(source) as reading, _held(target) as writing:
        undisturbed()
        pair = _Pair(source, target, reading, writing, tell)
        pair.refuse_rows()
        rows = {table.name: pair.copy(table) for table in metadata.sorted_tables}
        for table in metadata.sorted_tables:
            pair.compare(table, rows[table.name])
        pair.number_on()
        undisturbed()
        with target.translated():
            writing.commit()
    return rows


@contextmanager
def _held(database: Database) -> Iterator[sa.Connection]:
    """A connection in a transaction that is rolled back unless it was committed; meanwhile nobody else writes."""
    engine = database.blocking_engine(INSTALLATION)
    try:
        with database.translated():
            connection = engine.connect()
        with connection:
            with database.translated():
                database.lock_blocking(connection)
            yield connection
    finally:
        engine.dispose()


@dataclass(frozen=True, slots=True)
class _Pair:
    source: Database
    target: Database
    reading: sa.Connection
    writing: sa.Connection
    tell: Callable[[Step], None]

    def refuse_rows(self) -> None:
        with self.target.translated():
            found = next((table.name for table in metadata.sorted_tables if count(self.writing, table)), None)
        if found:
            raise has_rows(self.target.place, found)

    def copy(self, table: sa.Table) -> int:
        with self.source.translated():
            total = count(self.reading, table)
        done = 0
        with closing(_rows(self.source, self.reading, table)) as originals:
            for rows in _batches(originals):
                self._insert(table, rows)
                done += len(rows)
                self.tell(Step("copying", table.name, done, total))
        return total

    def _insert(self, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> None:
        with self.target.translated():
            if not self._is_taken(table, rows):
                for row in rows:
                    self._insert_alone(table, row)

    def _is_taken(self, table: sa.Table, rows: Sequence[sa.Row[Any]]) -> bool:
        try:
            # After a statement that failed PostgreSQL takes no other, unless it is taken back to before it.
            with self.writing.begin_nested():
                self.writing.execute(table.insert(), [row._asdict() for row in rows])
        except (DataError, IntegrityError):
            return False
        return True

    def _insert_alone(self, table: sa.Table, row: sa.Row[Any]) -> None:
        """Find the row for which the whole batch was refused."""
        try:
            self.writing.execute(table.insert(), row._asdict())
        except (DataError, IntegrityError) as problem:
            raise ConfigurationError(
                f"The row {_key(table, row)} of the table {table.name} cannot be copied to {self.target.place}; "
                f"{str(problem.orig).partition(chr(10))[0]}; correct that row in {self.source.place} and copy again: "
                "nothing was copied."
            ) from None

    def compare(self, table: sa.Table, total: int) -> None:
        # The chain is followed in the copy, each entry of which is then compared with the original.
        exact, checked = _exactly(table), self._in_a_chain if table is audit_logs else iter
        with (
            closing(_rows(self.source, self.reading, table)) as originals,
            closing(_rows(self.target, self.writing, table)) as copies,
        ):
            for number, (row, its_copy) in enumerate(zip_longest(originals, checked(copies)), 1):
                if row is None or its_copy is None or exact(row) != exact(its_copy):
                    raise self._differs(table, row if row is not None else its_copy)
                if number % _BATCH == 0 or number == total:
                    self.tell(Step("comparing", table.name, number, total))

    def _in_a_chain(self, entries: "Iterator[sa.Row[Any]]") -> "Iterator[sa.Row[Any]]":
        before: dict[str, Any] | None = None
        for entry in entries:
            content = entry._asdict()
            if not follows(content, before):
                raise ConfigurationError(
                    f"The audit entry {entry.sequence} of {self.source.place} does not follow from the one before; it, "
                    "or what stood before it, was changed after it was written; restore a backup: nothing was copied."
                )
            before = content
            yield entry

    def _differs(self, table: sa.Table, row: sa.Row[Any]) -> ConfigurationError:
        return ConfigurationError(
            f"The row {_key(table, row)} of the table {table.name} is not the same in {self.target.place} as in "
            f"{self.source.place}; something changes rows there as they are written, such as a trigger; remove it and "
            "copy again: nothing was copied."
        )

    def number_on(self) -> None:
        """Let new rows get numbers behind the copied ones; SQLite does so by itself."""
        if self.writing.dialect.name == "sqlite":
            return
        numbered = [
            (table.name, column)
            for table in metadata.sorted_tables
            if (column := table.autoincrement_column) is not None
        ]
        with self.target.translated():
            for name, column in numbered:
                last = self.writing.scalar(sa.select(sa.func.max(column)))
                if last is not None:
                    self.writing.execute(_NUMBER_ON, {"table": name, "column": column.name, "last": last})


def has_rows(place: str, table: str) -> ConfigurationError:
    return ConfigurationError(
        f"Nothing can be copied to {place}; its table {table} has rows already, and a copy would mix them with others; "
        "name an empty database."
    )


def _rows(database: Database, connection: sa.Connection, table: sa.Table) -> "Generator[sa.Row[Any]]":
    """All rows in the order of their keys, read as they are needed."""
    query = sa.select(table).order_by(*_order(connection, table))
    with database.translated():
        try:
            with connection.execute(query, execution_options={"yield_per": _BATCH}) as found:
                yield from found
        except (ValueError, DBAPIError) as problem:
            # The database itself failed: `translated` has the words for that.
            if database.told(problem) is not None:
                raise
            raise ConfigurationError(
                f"The table {table.name} of {database.place} holds what is no value of ours "
                f"({type(problem).__name__}); another program wrote it, or the disk has a fault; restore a backup: "
                "nothing was copied."
            ) from None


def _order(connection: sa.Connection, table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """One order on every database: that of the bytes, whatever language the server sorts for."""
    by_bytes = "C" if connection.dialect.name == "postgresql" else "BINARY"
    return [
        sa.collate(column, by_bytes) if isinstance(column.type, sa.String) else column
        for column in table.primary_key.columns
    ]


def _batches(rows: "Iterator[sa.Row[Any]]") -> "Iterator[list[sa.Row[Any]]]":
    batch: list[sa.Row[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _exactly(table: sa.Table) -> "Callable[[sa.Row[Any]], Values]":
    """Rows as values that are equal only where nothing differs: 1 is not true, and members keep their order."""
    documents = [number for number, column in enumerate(table.columns) if isinstance(column.type, sa.JSON)]

    def exact(row: sa.Row[Any]) -> Values:
        return (*row, *(json.dumps(row[number]) for number in documents))

    return exact


def _key(table: sa.Table, row: sa.Row[Any]) -> str:
    key = ", ".join(f"{column.name}={getattr(row, column.name)}" for column in table.primary_key.columns)
    return key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}..."

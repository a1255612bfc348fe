"""A connection of aiosqlite that goes to its thread once for a statement.

aiosqlite keeps a thread for each connection, and SQLAlchemy asks that thread for a cursor, for the statement, for its
rows and for the cursor's end. Each time it wakes, and then the loop does, which costs more than most statements. Here
rows are read whole in the trip of their statement, so nothing can be streamed through such a connection.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiosqlite
from aiosqlite.context import contextmanager

_ROWS_OF_A_TRIP = 64  # aiosqlite asks for it; only streams would use it


class SqliteConnection(aiosqlite.Connection):
    """Not open before it is awaited."""

    def __init__(self, path: Path) -> None:
        # Cursors are made and closed on the loop's thread, which touches nothing of the file, as no statement is open.
        super().__init__(lambda: sqlite3.connect(path, check_same_thread=False), _ROWS_OF_A_TRIP)
        self._thread.daemon = True  # a connection that nobody closed does not hold up the end of the process

    @contextmanager
    async def cursor(self) -> aiosqlite.Cursor:
        return _Cursor(self, self._conn.cursor(_WholeCursor))

    async def rollback(self) -> None:
        # SQLAlchemy asks for it each time that a connection is given back, after a commit too.
        if self.in_transaction:
            await super().rollback()


class _WholeCursor(sqlite3.Cursor):
    """Has read all rows once it has executed."""

    rows: Iterable[Any] = ()

    def execute(self, sql: str, parameters: Any = (), /) -> "_WholeCursor":
        super().execute(sql, parameters)
        self.rows = self.fetchall()
        return self


class _Cursor(aiosqlite.Cursor):
    _cursor: _WholeCursor

    async def fetchall(self) -> Iterable[Any]:
        return self._cursor.rows

    async def close(self) -> None:
        self._cursor.close()

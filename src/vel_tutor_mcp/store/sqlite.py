"""The SQLite file: one writer at a time, many processes."""

import math
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from vel_tutor_mcp.errors import ConfigurationError, Unavailable, VelError
from vel_tutor_mcp.store.database import LOCK_WAIT_SECONDS, POOL_WAIT_SECONDS, Database, Transaction, still_upgrading
from vel_tutor_mcp.store.sqlite_connection import SqliteConnection

# Small pools are faster on SQLite: it has one writer, and those that wait for it sleep.
_CONNECTIONS = 2
_ENGINE_CONNECTIONS = 4
_MIGRATION_WAIT_SECONDS = 60
# DBOS asks for `unixepoch('subsec')` on Python 3.12 and newer; before this version SQLite answers with NULL.
_KNOWS_PARTS_OF_SECONDS = (3, 42)
# What SQLite says where there is none.
NO_ROOM = ("disk is full", "disk I/O error")


class SqliteDatabase(Database):
    """`path` is absolute; the file and its folder are made by `make`."""

    system = "sqlite"
    engine_schema = None

    def __init__(self, path: Path, synchronous: str = "NORMAL") -> None:
        self.path = path
        self.place = f"the database {path}"
        self.engine_url = sa.URL.create("sqlite", database=str(path)).render_as_string()
        self._synchronous = synchronous
        engine = self._async_engine()
        # The same pool; a writer takes the lock first, so that what it reads is still so when it writes.
        super().__init__(engine, engine.execution_options(begin="BEGIN IMMEDIATE"))

    def _begins_for(self, connection: Transaction, acts_for: str) -> None:
        """SQLite has no row-level security."""

    async def _lock(self, connection: Transaction) -> None:
        """BEGIN IMMEDIATE has done it."""

    def lock_blocking(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def make(self) -> None:
        # Of two that turn a new file to WAL at once SQLite refuses one, without the wait that it was asked for.
        with self.alone():
            _make_file(self.path)
            engine = self.blocking_engine()
            try:
                with engine.connect() as connection:
                    # Read, or the statement would go on, and hold the file though the connection is closed, until
                    # the garbage collector comes upon it.
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL").scalar_one()
            finally:
                engine.dispose()

    def secure(self, connection: sa.Connection) -> None:
        """As `_begins_for`."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        _make_folder(self.path.parent)
        lock = FileLock(self.path.with_suffix(".migrate.lock"), timeout=_MIGRATION_WAIT_SECONDS)
        try:
            taken = lock.acquire()
        except TimeoutError:
            raise still_upgrading(self.place) from None
        with taken:
            yield

    def blocking_engine(self, acts_for: str | None = None) -> sa.Engine:  # noqa: ARG002 - as `_begins_for`
        engine = sa.create_engine(
            self.engine_url,
            pool_size=_ENGINE_CONNECTIONS,
            max_overflow=0,
            pool_timeout=2 * POOL_WAIT_SECONDS,
            hide_parameters=True,
        )

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            # As DBOS sets it on an engine that it makes itself: a transaction that read before it writes would be
            # refused at once, without the wait, where somebody else has written in between.
            connection.isolation_level = "IMMEDIATE"
            self._set_pragmas(connection)
            if sqlite3.sqlite_version_info < _KNOWS_PARTS_OF_SECONDS:
                connection.create_function("unixepoch", 1, lambda _subsec: time.time())

        return engine

    def told(self, problem: Exception) -> VelError | None:
        if isinstance(problem, OSError):
            return ConfigurationError(
                f"The folder {self.path.parent} cannot be written; {problem.strerror}; make it writable, or choose "
                "another one with VEL_TUTOR_HOME."
            )
        reason = str(problem.orig) if isinstance(problem, DatabaseError) else ""
        sentences = (sentence for words, sentence in _SENTENCES.items() if any(word in reason for word in words))
        found = next(sentences, None)
        return found(self.path, reason) if found else None

    def _async_engine(self) -> AsyncEngine:
        engine = create_async_engine(
            sa.make_url(self.engine_url).set(drivername="sqlite+aiosqlite"),
            async_creator=partial(SqliteConnection, self.path),
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,  # they are people's prompts, and errors are logged
        )

        @event.listens_for(engine.sync_engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # the driver begins nothing; the listener below does
            connection.create_function("ln", 1, math.log, deterministic=True)  # not every build has one
            self._set_pragmas(connection)

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

        return engine

    def _set_pragmas(self, connection: Any) -> None:
        cursor = connection.cursor()
        # Of each connection: the file keeps none of these, as it does its journal mode.
        for pragma in (
            f"busy_timeout={LOCK_WAIT_SECONDS * 1000}",
            "foreign_keys=ON",
            f"synchronous={self._synchronous}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _make_folder(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigurationError(
            f"The folder {home} cannot be made; {problem.strerror}; make it writable, or choose another one "
            "with VEL_TUTOR_HOME."
        ) from None


def _make_file(path: Path) -> None:
    """For its owner alone; SQLite gives what it keeps beside the file the same mode.

    One that is there is not even opened: closing it would let go the locks that this process has on it.
    """
    with suppress(OSError):  # it is there, or SQLite says why it cannot be
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _full(path: Path, reason: str) -> VelError:
    return Unavailable(
        f"The database {path} could not be written; {reason}; make room on the disk and try again: nothing was "
        "half-saved."
    )


def _locked(path: Path, _reason: str) -> VelError:
    return Unavailable(
        f"The database {path} is locked; another process is writing it; try again, and end that process if it does not "
        "let go."
    )


def _forbidden(path: Path, reason: str) -> VelError:
    return ConfigurationError(
        f"The database {path} cannot be written; {reason}; make the file and its folder writable, or choose another "
        "folder with VEL_TUTOR_HOME."
    )


def _damaged(path: Path, reason: str) -> VelError:
    return ConfigurationError(
        f"The database {path} cannot be used; {reason}; move it away or choose another folder with VEL_TUTOR_HOME."
    )


# By words of SQLite's messages: the driver hands on no codes in every version of Python that we support.
_SENTENCES = {
    NO_ROOM: _full,
    ("database is locked",): _locked,
    ("readonly", "unable to open"): _forbidden,
    ("not a database", "malformed"): _damaged,
}

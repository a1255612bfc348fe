"""One database, two ways in: `read()` sees a snapshot, `write()` holds the writer's lock from its first statement.

Nothing may be awaited inside a transaction but the transaction's own statements: SQLite has one writer. Whoever opens
one is `unbroken`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from vel_tutor_mcp.errors import ConfigurationError

Transaction = AsyncConnection

P = ParamSpec("P")
R = TypeVar("R")

_LOCK_WAIT_MS = 30_000
# Small pools are faster on SQLite: it has one writer, and those that wait for it sleep.
_CONNECTIONS = 2
_ENGINE_CONNECTIONS = 4


def unbroken(method: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Carry what the method began to its end, also where its caller is cancelled meanwhile, who then hears of it.

    A cancellation in the middle of a statement would leave the driver with a connection that nobody waits for, and that
    may hold the writer's lock for ever.
    """

    @wraps(method)
    async def whole(*args: P.args, **kwargs: P.kwargs) -> R:
        work = asyncio.create_task(method(*args, **kwargs))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({work})
            raise

    return whole


class Database:
    """The SQLite file and how to open it; `path` is absolute."""

    def __init__(self, path: Path, synchronous: str = "NORMAL") -> None:
        self.path = path
        self.url = sa.URL.create("sqlite", database=str(path)).render_as_string()
        self._synchronous = synchronous
        self._engine = self._async_engine()
        # The same pool; a writer takes the lock first, so that what it reads is still so when it writes.
        self._writer = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        async with self._engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        try:
            async with self._writer.begin() as connection:
                yield connection
        except DatabaseError as problem:
            raise refused_write(self.path, problem) or problem from None

    async def close(self) -> None:
        await self._engine.dispose()

    def blocking_engine(self) -> sa.Engine:
        """An engine for code that blocks: the migrations and the execution engine's own tables."""
        engine = sa.create_engine(self.url, pool_size=_ENGINE_CONNECTIONS, max_overflow=0, pool_timeout=60)

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = "IMMEDIATE"
            self._set_pragmas(connection)

        return engine

    def _async_engine(self) -> AsyncEngine:
        engine = create_async_engine(
            sa.make_url(self.url).set(drivername="sqlite+aiosqlite"),
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=60,
        )

        @event.listens_for(engine.sync_engine, "connect")
        def prepare(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # the driver begins nothing; the listener below does
            self._set_pragmas(connection)

        @event.listens_for(engine.sync_engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

        return engine

    def _set_pragmas(self, connection: Any) -> None:
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={_LOCK_WAIT_MS}", "foreign_keys=ON", f"synchronous={self._synchronous}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def refused_write(path: Path, problem: DatabaseError) -> ConfigurationError | None:
    """The sentence for a database that cannot be written at all; None for any other problem."""
    reason = str(problem.orig)
    if "disk is full" in reason or "disk I/O error" in reason:
        return ConfigurationError(
            f"The database {path} could not be written; {reason}; make room on the disk and try again: "
            "nothing was half-saved."
        )
    if "database is locked" in reason:
        return ConfigurationError(
            f"The database {path} is locked; another process has been writing it for {_LOCK_WAIT_MS // 1000} s; "
            "end that process, or try again."
        )
    if "readonly" in reason or "unable to open" in reason:
        return ConfigurationError(
            f"The database {path} cannot be written; {reason}; make the file and its folder writable, "
            "or choose another folder with VEL_TUTOR_HOME."
        )
    return None

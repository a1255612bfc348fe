"""A PostgreSQL database: everything of ours lives in one schema, and one advisory lock makes writers take turns.

The URL is libpq's, as every hosting service prints it. Two drivers read it: asyncpg for our transactions, psycopg for
what blocks (migrations, the execution engine, liveness).
"""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any

import asyncpg
import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from vel_tutor_mcp.errors import ConfigurationError, InputError, Unavailable, VelError
from vel_tutor_mcp.store import isolation
from vel_tutor_mcp.store.database import (
    LOCK_WAIT_SECONDS,
    POOL_WAIT_SECONDS,
    Database,
    Transaction,
    capital,
    still_upgrading,
)
from vel_tutor_mcp.store.postgresql_url import for_asyncpg, for_libpq, host_of

SCHEMA = "vel_tutor"

_CONNECTIONS = 4
_ENGINE_CONNECTIONS = 4
# And one each for liveness, for notifications, and for those of the execution engine.
MOST_CONNECTIONS = _CONNECTIONS + _ENGINE_CONNECTIONS + 3
_CONNECT_SECONDS = 5
# Longer than LOCK_WAIT_SECONDS, so that whoever waits for the lock in vain is told of the lock.
_STATEMENT_SECONDS = 60
# A process that is frozen in mid-transaction must not stop all others: they wait LOCK_WAIT_SECONDS for the writer's
# lock, and must still get it. Between two statements of ours there are milliseconds, also on a machine that is busy.
_IDLE_SECONDS = 10
_VANISHED_SECONDS = 10
_MIGRATION_WAIT_SECONDS = 60
_LOOK_SECONDS = 0.05
_NO_CONNECTION_LEFT = "53300"
_STANDBY = "a standby"  # which answers, but not with a state
# Keys of advisory locks in this database; any two numbers that nobody else uses.
_WRITER, _MIGRATOR = 0x76656C01, 0x76656C02
_BE_SLOW = sa.text(f"SET LOCAL idle_in_transaction_session_timeout = '{_STATEMENT_SECONDS}s'")
_WRITE_ALONE = sa.text(f"SELECT pg_advisory_xact_lock({_WRITER})")
_SESSION: Mapping[str, str] = {
    "search_path": SCHEMA,
    "application_name": "vel-tutor-mcp",
    "timezone": "UTC",
    "lock_timeout": f"{LOCK_WAIT_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
    # So much for the client that does not read what it asked for; it counts where something is on its way.
    "tcp_user_timeout": f"{_VANISHED_SECONDS}s",
    # A client that vanished without a word is noticed in 5 + 3 x 2 s, and its locks are free again.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}


class PostgresDatabase(Database):
    """`url` is `postgresql://user:password@host/name` with libpq's parameters."""

    system = "postgresql"
    engine_schema = SCHEMA

    def __init__(self, url: sa.URL) -> None:
        self.engine_url, self._async_dsn = for_libpq(url), for_asyncpg(url)
        self.place = f"the PostgreSQL database {url.database or url.username} at {host_of(url)}"
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect_obedient,
            pool_size=_CONNECTIONS,
            # Never more: docs/deploy.md reckons by `MOST_CONNECTIONS` how many processes a server takes.
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,  # they are people's prompts, and errors are logged
        )
        event.listen(engine.sync_engine, "handle_error", _notice_broken)
        reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # Writers stay at READ COMMITTED: the first statement of a transaction takes its snapshot, and theirs waits for
        # the lock. What the writer before them has committed would be missing from it.
        super().__init__(reader, engine)

    def _begins_for(self, connection: Transaction, acts_for: str) -> None:
        isolation.driver_of(connection).acts_for = acts_for

    async def _lock(self, connection: Transaction) -> None:
        await connection.execute(_WRITE_ALONE)

    def lock_blocking(self, connection: sa.Connection) -> None:
        connection.execute(_BE_SLOW)  # a copy is idle here while it works on the other database
        connection.execute(_WRITE_ALONE)

    async def _connect_obedient(self, *_: Any, **__: Any) -> Any:
        connection = await self.connect()
        try:
            await connection.execute(isolation.OBEY)
        except BaseException:
            # Not `close`, which waits for the server: we may be cancelled.
            connection.terminate()
            raise
        return connection

    async def connect(self) -> Any:
        """A connection of asyncpg's own, with our schema and limits."""
        return await asyncpg.connect(
            self._async_dsn,
            connection_class=isolation.Connection,
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings=dict(_SESSION),
        )

    def connect_blocking(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection of psycopg's own, in autocommit, for locks that last as long as it."""
        connection = self._connect()
        connection.autocommit = True
        return connection

    def make(self) -> None:
        # By asyncpg, which can tell a wrong password from a dead server; psycopg has only libpq's text.
        asyncio.run(self._make())

    async def _make(self) -> None:
        connection = await self.connect()
        try:
            if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
                # IF NOT EXISTS looks before it writes: of two that make it at once, the later one breaks the index.
                with suppress(asyncpg.UniqueViolationError):
                    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        finally:
            await connection.close()

    def secure(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(isolation.MAKE_ROLE)

    @contextmanager
    def alone(self) -> Iterator[None]:
        # By trying: a session that waits for a lock holds a snapshot, which the engine's CREATE INDEX CONCURRENTLY
        # waits for in turn, and PostgreSQL does not see that ring.
        deadline = time.monotonic() + _MIGRATION_WAIT_SECONDS
        with self.connect_blocking() as connection:
            while not _taken(connection):
                if time.monotonic() > deadline:
                    raise still_upgrading(self.place)
                time.sleep(_LOOK_SECONDS)
            yield

    def blocking_engine(self, acts_for: str | None = None) -> sa.Engine:
        engine = sa.create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._connect_for(acts_for),
            pool_size=_ENGINE_CONNECTIONS,
            max_overflow=0,
            pool_timeout=2 * POOL_WAIT_SECONDS,
            hide_parameters=True,
        )
        event.listen(engine, "checkout", _refuse_broken)
        return engine

    def told(self, problem: Exception) -> VelError | None:
        cause = problem.orig if isinstance(problem, DBAPIError) else problem
        state = _state(cause)
        if make := _SENTENCES.get(state) or _SENTENCES.get(state[:2]):
            return make(self.place)
        if _is_lost(cause, state):
            return Unavailable(
                f"{capital(self.place)} cannot be reached; {_reason(cause)}; check that it runs and that "
                "VEL_TUTOR_DATABASE_URL is right: a server tries again by itself, and nothing that was saved is lost."
            )
        return None

    def _connect_for(self, acts_for: str | None) -> "psycopg.Connection[tuple[Any, ...]]":
        connection = self._connect()
        if acts_for is not None:
            connection.autocommit = True  # or it would be rolled back
            isolation.hold(connection, acts_for)
            connection.autocommit = False
        return connection

    def _connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items() if name != "application_name")
        return psycopg.connect(
            self.engine_url,
            connect_timeout=_CONNECT_SECONDS,
            options=options,
            application_name=_SESSION["application_name"],
            # As the server does by `_SESSION`: each side finds out by itself that the other one vanished.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=1000 * _VANISHED_SECONDS,
        )


def is_broken(connection: "psycopg.Connection[tuple[Any, ...]]") -> bool:
    """Whether it broke: nothing was asked, so what there is to read is the server's farewell, or the end."""
    if connection.closed:
        return True
    with DefaultSelector() as selector:
        selector.register(connection.fileno(), EVENT_READ)
        return bool(selector.select(0))


def _taken(connection: "psycopg.Connection[tuple[Any, ...]]") -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_MIGRATOR,)).fetchone()
    return bool(row and row[0])


def _state(cause: BaseException | None) -> str:
    """The SQLSTATE; libpq hands on none of a connection that was refused, only words."""
    if isinstance(_driver_error(cause), asyncpg.TargetServerAttributeNotMatched):
        return _STANDBY
    if isinstance(cause, psycopg.OperationalError):
        for words, state in _STATES_IN_WORDS.items():
            if words in str(cause):
                return state
    return getattr(cause, "sqlstate", None) or ""


def _is_lost(cause: BaseException | None, state: str) -> bool:
    """Whether the connection could not be made or broke, which says nothing of what was asked."""
    lost = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, psycopg.OperationalError)
    # Class 08 is the connection; 57P01 to 57P03 a server that stops, crashed or starts; 25P03 a session that slept.
    return state.startswith(("08", "57P0", "25P03")) or (not state and isinstance(_driver_error(cause), lost))


def _refuse_broken(connection: "psycopg.Connection[tuple[Any, ...]]", *_: object) -> None:
    """Have the pool make a new one; a look at the socket, where asking the server costs each time as much as a use."""
    if is_broken(connection):
        raise DisconnectionError


def _notice_broken(context: sa.ExceptionContext) -> None:
    """A connection whose server crashed may be left in the middle of an operation: the pool must not keep it."""
    if isinstance(_driver_error(context.original_exception), asyncpg.InternalClientError):
        context.is_disconnect = True


def _driver_error(cause: BaseException | None) -> BaseException | None:
    """SQLAlchemy's copy of an asyncpg error has the original as its cause."""
    if type(cause).__module__.startswith("sqlalchemy") and cause is not None and cause.__cause__ is not None:
        return cause.__cause__
    return cause


def _reason(cause: BaseException | None) -> str:
    error = _driver_error(cause)
    if isinstance(error, socket.gaierror):
        return str(error.strerror).lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    first_line = str(error).strip().partition("\n")[0]  # details follow
    said = " ".join(first_line.split(". ")[0].split()).rstrip(".")
    return said or type(error).__name__


def _crowded(place: str) -> VelError:
    return Unavailable(
        f"{capital(place)} takes no more connections; its max_connections are all in use, and each process of ours "
        f"uses up to {MOST_CONNECTIONS}; stop some, or raise max_connections: it is tried again."
    )


def _full(place: str) -> VelError:
    return Unavailable(
        f"{capital(place)} could not be written; its disk or memory is full; make room and try again: nothing was "
        "half-saved."
    )


def _locked(place: str) -> VelError:
    return Unavailable(
        f"{capital(place)} is locked; another process has been writing it for {LOCK_WAIT_SECONDS} s; end that "
        "process, or try again."
    )


def _read_only(place: str) -> VelError:
    return Unavailable(
        f"{capital(place)} cannot be written; it is read-only, as a standby is; point VEL_TUTOR_DATABASE_URL at the "
        "primary, or try again when it has taken over."
    )


def _standby(place: str) -> VelError:
    return Unavailable(
        f"{capital(place)} is a standby; it takes no writes until it has taken over from its primary; point "
        "VEL_TUTOR_DATABASE_URL at the primary, or wait: it is tried again."
    )


def _refused(place: str) -> VelError:
    return ConfigurationError(
        f"{capital(place)} refuses us; its user or password is wrong; correct VEL_TUTOR_DATABASE_URL."
    )


def _missing(place: str) -> VelError:
    return ConfigurationError(
        f"{capital(place)} does not exist; the server knows no database of this name; create it, or correct "
        "VEL_TUTOR_DATABASE_URL."
    )


def _forbidden(place: str) -> VelError:
    return ConfigurationError(
        f"{capital(place)} forbids what we need; its user may not make or use the schema {SCHEMA}; grant it CREATE on "
        "the database, or make the schema with this user as its owner."
    )


def _removed(place: str) -> VelError:
    return ConfigurationError(
        f"{capital(place)} lacks our tables; the schema {SCHEMA} was removed or changed while we ran; restore it, or "
        "start again to make it anew."
    )


def _unfit(place: str) -> VelError:
    return InputError(
        f"The request holds what {place} cannot keep; a text with a NUL in it, or a number out of range; leave it out."
    )


def _changed(place: str) -> VelError:
    return Unavailable(f"The tables of {place} have just been changed by a newer vel-tutor-mcp; try again.")


def _undone(place: str) -> VelError:
    return Unavailable(f"{capital(place)} undid what was asked; it got in the way of others; try again.")


def _slow(place: str) -> VelError:
    return Unavailable(f"{capital(place)} was too slow; its statement_timeout was over; raise that, or try again.")


def _pooled(place: str) -> VelError:
    return ConfigurationError(
        f"{capital(place)} is behind a pooler that changes our connections; locks and what is prepared must last as "
        "long as a connection; connect directly, or through a pooler in session mode (docs/deploy.md)."
    )


_STATES_IN_WORDS = {
    "too many clients": _NO_CONNECTION_LEFT,
    "connection slots": _NO_CONNECTION_LEFT,
    "server is in hot standby mode": _STANDBY,
    "session is read-only": _STANDBY,
}
# By SQLSTATE (PostgreSQL's manual, appendix A); two characters stand for a class.
_SENTENCES = {
    "22": _unfit,
    # asyncpg keeps plans, and a migration has changed what one of them gives.
    "0A000": _changed,
    # What was prepared is there twice, or not at all: it was on another connection.
    "42P05": _pooled,
    "26000": _pooled,
    _NO_CONNECTION_LEFT: _crowded,
    "53100": _full,
    "53200": _full,
    "55P03": _locked,
    "40": _undone,  # mostly a deadlock: an upgrade locks table after table, beside those who use them
    "57014": _slow,  # the role's own limit, which we leave to whoever set it
    "25006": _read_only,
    _STANDBY: _standby,
    "28P01": _refused,
    "28000": _refused,
    "3D000": _missing,
    "42501": _forbidden,
    "3F000": _removed,
    "42P01": _removed,
}

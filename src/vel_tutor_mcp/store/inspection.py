"""What stands in a database, before anything of ours opens it for use. Nothing here changes what it looks at."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from vel_tutor_mcp.auth.sealing import Sealed
from vel_tutor_mcp.store import audit_checkpoints, integrations, schema, webhooks
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.postgresql import PostgresDatabase
from vel_tutor_mcp.store.sqlite import SqliteDatabase
from vel_tutor_mcp.store.tables import metadata

_STEPS_BETWEEN_LOOKS = 10_000
_LOCK_WAIT_SECONDS = 2.0
# SQLite keeps these beside a file that is open.
_IN_USE = ("-wal", "-journal")
_SQLITE_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
_BEGUN = sa.table("workflow_status")
# The same server run and the same database of it, under whatever name they were reached.
_IDENTITY = sa.text("SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()")


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands in a database that was reached: `revision` is its schema's, `tables` counts all tables.

    `damage` is what SQLite's check complains of, `unfinished` where it took too long; `journal` is SQLite's mode,
    `version` PostgreSQL's major version, `isolated` whether row-level security holds us, `role` as whom we connect.
    """

    revision: str | None = None
    tables: int = 0
    damage: str | None = None
    unfinished: bool = False
    journal: str | None = None
    writable: bool = True
    version: int | None = None
    isolated: bool | None = None
    role: str | None = None


def sqlite(path: Path, seconds: float) -> Contents:
    """What stands in the file, which is only read, and checked for damage for so long.

    Raises:
        OSError, sqlite3.Error: it cannot be.
    """
    writable, journal = os.access(path, os.W_OK), _journal(path)
    with closing(sqlite3.connect(_only_to_read(path), uri=True, timeout=_LOCK_WAIT_SECONDS)) as connection:
        (tables,) = connection.execute(_SQLITE_TABLES).fetchone()
        revision = _sqlite_revision(connection)
        try:
            damage = _damage(connection, seconds)
        except _TookTooLongError:
            return Contents(revision, tables, unfinished=True, journal=journal, writable=writable)
    return Contents(revision, tables, damage, journal=journal, writable=writable)


def _only_to_read(path: Path) -> str:
    """A file that nobody has open is opened in a way that leaves nothing beside it."""
    in_use = any(path.with_name(path.name + end).exists() for end in _IN_USE)
    return f"{path.as_uri()}?mode=ro{'' if in_use else '&immutable=1'}"


class _TookTooLongError(Exception):
    """The file is too big to be checked in the time that a person waits."""


def _journal(path: Path) -> str | None:
    """As the file's header has it, which `PRAGMA journal_mode` does not tell of a file that is opened as immutable."""
    with path.open("rb") as file:
        header = file.read(20)
    return ("wal" if header[18:] == b"\x02\x02" else "delete") if header else None


def _sqlite_revision(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None


def _damage(connection: sqlite3.Connection, seconds: float) -> str | None:
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        if time.monotonic() > deadline:
            raise _TookTooLongError from None
        raise
    return None if said == "ok" else str(said)


async def postgresql(database: Database) -> tuple[Contents, float]:
    """What stands in the database, and by how many seconds its clock is ahead of ours.

    Raises:
        Unavailable, ConfigurationError: it cannot be reached; says why.
    """
    async with database.read(INSTALLATION) as tx:
        asked = await tx.exec_driver_sql(
            "SELECT current_setting('server_version_num')::int AS version, "
            "extract(epoch FROM clock_timestamp())::float8 AS now, "
            "(SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() "
            "AND tablename <> 'alembic_version') AS tables, "
            "to_regclass('alembic_version') IS NOT NULL AS ours, "
            "row_security_active(to_regclass('tasks')) AS isolated, session_user::text AS role"
        )
        row = asked.one()
        # At once: what is asked next takes its time.
        ahead = row.now - time.time()
        revision = None
        if row.ours:
            revision = (await tx.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar()
    version = row.version // 10_000
    return Contents(revision, row.tables, version=version, isolated=row.isolated, role=row.role), ahead


@dataclass(frozen=True, slots=True)
class Inventory:
    """Whose tables a database holds, and how many rows each of ours has.

    Attributes:
        tables: the names of all, but Alembic's.
        begun: how much work the execution engine has a record of.
        identity: the same for two ways to one database; None where there is none yet.
    """

    revision: str | None = None
    tables: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    begun: int = 0
    identity: Hashable = None

    @property
    def state(self) -> schema.State:
        return schema.state_of(self.revision, len(self.tables), schema.revisions())


def inventory(database: Database) -> Inventory:
    """Blocks.

    Raises:
        Unavailable, ConfigurationError: the database cannot be reached or read; says why.
    """
    if not _is_made(database):
        return Inventory()
    with database.translated(), _to_look(database) as connection:
        tables = schema.tables(connection)
        return Inventory(
            revision=schema.present(connection),
            tables=tables,
            rows={table.name: count(connection, table) for table in metadata.sorted_tables if table.name in tables},
            begun=count(connection, _BEGUN) if _BEGUN.name in tables else 0,
            identity=_identity(database, connection),
        )


def sealed(database: Database) -> list[Sealed]:
    """Everything that is stored sealed. Blocks.

    Raises:
        Unavailable, ConfigurationError: the database cannot be reached or read; says why.
    """
    if not _is_made(database):
        return []
    with database.translated(), _to_look(database) as connection:
        there = schema.tables(connection)
        of_owners = integrations.all_with_keys(connection) if "integrations" in there else []
        of_webhooks = webhooks.everyone(connection) if "webhooks" in there else []
        return [value for kept in (of_owners, of_webhooks) for row in kept for value in row.sealed]


def last_checkpoint(database: Database) -> Checkpoint | None:
    """What was signed last of the audit trail. Blocks.

    Raises:
        Unavailable, ConfigurationError: the database cannot be reached or read; says why.
    """
    if not _is_made(database):
        return None
    with database.translated(), _to_look(database) as connection:
        return audit_checkpoints.newest(connection) if "audit_checkpoints" in schema.tables(connection) else None


def _is_made(database: Database) -> bool:
    """SQLite would make a file that is only looked for."""
    return not isinstance(database, SqliteDatabase) or database.path.exists()


def count(connection: sa.Connection, table: sa.FromClause) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@contextmanager
def _to_look(database: Database) -> Iterator[sa.Connection]:
    engine = _engine_to_look(database)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _engine_to_look(database: Database) -> sa.Engine:
    if isinstance(database, SqliteDatabase):
        address = _only_to_read(database.path)
        return sa.create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=_LOCK_WAIT_SECONDS)
        )
    # First by asyncpg, which can tell a wrong password from a dead server; psycopg has only libpq's text.
    asyncio.run(_reach(database))
    return database.blocking_engine(INSTALLATION)


async def _reach(database: Database) -> None:
    try:
        await database.ping()
    finally:
        await database.close()


def _identity(database: Database, connection: sa.Connection) -> Hashable:
    if isinstance(database, SqliteDatabase):
        file = database.path.stat()
        return file.st_dev, file.st_ino
    assert isinstance(database, PostgresDatabase)
    return tuple(connection.execute(_IDENTITY).one())

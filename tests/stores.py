"""The databases that the product runs on, new for a test: a file in its home, or a PostgreSQL that has its tables."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import sqlalchemy as sa
from postgresql import PostgresServer

from vel_tutor_mcp.execution.dbos_engine import DbosEngine
from vel_tutor_mcp.execution.liveness import lease_on
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import FILE_NAME
from vel_tutor_mcp.store.tables import metadata

DATABASES = ("sqlite", "postgresql")

NewDatabase = Callable[[], AbstractContextManager[str | None]]
"""Makes a database that lasts as long as the context; its URL, None for the file in the product's home."""


def migrate(database: Database) -> None:
    """Make all tables, the engine's too, and no rows: other databases are made as copies of it."""
    engine = DbosEngine(database, lease_on(database))
    schema.prepare(database, engine.migrate)
    engine._system.dispose()
    asyncio.run(database.close())


def copy_into(home: Path, template: Path) -> None:
    """A new home with a copy of the file."""
    home.mkdir(mode=0o700)
    shutil.copy(template, home / FILE_NAME)


@contextmanager
def copy_of(template: str, server: PostgresServer) -> Iterator[str]:
    server.start()  # an earlier test may have killed it
    url = server.new_database(template)
    yield url
    server.start()
    server.drop(url)


async def empty(database: Database) -> None:
    """Delete all rows of ours: much cheaper than another database."""
    async with database.write(INSTALLATION) as tx:
        await tx.run_sync(clear)


def clear(connection: sa.Connection) -> None:
    with unguarded(connection):
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


@contextmanager
def unguarded(connection: sa.Connection) -> Iterator[None]:
    """Without the triggers that guard the audit trail, as somebody who owns the database may do it."""
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        off, on = [f"DROP TRIGGER {name}" for name, _ in found], [made for _, made in found]
    else:
        tables = ("audit_logs", "audit_checkpoints")
        off, on = ([f"ALTER TABLE {table} {word} TRIGGER USER" for table in tables] for word in ("DISABLE", "ENABLE"))
    for statement in off:
        connection.exec_driver_sql(statement)
    yield
    for statement in on:
        connection.exec_driver_sql(statement)

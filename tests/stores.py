"""The databases that the product runs on, new for a test: a file in its home, or a PostgreSQL that has its tables."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from postgresql import PostgresServer

from vel_tutor_mcp.app import database_at
from vel_tutor_mcp.execution.dbos_engine import DbosEngine
from vel_tutor_mcp.execution.liveness import lease_on
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.tables import metadata

DATABASES = ("sqlite", "postgresql")

NewDatabase = Callable[[], AbstractContextManager[str | None]]
"""Makes a database that lasts as long as the context; its URL, None for the file in the product's home."""


def migrated(server: PostgresServer) -> str:
    """The URL of a database that has all tables, the engine's too, and no rows: others are made as copies of it."""
    url = server.new_database()
    database = database_at(url)
    engine = DbosEngine(database, lease_on(database))
    schema.prepare(database, engine.migrate)
    engine._system.dispose()
    asyncio.run(database.close())
    return url


@contextmanager
def copy_of(template: str, server: PostgresServer) -> Iterator[str]:
    server.start()  # an earlier test may have killed it
    url = server.new_database(template)
    yield url
    server.start()
    server.drop(url)


async def empty(database: Database) -> None:
    """Delete all rows of ours: much cheaper than another database."""
    async with database.write() as tx:
        for table in reversed(metadata.sorted_tables):
            await tx.execute(table.delete())

"""What tests of what is stored may ask for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from noted import Services, services_on
from stores import NewDatabase

from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.places import database_of


@pytest.fixture
async def database(database_url: str | None, tmp_path: Path) -> AsyncIterator[Database]:
    """With our tables alone, for tests of the services; nothing runs on it."""
    database = database_of(Settings.model_validate({"home": tmp_path, "database_url": database_url}))
    await asyncio.to_thread(schema.prepare, database, lambda: None)
    yield database
    await database.close()


@pytest.fixture
def services(database: Database, tmp_path: Path) -> Services:
    return services_on(database, Settings.model_validate({"home": tmp_path}))


@pytest.fixture(scope="module")
def stored_in(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a database with our tables, for all tests of a file; nothing is open."""
    with new_database() as url:
        told = Settings.model_validate({"home": tmp_path_factory.mktemp("home"), "database_url": url})
        schema.prepare(database_of(told), lambda: None)
        yield told

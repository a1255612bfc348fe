"""What tests of what is stored may ask for."""

from collections.abc import Iterator

import pytest
from stores import NewDatabase

from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.places import database_of


@pytest.fixture(scope="module")
def stored_in(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a database with our tables, for all tests of a file; nothing is open."""
    with new_database() as url:
        told = Settings.model_validate({"home": tmp_path_factory.mktemp("home"), "database_url": url})
        schema.prepare(database_of(told), lambda: None)
        yield told

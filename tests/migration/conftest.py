"""Places for databases of any revision."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from postgresql import PostgresServer
from revisions import NewPlace
from stores import DATABASES

from vel_tutor_mcp.settings import Settings


@pytest.fixture(params=DATABASES)
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewPlace]:
    """Makes settings, each with an empty database of its own."""
    numbers = count(1)
    with ExitStack() as stack:

        def made() -> Settings:
            url = None
            if request.param == "postgresql":
                server: PostgresServer = request.getfixturevalue("postgres")
                url = server.new_database()
                stack.callback(server.drop, url)
            return Settings.model_validate({"home": tmp_path / f"home {next(numbers)}", "database_url": url})

        yield made


@pytest.fixture
def place(new_place: NewPlace) -> Settings:
    return new_place()

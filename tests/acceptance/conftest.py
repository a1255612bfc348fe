"""What conversations with the real server may ask for. A test of one place only names it, with `indirect=True`."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from browser import chromium
from deployment import PLACES, Deployment
from node_programs import had, packages
from playwright.async_api import Browser
from stores import copy_into, copy_of

# It needs the history, which `make soak` has.
collect_ignore = [] if "VEL_TEST_OLDER" in os.environ else ["test_rolling_upgrade.py"]


@pytest.fixture(params=PLACES, ids="-".join)
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """Each transport and each database, new for each test."""
    yield from _deployment(request, tmp_path)


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The same, for all tests of a file."""
    yield from _deployment(request, tmp_path_factory.mktemp("place"))


def _deployment(request: pytest.FixtureRequest, folder: Path) -> Iterator[Deployment]:
    transport, database = request.param
    if database == "sqlite":
        copy_into(folder / "home", request.getfixturevalue("migrated_file"))
        yield Deployment(transport, database, folder, {})
        return
    template, server = request.getfixturevalue("migrated_postgres_url"), request.getfixturevalue("postgres")
    with copy_of(template, server) as url:
        yield Deployment(transport, database, folder, {"VEL_TUTOR_DATABASE_URL": url})


@pytest.fixture(scope="session")
def node() -> Path:
    """The folder of the programs of npm."""
    return had(packages)


@pytest.fixture(scope="module")
async def browser(node: Path) -> AsyncIterator[Browser]:
    async with chromium(node) as browser:
        yield browser

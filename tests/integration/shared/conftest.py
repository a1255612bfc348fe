"""For the files whose tests share one product on each database: each test looks only at what it made."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from stores import NewDatabase
from world import Providers, shared_app, simulated_providers, start_afresh

from vel_tutor_mcp.app import App


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def providers() -> AsyncIterator[Providers]:
    async with simulated_providers() as providers:
        yield providers


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """The settings that a file's product has of its own."""
    return {}


@pytest.fixture(scope="module")
async def app(
    providers: Providers, values: dict[str, Any], new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[App]:
    async with shared_app(providers, tmp_path_factory.mktemp("home"), new_database, **values) as app:
        yield app


@pytest.fixture(autouse=True)
def afresh(app: App, providers: Providers) -> Iterator[None]:
    yield
    start_afresh(app, providers)

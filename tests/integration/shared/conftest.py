"""For the files whose tests share one product on each database: each test looks only at what it made."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from people import Front, front
from stores import NewDatabase
from world import Providers, shared_app, start_afresh

from vel_tutor_mcp.app import App
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.http import make_app
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.routing import health
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.people_tables import tries
from vel_tutor_mcp.store.tables import evidence, integrations


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def providers(vendors: Providers) -> Providers:
    return vendors


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


@pytest.fixture(scope="module", autouse=True)
def no_speed_is_learned() -> Iterator[None]:
    """Else a test's next task would go to another model where this machine was slow for a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "_seen_speed", lambda known, *_: known)
        yield


@pytest.fixture(autouse=True)
async def afresh(app: App, providers: Providers) -> AsyncIterator[None]:
    yield
    start_afresh(app, providers)
    async with app._parts.database.write(INSTALLATION) as tx:  # what was learned would lead others' tasks elsewhere
        await tx.execute(evidence.delete())


@pytest.fixture
async def desk(app: App) -> Front:
    """Where people come in; nobody has tried before."""
    made = front(app)
    async with made.database.write(INSTALLATION) as tx:
        await tx.execute(tries.delete())
    return made


@pytest.fixture(scope="module")
async def http(app: App) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a server that asks for no token."""
    inside = Desk()
    inside.opened(app)
    transport = httpx2.ASGITransport(make_app(make_server(inside), inside, "http"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4000") as http:
        yield http


@pytest.fixture
async def no_integrations(app: App) -> None:
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(integrations.delete())

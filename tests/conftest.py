"""What every test may ask for: simulated providers, settings, the open product on each kind of database, a client in
each protocol era, and a PostgreSQL.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

import heard
import hypothesis
import pytest
from leaks import leaks
from mcp import Client
from postgresql import NoPostgresError, PostgresServer
from processes import forking
from stores import DATABASES, NewDatabase, copy_into, copy_of, migrate
from world import ERAS, Providers, connected, settings_for, simulated_providers, without_settings

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.places import FILE_NAME, database_at
from vel_tutor_mcp.store.sqlite import SqliteDatabase

# How long an example takes tells of the machine's load.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")
# A test that fails has found the mutant: nothing is told from its smallest example, and the next run must find it too.
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    without_settings(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def no_secret_comes_to_light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that this worker's tests were told or left behind has a secret in it that they planted."""
    folder = tmp_path_factory.getbasetemp()
    with heard.keeping(folder / "heard"), forking():
        yield
    found = leaks(folder)
    assert not found, "\n".join(found)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What was logged and printed in this process."""
    for _, text in report.sections:
        heard.note(text)


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with simulated_providers() as providers:
        yield providers


@pytest.fixture(scope="module")
async def vendors() -> AsyncIterator[Providers]:
    """As `providers`, for all tests of a file whose `anyio_backend` is so too."""
    async with simulated_providers() as providers:
        yield providers


@pytest.fixture(scope="module", params=DATABASES)
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """Makes databases of each kind. A test of one kind names it, with `indirect=True`."""
    if request.param == "sqlite":
        return nullcontext
    server: PostgresServer = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("migrated_postgres_url")
    return lambda: copy_of(template, server)


@pytest.fixture
def database_url(new_database: NewDatabase) -> Iterator[str | None]:
    with new_database() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / FILE_NAME
    migrate(SqliteDatabase(file))
    return file


@pytest.fixture
def settings(tmp_path: Path, providers: Providers, database_url: str | None, migrated_file: Path) -> Settings:
    if database_url is None:
        copy_into(tmp_path / "home", migrated_file)
    return settings_for(providers, tmp_path / "home", database_url=database_url)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[App]:
    async with open_app(settings) as app:
        yield app


@pytest.fixture
def me(app: App) -> Principal:
    return app.local_principal


@pytest.fixture(params=ERAS)
async def client(app: App, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with connected(app, request.param) as client:
        yield client


class Watched(PostgresServer):
    """What was in a database is heard of when it goes."""

    def drop(self, url: str) -> None:
        heard.note("\n".join(self.all_rows(url)))
        super().drop(url)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """This worker's own server. On a machine that cannot run one the test is skipped, but never in CI."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(Watched())
        except NoPostgresError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"No PostgreSQL here: {error}")
        yield server


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    migrate(database_at(url))
    return url


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """A new, empty database, dropped afterwards, even where the test killed the server."""
    postgres.start()
    url = postgres.new_database()
    yield url
    postgres.start()
    postgres.drop(url)

"""What every test may ask for: simulated providers, settings, the open product, and a client in each protocol era."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mcp import Client
from world import ERAS, Providers, connected

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.settings import Settings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("VEL_TUTOR_", "OPENAI_", "GROQ_", "PERPLEXITY_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    async with SimulatedProvider("openai") as openai, SimulatedProvider("groq") as groq:
        yield Providers(openai, groq)


@pytest.fixture
def settings(tmp_path: Path, providers: Providers) -> Settings:
    environment = {name.lower(): value for name, value in providers.environment().items()}
    return settings_of(home=tmp_path / "home", **environment)


def settings_of(home: Path, **values: object) -> Settings:
    return Settings.model_validate({"home": home} | values)


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

"""What stands around the product in tests: two simulated vendors, and clients of both protocol eras."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client
from planted import key
from stores import NewDatabase

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import Server, make_server
from vel_tutor_mcp.models import Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.settings import Settings

Era = Literal["legacy", "auto"]
ERAS: tuple[Era, ...] = ("legacy", "auto")


@dataclass(frozen=True)
class Providers:
    """The two simulated vendors; a test tells them how to behave."""

    openai: SimulatedProvider
    groq: SimulatedProvider

    def environment(self) -> dict[str, str]:
        return {
            "OPENAI_API_KEY": key("sk"),
            "OPENAI_BASE_URL": self.openai.base_url,
            "GROQ_API_KEY": key("gsk"),
            "GROQ_BASE_URL": self.groq.base_url,
        }

    def reset(self) -> None:
        """Forget what a test told them, and what they were asked."""
        for provider in (self.openai, self.groq):
            provider.reset()
            provider.answer = None
            provider.latency = provider.tokens_per_second = 0.0


@asynccontextmanager
async def simulated_providers() -> AsyncIterator[Providers]:
    async with SimulatedProvider("openai") as openai, SimulatedProvider("groq") as groq:
        yield Providers(openai, groq)


@contextmanager
def held(*vendors: SimulatedProvider) -> Iterator[Callable[[], None]]:
    """Meanwhile, or until it is called, none of these answers: what has begun cannot have ended."""
    released = asyncio.Event()

    def waiting(answer: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def wait(*of_request: Any) -> None:
            await released.wait()
            await answer(*of_request)

        return wait

    def release() -> None:
        for vendor in vendors:
            vars(vendor).pop("_answer", None)
        released.set()

    for vendor in vendors:
        vars(vendor)["_answer"] = waiting(vendor._answer)  # it cannot be told to wait for a word
    try:
        yield release
    finally:
        release()


def without_settings(patch: pytest.MonkeyPatch) -> None:
    """Take this machine's own settings and keys out of the environment."""
    for name in list(os.environ):
        if name.startswith(("VEL_TUTOR_", "OPENAI_", "GROQ_", "PERPLEXITY_", "OTEL_")):
            patch.delenv(name)


def settings_for(providers: Providers, home: Path, **values: Any) -> Settings:
    environment = {name.lower(): value for name, value in providers.environment().items()}
    # Which model is asked is not left to chance.
    return Settings.model_validate({"home": home, "exploration": 0} | environment | values)


@asynccontextmanager
async def shared_app(providers: Providers, home: Path, new_database: NewDatabase, **values: Any) -> AsyncIterator[App]:
    """The product for all tests of a file: each looks only at what it made."""
    with new_database() as url:
        with pytest.MonkeyPatch.context() as patch:
            without_settings(patch)
            settings = settings_for(providers, home, database_url=url, **values)
        async with open_app(settings) as app:
            yield app


def start_afresh(app: App, providers: Providers) -> None:
    """No test of a shared product inherits another's faults, or what they did to the breakers."""
    providers.reset()
    app.health.__init__()  # type: ignore[misc]
    app.routes._pace._paces.clear()
    app.routes._warmth._read.clear()


async def asked_of_two(
    app: App, me: Principal, prompt: str, *, slow: SimulatedProvider, held_back: SimulatedProvider
) -> Told:
    """A task of which the one vendor begins to answer only once the slow one has been asked too."""
    with held(held_back) as answer:
        task = await app.tasks.submit(me, TaskRequest(prompt=prompt))
        async with asyncio.timeout(20):
            await slow.until(lambda sim: sim.open == 1)
        answer()
        return await app.tasks.follow(me, task.id, 30)


async def cancelled(app: App, me: Principal, task_id: str) -> Told:
    """The task, once it has stopped: `cancel` itself waits no longer than a second."""
    await app.tasks.cancel(me, task_id)
    told = await app.tasks.follow(me, task_id, 20)
    assert told.task.status is TaskStatus.CANCELLED
    return told


@asynccontextmanager
async def connected(app: App, era: Era, **options: Any) -> AsyncIterator[Client]:
    """An in-memory client of the real server; `era` is `legacy` (handshake) or `auto` (stateless)."""
    async with Client(served(app), mode=era, **options) as client:
        yield client


def served(app: App) -> Server:
    """The server of the product that is open: made for its first client, for that takes a tenth of a second."""
    if _Served.app is not app:
        desk = Desk()
        desk.opened(app)
        _Served.app, _Served.server = app, make_server(desk)
    return _Served.server


class _Served:
    app: App | None = None
    server: Server

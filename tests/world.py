"""What stands around the product in tests: two simulated vendors, and clients of both protocol eras."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from mcp import Client

from vel_tutor_mcp.app import App
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.providers.simulated import SimulatedProvider

Era = Literal["legacy", "auto"]
ERAS: tuple[Era, ...] = ("legacy", "auto")


@dataclass(frozen=True)
class Providers:
    """The two simulated vendors; a test tells them how to behave."""

    openai: SimulatedProvider
    groq: SimulatedProvider

    def environment(self) -> dict[str, str]:
        return {
            "OPENAI_API_KEY": "sk-test-openai",
            "OPENAI_BASE_URL": self.openai.base_url,
            "GROQ_API_KEY": "gsk-test-groq",
            "GROQ_BASE_URL": self.groq.base_url,
        }


@asynccontextmanager
async def connected(app: App, era: Era) -> AsyncIterator[Client]:
    """An in-memory client of the real server; `era` is `legacy` (handshake) or `auto` (stateless)."""

    @asynccontextmanager
    async def opener(desk: Desk) -> AsyncIterator[None]:
        desk.opened(app)
        yield

    async with Client(make_server(opener), mode=era) as client:
        yield client

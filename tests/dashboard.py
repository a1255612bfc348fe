"""The dashboard in a browser: a server with a month of work behind it, and people who look at it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import page_of
from people import Front, front
from planted import PASSWORD
from playwright.async_api import Browser, Frame, Page, ViewportSize, expect
from processes import COMMAND
from receivers import Receiver, receiving
from seeded import BEGUN, Month, ago, month
from server import Server, soon
from team import UNLIMITED
from world import Providers, settings_for, simulated_providers

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.store.places import FILE_NAME

TASKS = 1000
NEAR = "127.0.0.1/32"  # where the receiver of webhooks is
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)


@dataclass(frozen=True)
class Place:
    """The server at `base`, whom it asks and tells, who was there, and its database, to compute numbers from anew."""

    server: Server
    base: str
    providers: Providers
    receiver: Receiver
    month: Month
    desk: Front

    def number(self, sql: str) -> Any:
        """The one value of a query."""
        return self.rows(sql)[0][0]

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.server.home / FILE_NAME}?mode=ro", uri=True)) as rows:
            return rows.execute(sql).fetchall()

    @asynccontextmanager
    async def seen_by(self, browser: Browser, name: str, view: str = "tasks", **options: Any) -> AsyncIterator[Page]:
        """The dashboard as somebody sees it who has signed in."""
        async with page_of(browser, **{"viewport": WIDE, "color_scheme": "light"} | options) as page:
            await self.desk.pass_a_minute()  # nobody's tries stand against others
            await page.goto(f"{self.base}/dashboard#/{view}")
            await sign_in(page, f"{name}@example.org")
            await page.get_by_role("navigation", name="Views").wait_for()
            yield page


async def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def settled(page: Page | Frame) -> None:
    """Until nothing of the view is being read any more."""
    await expect(page.get_by_text("Loading", exact=True)).to_have_count(0)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)


@asynccontextmanager
async def dashboard(folder: Path, tasks: int = TASKS) -> AsyncIterator[Place]:
    async with simulated_providers() as providers, receiving() as receiver:
        values = {"tasks_in_progress": 100, "private_networks": NEAR}
        async with AsyncExitStack() as stack:
            with ago(BEGUN):
                opening = open_app(settings_for(providers, folder / "home", **values))
                app = await stack.enter_async_context(opening)
            seen = await month(app, providers, tasks, receiver.url)
        providers.reset()
        command = [*COMMAND, "serve", "--transport", "http", "--port", "0"]
        variables = {**providers.environment(), **UNLIMITED, "VEL_TUTOR_PRIVATE_NETWORKS": NEAR}
        async with Server(folder, variables, command) as server:
            try:
                base = (await soon(server.address())).removesuffix("/mcp")
                settings = settings_for(providers, server.home, concurrency=0)
                async with open_app(settings, guest=True) as app:
                    yield Place(server, base, providers, receiver, seen, front(app))
            finally:
                server.terminate()

"""A host of MCP Apps in a browser: the official bridge and the official client, around our page in a sandbox."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from browser import page_of
from node_programs import FOLDER
from playwright.async_api import Browser, Frame, Page, Route

_BUNDLE = ("--bundle", "--format=iife", "--platform=browser", "--log-level=warning")
_EMPTY = "<!doctype html><html lang='en'><title>host</title><body></body></html>"


@dataclass(frozen=True)
class Host:
    """The page of a host, and the frame in which it shows ours."""

    page: Page

    @property
    def app(self) -> Frame:
        return self.page.frames[-1]

    async def noted(self, name: str) -> Any:
        """What the host noted under this name: see host.mjs."""
        return await self.page.evaluate(f"host.noted.{name}")

    async def change(self, **context: Any) -> None:
        await self.page.evaluate("context => host.change(context)", context)


def bundled(node: Path) -> str:
    """The host's program, for a browser."""
    esbuild = node / "node_modules" / ".bin" / "esbuild"
    program = (FOLDER / "host.mjs").read_text(encoding="utf-8")
    made = subprocess.run(
        [esbuild, *_BUNDLE], input=program, cwd=node, capture_output=True, encoding="utf-8", check=True, timeout=60
    )
    return made.stdout


@asynccontextmanager
async def hosted_app(
    browser: Browser, program: str, base: str, token: str, args: dict[str, Any], **context: Any
) -> AsyncIterator[Host]:
    """What a person sees who asked for the dashboard. The host's page is of the server's origin: there is no CORS."""

    async def empty(route: Route) -> None:
        await route.fulfill(body=_EMPTY, content_type="text/html")

    async with page_of(browser, viewport={"width": 1000, "height": 800}) as page:
        await page.route(f"{base}/host", empty)
        await page.goto(f"{base}/host")
        await page.add_script_tag(content=program)
        asked = {"address": f"{base}/mcp", "token": token, "tool": "dashboard_show", "args": args}
        await page.evaluate("asked => host.open(asked)", asked | {"hostContext": context})
        yield Host(page)

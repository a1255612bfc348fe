"""A real browser for tests: the chromium that `node_programs` installs, driven by Playwright, on loopback alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

WAIT_MILLISECONDS = 30_000
WIDER_THAN_THE_SCREEN = "document.scrollingElement.scrollWidth > document.scrollingElement.clientWidth"
_OPTIONS = (
    "--no-sandbox",  # as root, which CI is, there is none
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-background-networking",
    "--disable-component-update",
)


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """`folder` is that of `node_programs.packages`."""
    expect.set_options(timeout=WAIT_MILLISECONDS)  # else it waits for 5 s, whatever a page waits for
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=folder / "chromium", args=_OPTIONS, env={"LD_LIBRARY_PATH": str(folder / "lib")}
        )
        try:
            yield browser
        finally:
            await browser.close()


async def faults(page: Page, folder: Path, *rules: str) -> list[tuple[str, str]]:
    """What axe finds wrong for people who use more than their eyes, with the first place; by all rules, or these."""
    await page.evaluate((folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate("rules => axe.run(rules.length ? { runOnly: rules } : {})", rules)
    return [(row["id"], row["nodes"][0]["html"]) for row in found["violations"]]


@asynccontextmanager
async def page_of(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page of somebody who was never there; `options` are Playwright's for a context."""
    context = await browser.new_context(**options)
    context.set_default_timeout(WAIT_MILLISECONDS)
    try:
        yield await context.new_page()
    finally:
        await context.close()

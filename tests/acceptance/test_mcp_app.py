"""The dashboard inside a client: the page in the sandbox of the official host of MCP Apps, with data through tools."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from apps import Host, bundled, hosted_app
from dashboard import Place, dashboard, settled
from playwright.async_api import Browser, expect

# The first of all may have to fetch the programs of npm.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"
MOST_PIXELS = 600
INLINE: dict[str, Any] = {
    "theme": "light", "displayMode": "inline", "containerDimensions": {"width": 980, "maxHeight": MOST_PIXELS}
}  # fmt: skip
TOLD = "height => host.noted.sizes.at(-1).height === height"
REACHES = "url => fetch(url).then(() => 'reached', () => 'refused')"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with dashboard(tmp_path_factory.mktemp("app"), tasks=5) as place:
        yield place


@pytest.fixture
async def host(place: Place, browser: Browser, node: Path) -> AsyncIterator[Host]:
    token = (await place.desk.enter(place.month.people["ada"])).token
    async with hosted_app(browser, bundled(node), place.base, token, {"view": "approvals"}, **INLINE) as host:
        yield host


async def test_a_person_sees_tasks_and_decides_inside_a_client(place: Place, host: Host) -> None:
    app = host.app
    question = app.get_by_role("article").filter(has_text="Publish the news of the price list?")
    await question.get_by_role("button", name="Approve").click()
    await expect(question).to_contain_text("the run goes on")
    # With it comes another task.
    told = await place.desk.app.runs.follow(place.month.people["ada"].principal, place.month.waiting, 50)
    await app.get_by_role("link", name="Tasks").click()
    await expect(app.get_by_role("row")).to_have_count(1 + place.number("SELECT count(*) FROM tasks"))

    assert told.run.status == "completed"
    calls = {call["name"] for call in await host.noted("calls")}
    assert calls == {"dashboard_data", "workflow_decide"}
    assert await host.noted("hidden") == ["dashboard_data"]
    assert "dashboard_show" in await host.noted("tools")


async def test_the_page_wears_the_hosts_theme_and_tells_its_size(host: Host) -> None:
    light = await host.app.evaluate(BACKGROUND)
    await host.change(theme="dark")
    await expect(host.app.locator("html")).not_to_have_css("background-color", light)
    dark = await host.app.evaluate(BACKGROUND)
    await settled(host.app)
    height = await host.app.evaluate("Math.ceil(document.body.getBoundingClientRect().height)")
    await host.page.wait_for_function(TOLD, arg=height)
    await host.app.get_by_role("link", name="Tasks").click()
    await host.page.wait_for_function(TOLD, arg=MOST_PIXELS)

    assert brightness(light) > 200
    assert brightness(dark) < 60
    assert height < MOST_PIXELS
    assert (await host.noted("sizes"))[-1]["width"] > 900


async def test_the_page_reaches_nobody_but_the_host(place: Place, host: Host) -> None:
    assert await host.noted("csp") == (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'none'; frame-src 'none'; object-src 'none'; base-uri 'none'; "
        "form-action 'none'"
    )
    assert await host.app.evaluate(REACHES, f"{place.base}/api/health") == "refused"
    assert await host.page.evaluate(REACHES, f"{place.base}/api/health") == "reached"


def brightness(colour: str) -> float:
    """The mean of red, green and blue."""
    parts = [float(part) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    return sum(parts) / 3

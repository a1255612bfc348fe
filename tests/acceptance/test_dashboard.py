"""The dashboard in a real browser, on a server with a month of work behind it."""

import math
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx2
import pictures
import pytest
from browser import WIDER_THAN_THE_SCREEN, faults, page_of
from dashboard import NARROW, TASKS, WIDE, Place, dashboard, settled, sign_in
from playwright.async_api import Browser, Page, expect

from vel_tutor_mcp.models import AgentConfig, AgentType

# The first of all may have to fetch the programs of npm.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

# Where pictures of each view go, if anywhere: `make screenshots`.
PICTURES = os.environ.get("VEL_TEST_SCREENSHOTS", "")
SIZES = {"wide": WIDE, "narrow": NARROW}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# The promise is the product's: a machine with other things to do may need more than one try to keep it.
LIVE_SECONDS, MOST_TRIES = 2.0, 10
TOKEN = "sessionStorage.getItem('vel-tutor.token')"


def money(usd: float) -> str:
    """As the page writes sums below one dollar: with three places that tell something, at most six."""
    places = max(2, min(6, 2 - math.floor(math.log10(usd))))
    whole, _, cents = f"{usd:.{places}f}".partition(".")
    return f"${whole}.{cents[:2]}{cents[2:].rstrip('0')}"


def share(part: float) -> str:
    """As charts write a share of calls that were answered."""
    places = Decimal("0.1") if 0.9 < part < 1 else Decimal(1)
    return f"{Decimal(part * 100).quantize(places, ROUND_HALF_UP)}%"


# Of charts the view that has it, the numbers of a day and a group, and how they are written.
CHARTS: Mapping[str, tuple[str, str, Callable[[Any], str]]] = {
    "Cost per day": (
        "costs?period=month&group_by=model",
        "SELECT date(ended_at), provider||'/'||model, sum(cost_nanousd)/1e9 usd FROM attempts GROUP BY 1,2 HAVING usd",
        money,
    ),
    "Calls": (
        "performance?period=month",
        "SELECT date(ended_at), provider, count(*) FROM attempts GROUP BY 1, 2",
        "{:,}".format,
    ),
    "Answered": (
        "performance?period=month",
        "SELECT date(ended_at), provider, 1.0 * sum(outcome = 'completed') / count(*) FROM attempts GROUP BY 1, 2",
        share,
    ),
}
NOTHING = {"$0", "0", "\N{EN DASH}"}
TEXTS_OF_CELLS = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"

# Of each view what it says of all its rows, and the query that counts them. All is of the last 30 days.
SHOWN: Mapping[str, tuple[Callable[[Any], str], str]] = {
    "tasks?status=failed": ("{:,} found".format, "SELECT count(*) FROM tasks WHERE status = 'failed'"),
    "tasks": ("{:,} in all".format, "SELECT count(*) FROM tasks"),
    "tasks/{task}": (money, "SELECT sum(cost_nanousd) / 1e9 FROM attempts WHERE task_id = '{task}'"),
    "runs": ("{:,} in all".format, "SELECT count(*) FROM runs"),
    "runs/{run}": (
        "{} of 4".format,
        "SELECT count(*) FROM run_steps WHERE run_id = '{run}' AND status = 'completed'",
    ),
    "approvals": ("{} decision waiting".format, "SELECT count(*) FROM runs WHERE status = 'awaiting_approval'"),
    "costs?period=month": (money, "SELECT sum(cost_nanousd) / 1e9 FROM attempts"),
    "performance?period=month": ("{:,}".format, "SELECT count(*) FROM attempts"),
    "audit": ("{:,} entries".format, "SELECT count(*) FROM audit_logs"),
    "compare": (
        lambda mean: f"{math.floor(mean * 100 + 0.5) / 100:.2f}",  # of two as near the upper one, as browsers do
        "SELECT avg(rating) FROM ratings JOIN comparison_entries USING (task_id) WHERE model = 'gpt-4.1-mini'",
    ),
    "alerts": ("{}".format, "SELECT message FROM alerts WHERE closed_at IS NULL ORDER BY opened_at LIMIT 1"),
    "webhooks": ("{}".format, "SELECT url FROM webhooks"),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with dashboard(tmp_path_factory.mktemp("place"), tasks=30) as place:
        yield place


async def test_each_view_shows_what_its_rows_come_to_and_axe_finds_no_fault(
    browser: Browser, node: Path, tmp_path: Path
) -> None:
    async with dashboard(tmp_path, TASKS) as place, place.seen_by(browser, "ada") as page:
        task = place.number("SELECT task_id FROM attempts GROUP BY task_id ORDER BY count(*) DESC, task_id LIMIT 1")
        ids = {"task": UUID(task), "run": UUID(place.month.waiting)}
        for view, (words, query) in SHOWN.items():
            await page.goto(f"{place.base}/dashboard#/{view.format(**ids)}")
            said = words(place.number(query.format(**{name: found.hex for name, found in ids.items()})))
            await expect(page.get_by_role("main").get_by_text(said).first).to_be_visible()
            await settled(page)
            for scheme in () if PICTURES else SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                rules = ["color-contrast"] if scheme == "dark" else []  # the others know no colours
                assert (view, scheme, await faults(page, node, *rules)) == (view, scheme, [])
            await looked_at(page, view)


async def looked_at(page: Page, view: str) -> None:
    """The view in each size, never wider than the screen; pictures of it in each scheme, if they are wanted."""
    await page.mouse.move(0, 0)  # nothing is pointed at
    for size, viewport in SIZES.items():
        await page.set_viewport_size(viewport)
        assert (view, size, await page.evaluate(WIDER_THAN_THE_SCREEN)) == (view, size, False)
        await expect(page.locator('[aria-current="page"]')).to_be_in_viewport(ratio=0.9)
        for scheme in SCHEMES if PICTURES else ():
            await page.emulate_media(color_scheme=scheme)
            await pictures.take(page, Path(PICTURES) / f"{named(view)}-{size}-{scheme}.png")
    await page.set_viewport_size(WIDE)


def named(view: str) -> str:
    """As pictures are: `task` is one of the `tasks`."""
    plain, _, one = view.partition("?")[0].partition("/")
    return one.strip("{}") or plain


async def test_the_numbers_of_charts_are_what_their_rows_come_to(place: Place, browser: Browser) -> None:
    async with place.seen_by(browser, "ada") as page:
        for chart, (view, query, words) in CHARTS.items():
            await page.goto(f"{place.base}/dashboard#/{view}")
            shown = await cells_of(page, chart)
            rows = [(date.fromisoformat(day), group, words(number)) for day, group, number in place.rows(query)]
            assert (chart, shown) == (chart, {(f"{day:%a, %b} {day.day}", group): cell for day, group, cell in rows})


async def cells_of(page: Page, chart: str) -> dict[tuple[str, str], str]:
    """What the chart's table says, by day and group, wherever there was anything."""
    await page.get_by_role("button", name=f"Show as table: {chart}").click()
    rows = page.get_by_role("table", name=chart).get_by_role("row")
    (_, *groups), *days = await rows.evaluate_all(TEXTS_OF_CELLS)
    cells = {(day, group): cell for day, *told in days for group, cell in zip(groups, told, strict=True)}
    return {place: cell for place, cell in cells.items() if cell not in NOTHING}


async def test_what_happens_is_seen_within_two_seconds(place: Place, browser: Browser) -> None:
    account = place.month.people["dan"]
    headers = {"authorization": f"Bearer {(await place.desk.enter(account)).token}"}
    seconds = list[float]()
    async with (
        place.seen_by(browser, "dan") as page,
        httpx2.AsyncClient(base_url=place.base, headers=headers, trust_env=False, timeout=30) as http,
    ):
        await settled(page)
        while not seconds or (min(seconds) >= LIVE_SECONDS and len(seconds) < MOST_TRIES):
            prompt = f"Look at me, number {len(seconds)}."
            begun = time.monotonic()
            assert (await http.post("/api/tasks", json={"prompt": prompt})).status_code == 201
            row = page.get_by_role("row").filter(has_text=prompt)
            await expect(row.get_by_text("Completed")).to_be_visible(timeout=20_000)
            seconds.append(time.monotonic() - begun)
    assert min(seconds) < LIVE_SECONDS


async def test_a_click_decides_and_the_run_goes_on(place: Place, browser: Browser) -> None:
    async with place.seen_by(browser, "ada", "approvals") as page:
        question = page.get_by_role("article").filter(has_text="Publish the news of the price list?")
        await question.get_by_role("textbox").fill("Go")
        await question.get_by_role("button", name="Approve").click()
        await expect(question).to_contain_text("the run goes on")
        await page.get_by_role("link", name="announce").first.click()
        await expect(page.get_by_role("main").get_by_text("Completed").first).to_be_visible()
    run = await place.desk.app.runs.tell(place.month.people["ada"].principal, place.month.waiting)
    assert [step.output["how"] for step in run.steps if step.step_id == "publish"] == ["signed_in"]


async def test_who_may_not_see_a_view_is_told_so_and_the_server_refuses(place: Place, browser: Browser) -> None:
    async with place.seen_by(browser, "vera", "webhooks") as page:
        await expect(page.get_by_text("You have no permission to see webhooks")).to_be_visible()
        await expect(page.get_by_role("link", name="Webhooks")).to_have_count(0)
        headers = {"authorization": f"Bearer {await page.evaluate(TOKEN)}"}
        async with httpx2.AsyncClient(base_url=place.base, headers=headers, trust_env=False) as http:
            assert (await http.get("/api/webhooks")).status_code == 403


async def test_a_webhook_is_tried_from_the_page_and_what_it_was_told_is_listed(place: Place, browser: Browser) -> None:
    async with place.seen_by(browser, "ada", "webhooks") as page:
        await page.get_by_role("link", name=place.receiver.url).click()
        await page.get_by_role("button", name="Send a test").click()
        delivered = page.get_by_role("table", name="Deliveries").get_by_role("row").filter(has_text="Delivered")
        await expect(delivered.filter(has_text="webhook.test")).to_have_count(1)
        await expect(delivered.filter(has_text="run.awaiting_approval")).to_have_count(4)
    assert len(await place.receiver.heard(1, lambda sent: b'"webhook.test"' in sent.body)) == 1


async def test_a_wrong_password_is_told_and_who_is_signed_out_elsewhere_signs_in_again(
    place: Place, browser: Browser
) -> None:
    await place.desk.pass_a_minute()
    async with page_of(browser, viewport=NARROW) as page:
        await page.goto(f"{place.base}/dashboard")
        await sign_in(page, "cleo@example.org", "Wrong-Passw0rd")
        await expect(page.get_by_role("alert")).to_contain_text("password")
        await sign_in(page, "cleo@example.org")
        await expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
        headers = {"authorization": f"Bearer {await page.evaluate(TOKEN)}"}
        async with httpx2.AsyncClient(base_url=place.base, headers=headers, trust_env=False) as http:
            assert (await http.post("/api/auth/logout")).status_code < 300
        await expect(page.get_by_role("heading", name="Sign in to vel-tutor")).to_be_visible(timeout=30_000)
        await expect(page.get_by_role("alert")).to_contain_text("Your sign-in has ended; sign in again.")


async def test_while_the_server_is_away_it_is_said_and_then_all_is_as_before(place: Place, browser: Browser) -> None:
    async with place.seen_by(browser, "ada") as page:
        await settled(page)
        await page.context.set_offline(True)
        await page.get_by_role("link", name="Runs").click()
        await expect(page.get_by_text("The server cannot be reached").first).to_be_visible()
        await page.context.set_offline(False)
        await page.get_by_role("button", name="Try again").first.click()
        await expect(page.get_by_role("row").nth(1)).to_be_visible()
        await expect(page.get_by_text("The server cannot be reached")).to_have_count(0)


async def test_the_keyboard_alone_leads_to_a_task_and_back(place: Place, browser: Browser) -> None:
    async with place.seen_by(browser, "ada") as page:
        await expect(page.locator("td a").first).to_be_visible()
        await settled(page)
        while not await page.evaluate("document.activeElement.matches('td a')"):
            await page.keyboard.press("Tab")
            assert await page.evaluate("document.activeElement !== document.body")
        prompt = await page.evaluate("document.activeElement.textContent")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text(prompt[:20])
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("heading", name="Tasks", level=1)).to_be_visible()


async def test_words_of_a_task_are_words_on_the_page(place: Place, browser: Browser) -> None:
    markup = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    dan = place.month.people["dan"]
    headers = {"authorization": f"Bearer {(await place.desk.enter(dan)).token}"}
    async with httpx2.AsyncClient(base_url=place.base, headers=headers, trust_env=False, timeout=30) as http:
        task = (await http.post("/api/tasks", json={"prompt": markup})).json()["id"]
    async with place.seen_by(browser, "dan", f"tasks/{task}") as page:
        await expect(page.get_by_role("main").get_by_text(markup).first).to_be_visible()
        assert "taken" not in await page.title()
        assert await page.get_by_role("main").locator("img, script").count() == 0


async def test_of_more_agents_than_are_listed_the_default_one_is_chosen_and_any_can_be_typed(
    place: Place, browser: Browser
) -> None:
    app, ada = place.desk.app, place.month.people["ada"].principal
    oldest = await app.agents.create(ada, "the oldest of many", AgentType.RESEARCHER, AgentConfig())
    for number in range(100):
        await app.agents.create(ada, f"one of many {number}", AgentType.RESEARCHER, AgentConfig())
    async with place.seen_by(browser, "ada") as page:
        for agent in ("default", oldest.name):
            await page.get_by_role("navigation", name="Views").get_by_role("link", name="Tasks").click()
            await page.get_by_role("button", name="New task").click()
            form = page.get_by_role("dialog", name="New task")
            chosen = form.get_by_role("combobox", name="Agent")
            await expect(chosen).to_have_value("default")
            await expect(chosen).to_have_js_property("tagName", "INPUT")
            await form.get_by_role("textbox", name="Prompt").fill(f"Say hello, {agent}.")
            await chosen.fill(agent)
            await form.get_by_role("button", name="Submit task").click()
            await expect(form).to_have_count(0)
            await expect(page.get_by_role("heading", level=1)).to_contain_text(f"Say hello, {agent}.")
            await expect(page.get_by_role("main").get_by_text(f"by agent {agent}")).to_be_visible()


async def test_no_other_page_shows_the_dashboard_in_a_frame(place: Place, browser: Browser) -> None:
    async with page_of(browser) as page:
        await page.set_content(f'<iframe src="{place.base}/dashboard"></iframe>')
        frame = page.frames[-1]
        await frame.wait_for_load_state()
        assert await frame.query_selector("form") is None

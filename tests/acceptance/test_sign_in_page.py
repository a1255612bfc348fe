"""Our own sign-in page in a real browser: for the official SDKs' clients, by keyboard, on a phone, light and dark."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import conformance
import httpx2
import pytest
from browser import WIDER_THAN_THE_SCREEN, faults, page_of
from people import Front, front
from planted import PASSWORD
from playwright.async_api import Browser
from ports import free_port
from signing_in import BACK, SDKS, Person, Returning, SdkClient, served_at

# The first of all may have to fetch the programs of npm.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

PHONE = {"width": 360, "height": 640}
SCHEMES = ("light", "dark")
# Of which element the keyboard's next key is, as a person would name it.
FOCUSED = "(document.activeElement.name || '') + ' ' + (document.activeElement.value || '')"
OUTLINED = "getComputedStyle(document.activeElement).outlineStyle"


@dataclass
class Place:
    """A server at `url`, and beside it the product on the same home, where accounts are made."""

    url: str
    desk: Front
    http: httpx2.AsyncClient

    async def person(self) -> str:
        """The e-mail of a new account, whose first try nobody else's tries stand against."""
        await self.desk.pass_a_minute()
        return str((await self.desk.join()).email)

    async def registered(self, callback: str) -> str:
        """The id of a new client."""
        reply = await self.http.post("/oauth/register", json={"client_name": "Keys", "redirect_uris": [callback]})
        return str(reply.json()["client_id"])

    async def asked_at(self, callback: str) -> str:
        """The address that a new client sends its person to."""
        asked = {
            "response_type": "code", "client_id": await self.registered(callback), "redirect_uri": callback,
            "code_challenge": "x" * 43, "code_challenge_method": "S256", "state": "kept", "resource": self.url,
        }  # fmt: skip
        return f"{self.url}/oauth/authorize?{urlencode(asked)}"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    url = f"http://127.0.0.1:{free_port()}"
    async with served_at(url, tmp_path_factory.mktemp("page")) as (app, http):
        yield Place(url, front(app), http)


def allowing(place: Place, browser: Browser, email: str, back: str = BACK) -> Person:
    """Somebody who signs in and allows whoever asks, without scripts."""

    async def person(address: str) -> None:
        assert address.startswith(f"{place.url}/oauth/authorize?")
        async with page_of(browser, java_script_enabled=False) as page:
            await page.goto(address)
            await page.fill("input[name=email]", email)
            await page.fill("input[name=password]", PASSWORD)
            await page.click("button")
            await page.click("button[name=decision][value=allow]")
            await page.wait_for_selector(f"text={back}")

    return person


@pytest.mark.parametrize("client", SDKS.values(), ids=SDKS)
async def test_a_person_signs_in_and_allows_a_client_without_scripts(
    place: Place, browser: Browser, client: SdkClient
) -> None:
    tools, agents = await client(f"{place.url}/mcp", allowing(place, browser, await place.person()))
    assert {"task_submit", "agent_list"} <= set(tools)
    assert agents == ["default"]


async def test_the_official_conformance_suite_finds_a_sound_authorization_server(
    place: Place, browser: Browser, node: Path, tmp_path: Path
) -> None:
    port, email = free_port(), await place.person()
    client_id = await place.registered(f"http://127.0.0.1:{port}/callback")
    person = allowing(place, browser, email, conformance.BACK)
    found = await conformance.outcomes(place.url, client_id, port, node, tmp_path, person)
    assert found == dict.fromkeys(found, "SUCCESS")
    assert found.keys() == {
        "authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant"
    }  # fmt: skip


async def test_the_keyboard_and_the_width_of_a_phone_are_enough(place: Place, browser: Browser) -> None:
    email = await place.person()
    async with Returning() as returning, page_of(browser, viewport=PHONE) as page:
        await page.goto(await place.asked_at(returning.address))
        await page.wait_for_selector("#email:focus")
        for told in (email, "Wrong-Passw0rd"):
            assert await page.evaluate(OUTLINED) == "solid"
            assert not await page.evaluate(WIDER_THAN_THE_SCREEN)
            await page.keyboard.type(told)
            await page.keyboard.press("Tab" if told == email else "Enter")
        await page.wait_for_selector("[role=alert]")
        await page.wait_for_selector("#password:focus")  # the e-mail stands there still
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("button[value=allow]")
        assert not await page.evaluate(WIDER_THAN_THE_SCREEN)
        passed: list[str] = []
        while not passed or passed[-1] != "decision allow":
            await page.keyboard.press("Tab")
            passed.append(await page.evaluate(FOCUSED))
            assert await page.evaluate(OUTLINED) == "solid"
        assert passed == ["decision deny", "decision allow"]
        await page.keyboard.press("Enter")
        said = dict(parse_qsl(urlsplit(await returning.url()).query))
    assert said.keys() == {"code", "iss", "state"}
    assert (said["iss"], said["state"]) == (place.url, "kept")


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_no_fault_on_any_page(place: Place, browser: Browser, node: Path, scheme: str) -> None:
    email = await place.person()
    callback = "http://127.0.0.1:9/callback"
    async with page_of(browser, viewport=PHONE, color_scheme=scheme) as page:
        await page.goto(await place.asked_at(callback))
        assert await faults(page, node) == []
        await page.fill("input[name=email]", email)
        await page.fill("input[name=password]", "Wrong-Passw0rd")
        await page.click("button")
        await page.wait_for_selector("[role=alert]")
        assert await faults(page, node) == []
        await page.fill("input[name=password]", PASSWORD)
        await page.click("button")
        await page.wait_for_selector("button[value=allow]")
        assert await faults(page, node) == []
        await page.goto(f"{place.url}/oauth/authorize?client_id=nobody")
        await page.wait_for_selector("[role=alert]")
        assert await faults(page, node) == []


async def test_a_page_that_somebody_else_shows_in_a_frame_is_not_shown(place: Place, browser: Browser) -> None:
    async with page_of(browser) as page:
        await page.set_content(f'<iframe src="{await place.asked_at("http://127.0.0.1:9/callback")}"></iframe>')
        frame = page.frames[-1]
        await frame.wait_for_load_state()
        assert await frame.query_selector("input") is None

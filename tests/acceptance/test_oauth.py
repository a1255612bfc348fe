"""Clients that sign in by OAuth: the official SDK's on one side, the pages by their forms on the other."""

import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest
from deployment import Deployment
from mcp import Client
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from people import Front, front
from planted import PASSWORD
from processes import COMMAND
from pydantic import AnyUrl
from server import WAIT_SECONDS, Server, soon
from signing_in import Memory

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.settings import Settings

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("place", [("http", "sqlite"), ("http", "postgresql")], indirect=True, ids="-".join),
]

URL = "http://127.0.0.1:4000"
CALLBACK = "http://127.0.0.1:33418/callback"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


# A client whose document is on this machine's own network.
INSIDE = {"client_id": "https://169.254.169.254/latest/meta-data"}
PAGE_REFUSES = (
    "none that it registered", "response_type is code", "is not known", "You may not name this address",
    "more than once",
)  # fmt: skip


class Redirecting(httpx2.AsyncHTTPTransport):
    """Connects to the port where the server that calls itself `URL` really listens."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=self._port)
        return await super().handle_async_request(request)


@dataclass
class Place:
    """A server, and beside it the product on the same home, where accounts are made."""

    desk: Front
    port: int
    server: Server

    def unseen(self, *secrets: str | None) -> bool:
        """Whether none of these is in the home's files or the log."""
        kept = b"".join(path.read_bytes() for path in self.server.home.rglob("*") if path.is_file())
        return not any(secret and secret.encode() in kept + self.server.stderr for secret in secrets)

    def http(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=Redirecting(self.port), base_url=URL, trust_env=False, timeout=WAIT_SECONDS, **options
        )


@dataclass
class Browser:
    """Somebody in front of the pages, which they fill in as forms without scripts."""

    http: httpx2.AsyncClient
    pages: list[httpx2.Response] = field(default_factory=list)

    async def open(self, url: str) -> httpx2.Response:
        self.pages.append(await self.http.get(url))
        return self.pages[-1]

    async def send(self, **filled: str) -> httpx2.Response:
        """Fill in the form of the last page; a redirection within the server is followed."""
        text = self.pages[-1].text
        (action,) = re.findall(r'<form method="post" action="([^"]+)"', text)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', text))
        answer = await self.http.post(unescape(action), data=hidden | filled, headers={"origin": URL})
        if answer.status_code == 303 and answer.headers["location"].startswith("/"):
            answer = await self.http.get(answer.headers["location"])
        self.pages.append(answer)
        return answer

    async def allow(self, url: str, email: str) -> dict[str, str]:
        """What the client is told in the end."""
        await self.open(url)
        await self.send(email=email, password=PASSWORD)
        return told(await self.send(decision="allow"))


def told(answer: httpx2.Response) -> dict[str, str]:
    """What the client learns from where the browser is sent."""
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def team(place: Deployment) -> AsyncIterator[Place]:
    command = [*COMMAND, "serve", "--transport", "http", "--port", "0"]
    variables = {**place.variables, "VEL_TUTOR_CONCURRENCY": "0", "OPENAI_API_KEY": "unused"}
    async with Server(place.folder, variables, command) as server:
        address = await soon(server.address())
        settings = Settings.model_validate({
            "home": server.home, "concurrency": 0, "openai_api_key": "never called",
            "database_url": place.variables.get("VEL_TUTOR_DATABASE_URL"),
        })  # fmt: skip
        async with open_app(settings, guest=True) as app:
            yield Place(front(app), urlsplit(address).port or 0, server)
        server.terminate()


@pytest.fixture
async def browser(team: Place) -> AsyncIterator[Browser]:
    async with team.http() as http:
        yield Browser(http)


@asynccontextmanager
async def connected(
    team: Place, memory: Memory, browser: Browser, email: str, **changes: str
) -> AsyncIterator[tuple[Client, OAuthClientProvider]]:
    """The SDK's client, whose user signs in and allows it as `email`; it hears the answer with these changes."""
    answers: list[dict[str, str]] = []

    async def shown(url: str) -> None:
        answers.append(await browser.allow(url, email))

    async def called_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(answers[-1] | changes)

    described = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="The SDK's client")
    provider = OAuthClientProvider(f"{URL}/mcp", described, memory, shown, called_back)
    async with (
        team.http(auth=provider) as http,
        Client(streamable_http_client(f"{URL}/mcp", http_client=http), mode="auto") as client,
    ):
        yield client, provider


async def names(client: Client) -> set[str]:
    return {tool.name for tool in (await soon(client.list_tools())).tools}


async def request_of(http: httpx2.AsyncClient, **changes: str) -> dict[str, str]:
    """What a client that has just registered asks a browser to open."""
    described = {"redirect_uris": [CALLBACK], "client_name": "Raw"}
    client = (await http.post("/oauth/register", json=described)).json()
    asked = {"client_id": client["client_id"], "redirect_uri": CALLBACK, "response_type": "code", "state": "s"}
    return asked | {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | changes


def page_of(query: dict[str, str]) -> str:
    return f"/oauth/authorize?{urlencode(query)}"


async def test_the_sdks_client_registers_signs_in_works_refreshes_and_is_revoked(team: Place, browser: Browser) -> None:
    account, memory = await team.desk.join("agent_manager"), Memory()
    await team.desk.pass_a_minute()
    async with connected(team, memory, browser, account.name) as (client, provider):
        assert "task_submit" in await names(client)
        assert provider.context.get_resource_url() == f"{URL}/mcp"
        first = memory.tokens
        provider.context.token_expiry_time = 1
        assert not (await soon(client.call_tool("agent_list", {}))).is_error
    second = memory.tokens
    assert first
    assert second
    assert memory.client
    assert first.refresh_token != second.refresh_token
    assert len(browser.pages) == 3  # nobody was asked a second time

    form = {"token": second.access_token, "client_id": memory.client.client_id}
    assert (await browser.http.post("/oauth/revoke", data=form)).status_code == 200
    refused = await browser.http.post("/mcp", json={}, headers={"authorization": f"Bearer {second.access_token}"})
    assert (refused.status_code, "revoked" in refused.text) == (401, True)
    assert team.unseen(first.access_token, second.access_token, first.refresh_token, second.refresh_token, PASSWORD)


async def test_an_answer_of_another_server_is_told_apart(team: Place, browser: Browser) -> None:
    account = await team.desk.join()
    await team.desk.pass_a_minute()
    with pytest.raises(BaseException) as mixed_up:  # noqa: PT011 - the SDK wraps it in groups
        async with connected(team, Memory(), browser, account.name, iss="https://evil.example") as (client, _):
            await names(client)
    assert mixed_up.group_contains(OAuthFlowError, match="iss mismatch")


async def test_the_page_sends_nobody_anywhere_but_back_to_the_client(team: Place, browser: Browser) -> None:
    account = await team.desk.join()
    await team.desk.pass_a_minute()
    query = await request_of(browser.http)
    for changes in (
        {"redirect_uri": "https://evil.example/"},
        {"response_type": "token"},
        {"client_id": "guess"},
        INSIDE,
    ):
        refused = await browser.open(page_of(query | changes))
        assert (refused.status_code, refused.headers.get("location")) == (400, None)
        assert "This did not work" in refused.text
    assert (await browser.open(f"{page_of(query)}&state=again")).status_code == 400
    reasons = [str(entry.payload["reason"]) for entry in await team.desk.recorded("oauth_refused")]
    assert [why for why in PAGE_REFUSES if not any(why in reason for reason in reasons)] == []

    page = await browser.open(page_of(query))
    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    page = await browser.send(email=account.name, password=PASSWORD)
    assert f"form-action 'self' {CALLBACK.removesuffix('/callback')};" in page.headers["content-security-policy"]
    for shown in ("Raw", account.name, CALLBACK, "Nobody has checked its name"):
        assert shown in page.text
    answer = await browser.send(decision="deny")
    assert answer.headers["location"].startswith(f"{CALLBACK}?")
    assert told(answer) == {"error": "access_denied", "iss": URL, "state": "s"}


async def test_what_another_page_sends_is_not_taken(team: Place, browser: Browser) -> None:
    account = await team.desk.join()
    await team.desk.pass_a_minute()
    page = page_of(await request_of(browser.http))
    filled = {"email": account.name, "password": PASSWORD}
    foreign = await browser.http.post(page, data=filled, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert (await browser.http.post(page, data=filled)).status_code == 400  # without the form's token

    fixed = "f" * 43
    browser.http.cookies.set("vel-session", fixed, domain="127.0.0.1", path="/")
    await browser.open(page)
    assert "Allow Raw?" in (await browser.send(**filled)).text
    (cookie,) = [cookie for cookie in browser.http.cookies.jar if cookie.name == "vel-session"]
    assert cookie.value != fixed
    decision = {"decision": "allow", "form": "0" * 64}
    assert (await browser.http.post(page, data=decision, headers={"origin": URL})).status_code == 400
    async with team.http(cookies={"vel-session": fixed}) as thief:
        assert "Sign in to Vel Tutor" in (await thief.get(page)).text
    other = page_of(await request_of(browser.http))
    hidden = re.findall(r'name="form" value="(\w+)"', browser.pages[-1].text)[0]
    moved = await browser.http.post(other, data={"decision": "allow", "form": hidden}, headers={"origin": URL})
    assert moved.status_code == 400
    reasons = [str(entry.payload["reason"]) for entry in await team.desk.recorded("oauth_refused")]
    assert any("The form was not taken" in reason for reason in reasons)


async def test_wrong_passwords_are_told_of_at_their_fields_and_are_few(team: Place, browser: Browser) -> None:
    account = await team.desk.join()
    await team.desk.pass_a_minute()
    await browser.open(page_of(await request_of(browser.http)))
    for _ in range(5):
        page = await browser.send(email=account.name, password="Wrong-Passw0rd")
        assert (page.status_code, 'aria-describedby="wrong"' in page.text) == (401, True)
        assert f'value="{account.name}"' in page.text
        assert "Wrong-Passw0rd" not in page.text
    page = await browser.send(email=account.name, password=PASSWORD)
    assert (page.status_code, 0 < int(page.headers["retry-after"]) <= 60) == (429, True)


async def test_codes_are_good_once_and_clients_that_flood_are_held_up(team: Place, browser: Browser) -> None:
    account = await team.desk.join()
    await team.desk.pass_a_minute()
    query = await request_of(browser.http)
    answer = await browser.allow(page_of(query), account.name)
    form = {"grant_type": "authorization_code", "client_id": query["client_id"], "code": answer["code"]}
    good = await browser.http.post("/oauth/token", data=form | {"code_verifier": VERIFIER})
    assert (good.status_code, good.headers["cache-control"]) == (200, "no-store")
    bearing = {"authorization": f"Bearer {good.json()['access_token']}"}
    assert (await browser.http.get("/api/users/me", headers=bearing)).json()["email"] == account.name
    own = {"authorization": f"Bearer {(await team.desk.enter(account)).token}"}
    assert (await browser.http.get("/api/tokens", headers=bearing)).status_code == 403  # it is for people
    (kept,) = (await browser.http.get("/api/tokens", headers=own)).json()["data"]
    assert (kept["kind"], kept["name"], kept["client_id"]) == ("oauth", "Raw", query["client_id"])
    again = await browser.http.post("/oauth/token", data=form | {"code_verifier": VERIFIER})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert answer["code"] not in again.text
    assert (await browser.http.get("/api/users/me", headers=bearing)).status_code == 401
    gone = await browser.http.delete(f"/api/tokens/{kept['id']}", headers=own)
    assert gone.json()["revoked_at"]  # as it was already
    other = await browser.http.post("/oauth/token", data={"grant_type": "password"})
    assert (other.status_code, other.json()["error"]) == (400, "unsupported_grant_type")

    spam = [await browser.http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}) for _ in range(6)]
    assert {answer.status_code for answer in spam} == {201, 429}
    assert spam[-1].json()["error"] == "temporarily_unavailable"
    assert team.unseen(answer["code"], VERIFIER)

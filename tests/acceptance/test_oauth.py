"""Clients that sign in by OAuth: the official SDK's on one side, the pages by their forms on the other."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from deployment import Deployment
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from people import Front, front
from planted import PASSWORD
from pydantic import AnyUrl
from server import COMMAND, WAIT_SECONDS, Server, soon

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.settings import Settings

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:4000"
CALLBACK = "http://127.0.0.1:33418/callback"


class Redirecting(httpx2.AsyncHTTPTransport):
    """Connects to the port where the server that calls itself `URL` really listens."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(port=self._port)
        return await super().handle_async_request(request)


@dataclass
class Memory:
    """What the SDK's client keeps."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Place:
    """A server, and beside it the product on the same home, where accounts are made."""

    desk: Front
    port: int

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
            yield Place(front(app), urlsplit(address).port or 0)
        server.terminate()


@pytest.fixture
async def browser(team: Place) -> AsyncIterator[Browser]:
    async with team.http() as http:
        yield Browser(http)


@asynccontextmanager
async def connected(team: Place, memory: Memory, browser: Browser, email: str) -> AsyncIterator[Client]:
    """The SDK's client, whose user signs in and allows it as `email` where it asks them to."""
    answers: list[dict[str, str]] = []

    async def shown(url: str) -> None:
        answers.append(await browser.allow(url, email))

    async def called_back() -> AuthorizationCodeResult:
        return AuthorizationCodeResult.model_validate(answers[-1])

    described = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="The SDK's client")
    provider = OAuthClientProvider(f"{URL}/mcp", described, memory, shown, called_back)
    async with (
        team.http(auth=provider) as http,
        Client(streamable_http_client(f"{URL}/mcp", http_client=http), mode="auto") as client,
    ):
        yield client


@pytest.mark.parametrize("place", [("http", "sqlite"), ("http", "postgresql")], indirect=True, ids="-".join)
async def test_the_sdks_client_registers_signs_in_works_and_refreshes(team: Place, browser: Browser) -> None:
    account, memory = await team.desk.join("agent_manager"), Memory()
    async with connected(team, memory, browser, account.name) as client:
        tools = {tool.name for tool in (await soon(client.list_tools())).tools}
    assert "task_submit" in tools
    assert memory.tokens is not None

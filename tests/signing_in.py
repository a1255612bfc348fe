"""Clients that sign in by OAuth as real ones do: the official SDKs', with a person at a browser."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from node_programs import Program, packages
from processes import COMMAND
from pydantic import AnyUrl, SecretStr
from server import WAIT_SECONDS, Server, soon

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.settings import Settings

# What a person does at the address that a client sends them to, until their page says that they are `BACK`.
Person = Callable[[str], Awaitable[None]]
BACK = "back at the client"
# A client of the server at an address, with a person: the names of the tools that it finds, and the agents of one.
SdkClient = Callable[[str, Person], Awaitable[tuple[list[str], list[str]]]]


@asynccontextmanager
async def served_at(url: str, folder: Path, **variables: str) -> AsyncIterator[tuple[App, httpx2.AsyncClient]]:
    """A server that knows under which URL clients come; the product on the same home, and a client without a token."""
    own = {"VEL_TUTOR_PUBLIC_URL": url, "VEL_TUTOR_CONCURRENCY": "0", "OPENAI_API_KEY": "never called"}
    command = [*COMMAND, "serve", "--transport", "http", "--port", str(urlsplit(url).port)]
    async with (
        Server(folder, own | variables, command) as server,
        httpx2.AsyncClient(base_url=url, trust_env=False, timeout=WAIT_SECONDS) as http,
    ):
        try:
            await soon(server.address())
            settings = Settings(home=server.home, concurrency=0, openai_api_key=SecretStr("never called"))
            async with open_app(settings, guest=True) as app:
                yield app, http
        finally:
            server.terminate()


class Returning:
    """Where a client waits for its person: `address`, which tells in the end how they came."""

    async def __aenter__(self) -> Self:
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.address = f"{self._origin}/callback"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def url(self) -> str:
        """As it was asked for."""
        return await soon(self._url)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            if path.startswith("/callback?") and not self._url.done():
                self._url.set_result(f"{self._origin}{path}")
            head = f"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {len(BACK)}\r\nconnection: close"
            writer.write(f"{head}\r\n\r\n{BACK}".encode())
            await writer.drain()
        writer.close()


@dataclass
class Memory:
    """What a client of the Python SDK keeps of its sign-in."""

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


async def python_sdk(address: str, person: Person) -> tuple[list[str], list[str]]:
    async with Returning() as returning:

        async def returned() -> AuthorizationCodeResult:
            said = {name: values[0] for name, values in parse_qs(urlsplit(await returning.url()).query).items()}
            return AuthorizationCodeResult(code=said["code"], state=said.get("state"), iss=said.get("iss"))

        metadata = OAuthClientMetadata(
            client_name="Python SDK", redirect_uris=[AnyUrl(returning.address)], token_endpoint_auth_method="none"
        )
        auth = OAuthClientProvider(address, metadata, Memory(), person, returned)
        async with (
            httpx2.AsyncClient(auth=auth, trust_env=False, timeout=WAIT_SECONDS) as http,
            Client(streamable_http_client(address, http_client=http)) as client,
        ):
            tools = [tool.name for tool in (await soon(client.list_tools())).tools]
            answer = await soon(client.call_tool("agent_list", {}))
    assert not answer.is_error, answer.content
    assert answer.structured_content is not None
    return tools, [agent["name"] for agent in answer.structured_content["agents"]]


def typescript_sdk(version: str) -> SdkClient:
    async def found(address: str, person: Person) -> tuple[list[str], list[str]]:
        async with (
            Returning() as returning,
            Program(packages(), "client", address, version, returning.address) as client,
        ):
            await person((await client.said())["authorize"])
            client.tell({"back": await returning.url()})
            said = await client.said()
        assert not said["refused"], said
        return said["tools"], [agent["name"] for agent in said["answer"]["agents"]]

    return found


SDKS: dict[str, SdkClient] = {
    "python": python_sdk,
    "typescript-v1": typescript_sdk("v1"),
    "typescript-v2": typescript_sdk("v2"),
}

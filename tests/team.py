"""A team's server, with accounts and simulated providers: a process that asks for tokens, and its accounts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from people import Front, front
from planted import PASSWORD
from processes import COMMAND
from server import Server, soon
from stores import NewDatabase
from waits import found
from world import Providers, settings_for, simulated_providers

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.models import Role

# Nothing is limited for tests that ask many times, unless they say so.
UNLIMITED = {"VEL_TUTOR_REQUESTS_PER_MINUTE": "0", "VEL_TUTOR_TASKS_PER_HOUR": "0"}


@dataclass(frozen=True)
class Member:
    """Somebody of the team, signed in, with a client that has their token."""

    account: Account
    http: httpx2.AsyncClient
    refresh_token: str

    async def asks(self, method: str, path: str, expected: int = 200, **options: Any) -> Any:
        """What is answered, where it has the status that is expected."""
        reply = await soon(self.http.request(method, path, **options))
        assert reply.status_code == expected, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None


@dataclass(frozen=True)
class Team:
    """The server at `base`, the vendors that it asks, and `desk`, where accounts are made and the trail is read."""

    server: Server
    base: str
    providers: Providers
    desk: Front

    @asynccontextmanager
    async def client(self, token: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(base_url=self.base, headers=headers, trust_env=False, timeout=60) as http:
            yield http

    @asynccontextmanager
    async def member(self, role: Role = "task_executor", organisation: str | None = None) -> AsyncIterator[Member]:
        account = await self.desk.join(role, organisation)
        signed_in = await self.desk.access.sign_in(str(account.email), PASSWORD, f"test-{account.id}"[:60])
        async with self.client(signed_in.token) as http:
            yield Member(account, http, signed_in.refresh_token)


@asynccontextmanager
async def team(
    folder: Path, new_database: NewDatabase, variables: Mapping[str, str] = UNLIMITED
) -> AsyncIterator[Team]:
    """A team on a new database; its server is asked until it is open."""
    with new_database() as url:
        async with simulated_providers() as providers, _served(folder, providers, url, variables) as server:
            base = (await soon(server.address())).removesuffix("/mcp")
            settings = settings_for(providers, server.home, database_url=url, concurrency=0)
            async with open_app(settings, guest=True) as app:
                made = Team(server, base, providers, front(app))
                await soon(_open(made))
                yield made


@asynccontextmanager
async def _served(
    folder: Path, providers: Providers, url: str | None, variables: Mapping[str, str]
) -> AsyncIterator[Server]:
    of_database = {"VEL_TUTOR_DATABASE_URL": url} if url else {}
    command = [*COMMAND, "serve", "--transport", "http", "--port", "0"]
    async with Server(folder, {**providers.environment(), **of_database, **variables}, command) as server:
        try:
            yield server
        finally:
            server.terminate()


async def _open(team: Team) -> None:
    async with team.client() as http:

        async def answers() -> bool | None:
            return (await http.get("/api/health")).status_code == 200 or None

        await found(answers)

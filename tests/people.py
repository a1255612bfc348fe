"""People who sign in: accounts on an open product, with hashes that cost nothing."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa
from argon2 import PasswordHasher
from mcp.server.auth.middleware.auth_context import auth_context_var
from planted import PASSWORD
from stores import NewDatabase
from world import shared_app, simulated_providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.auth.passwords import Passwords
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import AuditEntry, Role
from vel_tutor_mcp.services.access import Access
from vel_tutor_mcp.services.accounts import Accounts
from vel_tutor_mcp.services.credentials import Credentials
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.services.oauth import OAuth
from vel_tutor_mcp.services.oauth_clients import Clients
from vel_tutor_mcp.services.outside import Outside
from vel_tutor_mcp.services.pairs import SignedIn
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.people_tables import tries

FAST = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_numbers = count(1)


class Counting(Passwords):
    """Counts what was compared."""

    compared = 0

    def __init__(self) -> None:
        super().__init__(FAST)

    def fits(self, password: str, kept: str | None) -> bool:
        self.compared += 1
        return super().fits(password, kept)


@dataclass(frozen=True)
class Front:
    """The services that people come in by, on the database of a product; `documents` are what clients have to read."""

    app: App
    database: Database
    passwords: Counting
    accounts: Accounts
    access: Access
    oauth: OAuth
    documents: dict[str, bytes]

    async def join(self, role: Role = "task_executor", organisation: str | None = None) -> Account:
        """A new account, with the one password of all."""
        email = f"{role}-{next(_numbers)}@example.org"
        return await self.accounts.create(self.app.local_principal, email, PASSWORD, role, organisation)

    async def enter(self, account: Account, password: str = PASSWORD) -> SignedIn:
        assert account.email is not None
        return await self.access.sign_in(account.email, password, new_address())

    async def recorded(self, action: str, subject: str | None = None) -> Sequence[AuditEntry]:
        """The entries of this action, newest first."""
        return (await self.app.audit.search(self.app.local_principal, action=action, subject=subject)).rows

    async def pass_a_minute(self) -> None:
        async with self.database.write(INSTALLATION) as tx:
            for row in (await tx.execute(sa.select(tries.c.sequence, tries.c.at))).all():
                earlier = tries.update().where(tries.c.sequence == row.sequence)
                await tx.execute(earlier.values(at=row.at - timedelta(seconds=61)))


def front(app: App, database: Database | None = None, issuer: str | None = None) -> Front:
    """`database` is one of another process, unless it is left out; `issuer` an outside one of tokens."""
    parts = app._parts
    database = database or parts.database
    passwords = Counting()
    credentials = Credentials(database, app.local_principal.organisation_id, passwords)
    keyring = Keyring(database, parts.settings.home, parts.settings.public_url)
    outside = Outside(database, issuer, parts.settings.public_url) if issuer else None
    access = Access(database, credentials, keyring, outside)
    documents: dict[str, bytes] = {}
    clients = Clients(database, credentials.nobody, partial(read_from, documents))
    oauth = OAuth(database, credentials, keyring, parts.settings.public_url, clients)
    accounts = Accounts(database, credentials, issuer)
    return Front(app, database, passwords, accounts, access, oauth, documents)


@asynccontextmanager
async def alone(home: Path, new_database: NewDatabase, issuer: str | None = None) -> AsyncIterator[Front]:
    """A product that runs no task, for tests of who may do what."""
    async with simulated_providers() as providers, shared_app(providers, home, new_database, concurrency=0) as app:
        fast = front(app, issuer=issuer)
        app.accounts, app.access = fast.accounts, fast.access
        yield fast


async def read_from(documents: dict[str, bytes], url: str) -> bytes:
    """In place of the internet; `Outbound` and `fetch_document` are tested by themselves."""
    if url not in documents:
        raise InputError("The document is not there.")
    return documents[url]


def new_address() -> str:
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@contextmanager
def asking(role: str) -> Iterator[None]:
    """Meanwhile somebody of this role is asking; nobody has to exist."""
    caller = SimpleNamespace(caller=SimpleNamespace(principal=SimpleNamespace(role=role)))
    before = auth_context_var.set(cast("Any", caller))
    try:
        yield
    finally:
        auth_context_var.reset(before)

"""Coming in with tokens of an outside issuer: by its keys, which are fetched, and accounts that are linked with it."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vel_tutor_mcp.auth.accounts import Account, Caller
from vel_tutor_mcp.auth.oauth import resources_at
from vel_tutor_mcp.errors import IssuerAway, Unauthenticated
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.store import accounts
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken

if TYPE_CHECKING:
    from jwt import PyJWK

    from vel_tutor_mcp.auth.outside import Identity

# A key that the issuer takes back verifies nothing after so long, if the issuer can be asked.
KEYS_GOOD_SECONDS = 600.0
# So long between two questions, whatever keys tokens name: who makes names up cannot have the issuer asked for each.
FLOOR_SECONDS = 5.0
_FETCH_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Outside:
    """Lets in accounts that are linked with whom `issuer` names, in what it has signed for `url`, the server's own."""

    def __init__(self, database: Database, issuer: str, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._issuer = issuer
        # Clients read the metadata's resource as a URL, and ask for it with the slash that URLs have.
        self._audiences = (*resources_at(url), f"{url}/")
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._problem: str | None = None
        self._fetching: asyncio.Task[None] | None = None

    def issued(self, token: str) -> bool:
        """Whether the token says it is of this issuer."""
        from vel_tutor_mcp.auth.outside import issuer_of

        return issuer_of(token) == self._issuer

    async def verify(self, token: str) -> Caller:
        """Who is asking, with the role that they have now.

        Raises:
            Unauthenticated: the token is not good, or nobody's here; says why. IssuerAway: see `verified`.
        """
        identity = await self.verified(token)
        account = await self._linked(identity.subject) if is_text(identity.subject) else None
        if account is None:
            raise Unauthenticated(
                "The token is good but nobody's; no account is linked with whom it names; ask an administrator to link "
                "yours.",
                subject=identity.subject,
            )
        if account.disabled_at is not None:
            raise Unauthenticated("The token is not taken; your account is disabled; ask an administrator.")
        return Caller(principal=from_outside(account), grant_id=None, expires_at=identity.expires_at)

    async def verified(self, token: str) -> "Identity":
        """Whom the token names.

        Raises:
            Unauthenticated: the token is not good; says why. IssuerAway: no key that verifies it is known, nor can be.
        """
        from vel_tutor_mcp.auth.outside import key_id, verified

        return verified(token, await self._key(key_id(token)), self._issuer, self._audiences)

    @unbroken
    async def _linked(self, subject: str) -> Account | None:
        async with self._database.read(INSTALLATION) as tx:  # of which organisation they are is what is asked
            return await accounts.linked(tx, self._issuer, subject)

    async def _key(self, named: str) -> "PyJWK":
        if self._due(named):
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
        # A key that is known verifies meanwhile: nobody waits for the issuer without need.
        if named not in self._keys and self._fetching is not None:
            await asyncio.shield(self._fetching)
        key = self._keys.get(named)
        if key is not None:
            return key
        if self._problem is not None:
            raise IssuerAway(self._problem)
        raise Unauthenticated("The token is not valid; no key of its issuer has signed it; sign in again.")

    def _due(self, named: str) -> bool:
        now = self._clock()
        wanted = named not in self._keys or now - self._fetched_at >= KEYS_GOOD_SECONDS
        return wanted and now - self._asked_at >= FLOOR_SECONDS

    async def _fetch(self) -> None:
        from vel_tutor_mcp.auth.outside import keys_of
        from vel_tutor_mcp.providers.issuer import published_keys

        try:
            self._keys = keys_of(await published_keys(self._issuer, _FETCH_SECONDS))
        except IssuerAway as problem:
            self._problem = str(problem)
            _log.warning("%s", problem)
        else:
            self._fetched_at, self._problem = self._clock(), None


def from_outside(account: Account) -> Principal:
    """Who the account's user is with a token of the issuer, which was given to a client that they let in there."""
    return replace(account.principal, by="oauth")

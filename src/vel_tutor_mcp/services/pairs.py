"""The pairs of tokens that people and their clients come in by: one that says so, and one that brings the next pair."""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from vel_tutor_mcp.auth.accounts import Account, Grant
from vel_tutor_mcp.auth.oauth import SCOPE
from vel_tutor_mcp.errors import Unauthenticated
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.store import accounts, audit, grants
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken
from vel_tutor_mcp.store.grants import Refresh

TOKEN_LIVES = timedelta(hours=24)
SIGN_IN_LIVES = timedelta(days=30)
# By which scanners of secrets know it.
_REFRESH_PREFIX = "vtr_"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Whose sign-in it is, the token that says so until `expires_at`, and the one that brings the next pair, once."""

    account: Account
    token: str
    expires_at: datetime
    refresh_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """A grant that goes on, and the refresh token that is told with it."""

    account: Account
    grant: Grant
    refresh_token: str


class Pairs:
    """Makes them, and exchanges them."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def told(self, renewal: Renewal) -> SignedIn:
        expires_at = record.now() + TOKEN_LIVES
        token = await self.signed(renewal.account, renewal.grant, expires_at)
        return SignedIn(
            account=renewal.account, token=token, expires_at=expires_at, refresh_token=renewal.refresh_token
        )

    async def signed(self, account: Account, grant: Grant, expires_at: datetime) -> str:
        from vel_tutor_mcp.auth.tokens import Claims

        claims = Claims(
            user_id=account.id,
            organisation_id=account.organisation_id,
            role=account.role,
            grant_id=grant.id,
            token_id=str(uuid4()),
            issued_at=record.now(),
            expires_at=expires_at,
            client_id=grant.client_id,
            scope=SCOPE if grant.client_id else None,
        )
        return await self._keyring.signed(claims)

    async def renewed(self, refresh_token: str, address: str, client_id: str | None = None) -> SignedIn:
        """The next pair. A refresh token is good once: whoever brings it again ends the sign-in.

        Raises:
            Unauthenticated: it is none that is good, or is not of this client; None is of who signed in themselves.
        """
        return await self.told(await self._exchanged(refresh_token, address, client_id))

    @unbroken
    async def _exchanged(self, refresh_token: str, address: str, client_id: str | None) -> Renewal:
        spent = hashed(refresh_token)
        async with self._database.read(INSTALLATION) as tx:
            kept = await grants.find_refresh(tx, spent)
        if kept is None:  # a guess costs a look, not the writer's lock
            raise _not_good()
        async with self._database.write(kept.organisation_id) as tx:
            at = record.now()
            # Read again under the writer's lock: of two who bring it at the same time only one finds it unused.
            found, principal, grant = await _standing(tx, spent, client_id, at)
            if found.used_at is None:
                await grants.use_refresh(tx, spent, at)
                await audit.append(tx, principal, "token_refreshed", f"grant:{grant.id}", {}, at)
                return await prolonged(tx, grant, at)
            await grants.revoke(tx, grant.id, at)
            await audit.append(tx, principal, "refresh_reused", f"grant:{grant.id}", {"address": address}, at)
        # After the commit: else the revocation would be rolled back.
        raise Unauthenticated(
            "The refresh token is not good; it was used before, so somebody has a copy and the sign-in has ended; "
            "sign in again.",
            recorded=True,
        )


async def prolonged(tx: Transaction, grant: Grant, at: datetime) -> Renewal:
    """The grant, good for the life of a sign-in from now on, with a refresh token."""
    account = await accounts.get(tx, grant.owner_id)
    assert account is not None
    grant = replace(grant, expires_at=at + SIGN_IN_LIVES)
    await grants.prolong(tx, grant.id, grant.expires_at)
    return await begun(tx, account, grant)


async def begun(tx: Transaction, account: Account, grant: Grant) -> Renewal:
    token = f"{_REFRESH_PREFIX}{secrets.token_urlsafe(32)}"
    await grants.add_refresh(tx, grant, hashed(token))
    return Renewal(account=account, grant=grant, refresh_token=token)


def hashed(secret: str) -> str:
    """As which a secret of 256 random bits is kept."""
    # No slow hash, as passwords need one: so many random bits are guessed by nobody.
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


async def _standing(
    tx: Transaction, spent: str, client_id: str | None, at: datetime
) -> tuple[Refresh, Principal, Grant]:
    found = await grants.find_refresh(tx, spent)
    principal = await grants.bearer(tx, found.grant_id) if found else None
    grant = await grants.get(tx, found.grant_id) if found else None
    if found is None or principal is None or grant is None or found.expires_at <= at or grant.client_id != client_id:
        raise _not_good()
    return found, principal, grant


def _not_good() -> Unauthenticated:
    return Unauthenticated("The refresh token is not good; it has expired, was revoked or is none of ours; sign in.")

"""Coming in: signing in and out, the tokens that say so afterwards, and what they are good by."""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from uuid import uuid4

from vel_tutor_mcp.auth.accounts import Account, Caller, Grant
from vel_tutor_mcp.auth.roles import Operation, may_to
from vel_tutor_mcp.errors import InputError, NotFound, NotYours, TooManyTries, Unauthenticated
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.services import record, throttle
from vel_tutor_mcp.services.credentials import Credentials, network
from vel_tutor_mcp.services.inputs import check_text
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.services.lookup import account_of, spelt
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.store import accounts, audit, grants
from vel_tutor_mcp.store.database import Database, Transaction, unbroken

TOKEN_LIVES = timedelta(hours=24)
SIGN_IN_LIVES = timedelta(days=30)
MOST_DAYS = 366
_MAX_NAME_CHARACTERS = 100
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
class Issued:
    """A token for a client; it is told once and kept nowhere."""

    grant: Grant
    token: str


class Access:
    """How callers come in, for every door that asks who they are."""

    def __init__(self, database: Database, credentials: Credentials, keyring: Keyring) -> None:
        self._database = database
        self._credentials = credentials
        self._keyring = keyring

    async def sign_in(self, email: str, password: str, address: str) -> SignedIn:
        """Raises:
        Unauthenticated: there is no such account, the password is another, or it is disabled; it does not say which.
        TooManyTries: of this account or from this address.
        """
        account = await self._credentials.signing_in(email, password, address)
        grant, refresh_token = await self._begin(account, address)
        return await self._told(account, grant, refresh_token)

    async def refresh(self, refresh_token: str, address: str) -> SignedIn:
        """The next pair of tokens. A refresh token is good once: whoever brings it again ends the sign-in.

        Raises:
            Unauthenticated: it is none that is good.
        """
        account, grant, next_token = await self._exchange(refresh_token, address)
        return await self._told(account, grant, next_token)

    async def verify(self, token: str) -> Caller:
        """Who is asking with this token, with the role that they have now.

        Raises:
            Unauthenticated: it is none that is good; says why.
        """
        claims = await self._keyring.verified(token)
        principal = await self._bearer(claims.grant_id)
        if principal is None or principal.user_id != claims.user_id:
            raise Unauthenticated("The token was revoked; its sign-in has ended, or the account is disabled; sign in.")
        return Caller(principal=principal, grant_id=claims.grant_id, expires_at=claims.expires_at)

    @unbroken
    async def sign_out(self, caller: Caller) -> None:
        """End what the caller's token is good by, with all tokens of that sign-in."""
        async with self._database.write() as tx:
            at = record.now()
            if await grants.revoke(tx, caller.grant_id, at):
                await audit.append(tx, caller.principal, "signed_out", f"grant:{caller.grant_id}", {}, at)

    async def note_refusal(self, reason: str, address: str) -> None:
        """Put on record that a token was not taken; of an address five in a minute, and then that there are more."""
        with suppress(TooManyTries):
            often = partial(self._note, action="token_refused_often", address=address)
            await throttle.admit(self._database, (f"token:{network(address)}",), often)
            await self._note_alone("token_refused", address, reason)

    @allows(Operation.TOKEN_ISSUE)
    async def issue(self, principal: Principal, name: str, days: int = 90, user: str | None = None) -> Issued:
        """A token for a client of the principal or, for administrators, of another user, good for so many days.

        Raises:
            NotFound: no such user. InputError: name or days are out of bounds.
        """
        check_text("name", name)
        if not name.strip() or len(name) > _MAX_NAME_CHARACTERS or not 1 <= days <= MOST_DAYS:
            raise InputError(
                f"The token is not issued; its name has 1 to {_MAX_NAME_CHARACTERS} characters and it is good for 1 to "
                f"{MOST_DAYS} days; correct them."
            )
        account, grant = await self._grant_client(principal, name, timedelta(days=days), user or principal.user_id)
        return Issued(grant=grant, token=await self._signed(account, grant, grant.expires_at))

    @allows(Operation.PROFILE)
    @unbroken
    async def issued(self, principal: Principal, *, limit: int = 20, cursor: Start = None) -> Page[Grant]:
        """The tokens that were issued to the principal's clients, without the tokens themselves, newest first."""
        async with self._database.read() as tx:
            return await grants.page_of(tx, principal.user_id, limit, cursor)

    @allows(Operation.TOKEN_ISSUE)
    @unbroken
    async def revoke(self, principal: Principal, grant_id: str) -> Grant:
        """End what a token is good by.

        Raises:
            NotFound: there is no such grant that the principal may end.
        """
        async with self._database.write() as tx:
            at = record.now()
            grant = await grants.get(tx, spelt(grant_id)) if spelt(grant_id) else None
            sentence = "There is no such token; none of yours has this id; see `token list`."
            if grant is None:
                raise NotFound(sentence)
            if not may_to(principal, Operation.TOKEN_ISSUE, grant.organisation_id, grant.owner_id):
                raise NotYours(sentence, f"grant:{grant.id}")
            if await grants.revoke(tx, grant.id, at):
                await audit.append(tx, principal, "token_revoked", f"grant:{grant.id}", {"name": grant.name}, at)
        return grant

    @unbroken
    async def _note_alone(self, action: str, address: str, reason: str) -> None:
        async with self._database.write() as tx:
            await self._note(tx, action, address, reason=reason)

    async def _note(self, tx: Transaction, action: str, address: str, **facts: str) -> None:
        nobody = self._credentials.nobody
        await audit.append(tx, nobody, action, "token", {"address": address, **facts}, record.now())

    async def _told(self, account: Account, grant: Grant, refresh_token: str) -> SignedIn:
        expires_at = record.now() + TOKEN_LIVES
        token = await self._signed(account, grant, expires_at)
        return SignedIn(account=account, token=token, expires_at=expires_at, refresh_token=refresh_token)

    async def _signed(self, account: Account, grant: Grant, expires_at: datetime) -> str:
        from vel_tutor_mcp.auth.tokens import Claims

        claims = Claims(
            user_id=account.id,
            organisation_id=account.organisation_id,
            role=account.role,
            grant_id=grant.id,
            token_id=str(uuid4()),
            issued_at=record.now(),
            expires_at=expires_at,
        )
        return await self._keyring.signed(claims)

    @unbroken
    async def _bearer(self, grant_id: str) -> Principal | None:
        async with self._database.read() as tx:
            return await grants.bearer(tx, grant_id)

    @unbroken
    async def _begin(self, account: Account, address: str) -> tuple[Grant, str]:
        async with self._database.write() as tx:
            if await accounts.get(tx, account.id) != account:
                raise Unauthenticated("You are not signed in; the account was changed meanwhile; try again.")
            at = record.now()
            await grants.forget_expired(tx, account.id, at)
            grant = _grant(account, "sign_in", None, at, SIGN_IN_LIVES)
            await grants.insert(tx, grant)
            await audit.append(tx, account.principal, "signed_in", f"grant:{grant.id}", {"address": address}, at)
            return grant, await _add_refresh(tx, grant)

    @unbroken
    async def _exchange(self, refresh_token: str, address: str) -> tuple[Account, Grant, str]:
        spent = _hash(refresh_token)
        async with self._database.read() as tx:
            if await grants.find_refresh(tx, spent) is None:  # a guess costs a look, not the writer's lock
                raise _not_good()
        async with self._database.write() as tx:
            at = record.now()
            found = await grants.find_refresh(tx, spent)
            principal = await grants.bearer(tx, found.grant_id) if found else None
            if found is None or principal is None or found.expires_at <= at:
                raise _not_good()
            reused = found.used_at is not None
            if reused:
                await grants.revoke(tx, found.grant_id, at)
                facts = {"address": address}
                await audit.append(tx, principal, "refresh_reused", f"grant:{found.grant_id}", facts, at)
            else:
                told = await _renewed(tx, principal, found.grant_id, spent, at)
        if reused:
            raise Unauthenticated(
                "The refresh token is not good; it was used before, so somebody has a copy and the sign-in has ended; "
                "sign in again."
            )
        return told

    @unbroken
    async def _grant_client(
        self, principal: Principal, name: str, lives: timedelta, user: str
    ) -> tuple[Account, Grant]:
        async with self._database.write() as tx:
            account = await account_of(tx, principal, Operation.TOKEN_ISSUE, user)
            at = record.now()
            await grants.forget_expired(tx, account.id, at)
            grant = _grant(account, "client", name, at, lives)
            await grants.insert(tx, grant)
            facts = {"name": name, "user": account.name, "expires_at": grant.expires_at.isoformat()}
            await audit.append(tx, principal, "token_issued", f"grant:{grant.id}", facts, at)
        return account, grant


async def _renewed(
    tx: Transaction, principal: Principal, grant_id: str, spent: str, at: datetime
) -> tuple[Account, Grant, str]:
    account, grant = await accounts.get(tx, principal.user_id), await grants.get(tx, grant_id)
    assert account is not None
    assert grant is not None
    await grants.use_refresh(tx, spent, at)
    grant = replace(grant, expires_at=at + SIGN_IN_LIVES)
    await grants.prolong(tx, grant.id, grant.expires_at)
    await audit.append(tx, principal, "token_refreshed", f"grant:{grant.id}", {}, at)
    return account, grant, await _add_refresh(tx, grant)


async def _add_refresh(tx: Transaction, grant: Grant) -> str:
    token = f"{_REFRESH_PREFIX}{secrets.token_urlsafe(32)}"
    await grants.add_refresh(tx, grant, _hash(token))
    return token


def _grant(
    account: Account, kind: Literal["sign_in", "client"], name: str | None, at: datetime, lives: timedelta
) -> Grant:
    return Grant(
        id=str(uuid4()),
        owner_id=account.id,
        organisation_id=account.organisation_id,
        kind=kind,
        name=name,
        created_at=at,
        expires_at=at + lives,
    )


def _hash(refresh_token: str) -> str:
    return hashlib.sha256(refresh_token.encode(errors="replace")).hexdigest()


def _not_good() -> Unauthenticated:
    return Unauthenticated("The refresh token is not good; it has expired, was revoked or is none of ours; sign in.")

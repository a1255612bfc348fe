"""Coming in: signing in and out, the tokens that say so afterwards, and what they are good by."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from vel_tutor_mcp.auth.accounts import Account, Caller, Grant
from vel_tutor_mcp.auth.roles import Operation, may_to
from vel_tutor_mcp.errors import Conflict, InputError, NotFound, NotYours, Unauthenticated
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.bearers import Bearers
from vel_tutor_mcp.services.credentials import Credentials
from vel_tutor_mcp.services.inputs import check_text
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.services.lookup import account_of, missing, spelt
from vel_tutor_mcp.services.outside import Outside, from_outside
from vel_tutor_mcp.services.pairs import SIGN_IN_LIVES, Pairs, Renewal, SignedIn, begun
from vel_tutor_mcp.services.permission import acts_for, allows
from vel_tutor_mcp.services.refusals import Refusals
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.store import accounts, audit, grants
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken

MOST_DAYS = 366
_MAX_NAME_CHARACTERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token for a client; it is told once and kept nowhere."""

    grant: Grant
    token: str


class Access:
    """How callers come in, for every door that asks who they are."""

    def __init__(
        self, database: Database, credentials: Credentials, keyring: Keyring, outside: Outside | None = None
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._keyring = keyring
        self._outside = outside
        self._bearers = Bearers(database)
        self._pairs = Pairs(database, keyring)
        self._refusals = Refusals(database, credentials.nobody)

    async def sign_in(self, email: str, password: str, address: str) -> SignedIn:
        """Raises:
        Unauthenticated: there is no such account, the password is another, or it is disabled; it does not say which.
        TooManyTries: of this account or from this address.
        """
        account = await self._credentials.signing_in(email, password, address)
        return await self._pairs.told(await self._begin(account, address))

    async def refresh(self, refresh_token: str, address: str) -> SignedIn:
        """The next pair of tokens. A refresh token is good once: whoever brings it again ends the sign-in.

        Raises:
            Unauthenticated: it is none that is good.
        """
        return await self._pairs.renewed(refresh_token, address)

    async def verify(self, token: str) -> Caller:
        """Who is asking with this token, with the role that they have now.

        Raises:
            Unauthenticated: it is none that is good; says why. IssuerAway: an outside issuer's cannot be checked now.
        """
        if self._outside is not None and self._outside.issued(token):
            return await self._outside.verify(token)
        claims = await self._keyring.verified(token)
        principal = await self._bearers.of(claims.organisation_id, claims.grant_id)
        if principal is None or principal.user_id != claims.user_id:
            raise Unauthenticated("The token was revoked; its sign-in has ended, or the account is disabled; sign in.")
        return Caller(principal=principal, grant_id=claims.grant_id, expires_at=claims.expires_at)

    @unbroken
    async def ended(self, callers: Collection[Caller]) -> frozenset[Caller]:
        """Those of them who would not come in as who they are any more: their token was revoked or has expired, their
        account is disabled, or has another role.
        """
        at = record.now()
        async with self._database.read(INSTALLATION) as tx:
            granted = await grants.bearers(tx, {caller.grant_id for caller in callers if caller.grant_id})
            linked = await accounts.still_linked(
                tx, {caller.principal.user_id for caller in callers if caller.grant_id is None}
            )
        by_issuer = {account.id: from_outside(account) for account in linked}

        def standing(caller: Caller) -> Principal | None:
            return granted.get(caller.grant_id) if caller.grant_id else by_issuer.get(caller.principal.user_id)

        return frozenset(
            caller for caller in callers if caller.expires_at <= at or standing(caller) != caller.principal
        )

    @unbroken
    async def sign_out(self, caller: Caller) -> None:
        """End what the caller's token is good by, with all tokens of that sign-in.

        Raises:
            Conflict: it is good by an outside issuer's word.
        """
        if caller.grant_id is None:
            raise Conflict("You are not signed out; your sign-in is an outside issuer's; sign out there.")
        async with self._database.write(caller.principal.organisation_id) as tx:
            at = record.now()
            if await grants.revoke(tx, caller.grant_id, at):
                await audit.append(tx, caller.principal, "signed_out", f"grant:{caller.grant_id}", {}, at)

    async def note_refusal(self, reason: str, address: str, subject: str | None = None) -> None:
        """Put on record that a token was not taken; of an address five in a minute, and then that there are more.

        `subject` is whom an outside issuer's good token names, who is nobody here.
        """
        facts = {"subject": subject} if subject else {}
        await self._refusals.note("token_refused", "token", reason, address, facts)

    async def note_refused_request(self, reason: str, address: str, principal: Principal | None) -> None:
        """Put on record that a request was not taken, whatever it asked for; of an address five in a minute."""
        await self._refusals.note("request_refused", "request", reason, address, who=principal)

    @allows(Operation.TOKEN_ISSUE)
    async def issue(self, principal: Principal, name: str, days: int = 90, user: str | None = None) -> Issued:
        """A token for a client of the principal or, for administrators, of another user, good for so many days.

        Raises:
            NotFound: no such user. Conflict: they are disabled. InputError: name or days are out of bounds.
        """
        check_text("name", name)
        if not name.strip() or len(name) > _MAX_NAME_CHARACTERS or not 1 <= days <= MOST_DAYS:
            raise InputError(
                f"The token is not issued; its name has 1 to {_MAX_NAME_CHARACTERS} characters and it is good for 1 to "
                f"{MOST_DAYS} days; correct them."
            )
        account, grant = await self._grant_client(principal, name, timedelta(days=days), user or principal.user_id)
        return Issued(grant=grant, token=await self._pairs.signed(account, grant, grant.expires_at))

    @allows(Operation.TOKEN_ISSUE)
    @unbroken
    async def issued(
        self, principal: Principal, user: str | None = None, *, limit: int = 20, cursor: Start = None
    ) -> Page[Grant]:
        """What clients of the principal or, for administrators, of another user come in by, issued or allowed by OAuth,
        without the tokens themselves, newest first.

        Raises:
            NotFound: no such user.
        """
        async with self._database.read(acts_for(principal, Operation.TOKEN_ISSUE)) as tx:
            account = await account_of(tx, principal, Operation.TOKEN_ISSUE, user or principal.user_id)
            return await grants.page_of(tx, account.id, limit, cursor)

    @allows(Operation.TOKEN_ISSUE)
    @unbroken
    async def revoke(self, principal: Principal, grant_id: str) -> Grant:
        """End what a token is good by.

        Raises:
            NotFound: there is no such grant that the principal may end.
        """
        async with self._database.write(acts_for(principal, Operation.TOKEN_ISSUE)) as tx:
            at = record.now()
            sentence = "There is no such token; none of yours has this id; see `token list`."
            if not (known := spelt(grant_id)):
                raise NotFound(sentence)
            grant = await grants.get(tx, known)
            if grant is None:
                raise await missing(tx, sentence, f"grant:{known}", lambda: grants.get(tx, known))
            if not may_to(principal, Operation.TOKEN_ISSUE, grant.organisation_id, grant.owner_id):
                raise NotYours(sentence, f"grant:{grant.id}")
            if await grants.revoke(tx, grant.id, at):
                await audit.append(tx, principal, "token_revoked", f"grant:{grant.id}", {"name": grant.name}, at)
                grant = replace(grant, revoked_at=at)
        return grant

    @unbroken
    async def _begin(self, account: Account, address: str) -> Renewal:
        async with self._database.write(account.organisation_id) as tx:
            return await begun(tx, account, await signed_in(tx, account, address, SIGN_IN_LIVES))

    @unbroken
    async def _grant_client(
        self, principal: Principal, name: str, lives: timedelta, user: str
    ) -> tuple[Account, Grant]:
        async with self._database.write(acts_for(principal, Operation.TOKEN_ISSUE)) as tx:
            account = await account_of(tx, principal, Operation.TOKEN_ISSUE, user)
            if account.disabled_at is not None:
                raise Conflict(
                    "The token is not issued; the account is disabled, so it would never be taken; let them in again "
                    "first, with `user enable`."
                )
            at = record.now()
            grant = _grant(account, "client", name, at, lives)
            await grants.insert(tx, grant)
            facts = {"name": name, "user": account.name, "expires_at": grant.expires_at.isoformat()}
            await audit.append(tx, principal, "token_issued", f"grant:{grant.id}", facts, at)
        return account, grant


def shown(grant: Grant) -> dict[str, Any]:
    """What a token is good by, as whoever may see it is told; the token itself is told by `issue` alone, once."""
    return {
        "id": grant.id,
        "kind": grant.kind,
        "name": grant.name,
        "client_id": grant.client_id,
        "owner_id": grant.owner_id,
        "created_at": moment(grant.created_at),
        "expires_at": moment(grant.expires_at),
        "revoked_at": moment(grant.revoked_at),
    }


async def signed_in(tx: Transaction, account: Account, address: str, lives: timedelta) -> Grant:
    """What somebody comes in by whose password has just been found to be theirs.

    Raises:
        Unauthenticated: the account was changed since then.
    """
    # The password was checked before this transaction began, and that takes a while.
    if await accounts.get(tx, account.id) != account:
        raise Unauthenticated("You are not signed in; the account was changed meanwhile; try again.")
    at = record.now()
    grant = _grant(account, "sign_in", None, at, lives)
    await grants.insert(tx, grant)
    await audit.append(tx, account.principal, "signed_in", f"grant:{grant.id}", {"address": address}, at)
    return grant


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

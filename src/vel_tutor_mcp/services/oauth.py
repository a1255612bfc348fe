"""OAuth 2.1: somebody signs in on our page and allows a client to come in as them, which gets tokens for a code."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from vel_tutor_mcp.auth.accounts import Account, Grant
from vel_tutor_mcp.auth.oauth import Asked, is_challenge, is_registered, is_served, proves
from vel_tutor_mcp.errors import OAuthRefused, Unauthenticated
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.access import signed_in
from vel_tutor_mcp.services.credentials import Credentials
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.services.oauth_clients import Clients
from vel_tutor_mcp.services.pairs import Pairs, Renewal, SignedIn, hashed, prolonged
from vel_tutor_mcp.services.refusals import Refusals
from vel_tutor_mcp.store import audit, authorizations, grants
from vel_tutor_mcp.store.authorizations import Authorization
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken
from vel_tutor_mcp.store.isolation import act_for

SESSION_LIVES = timedelta(minutes=10)
CODE_LIVES = timedelta(seconds=60)
_LONGEST_STATE = 2000

Form = Mapping[str, str]


class OAuth:
    """`url` is the server's own: who issues tokens, and what they are good for."""

    def __init__(
        self, database: Database, credentials: Credentials, keyring: Keyring, url: str, clients: Clients
    ) -> None:
        self._database = database
        self._credentials = credentials
        self._keyring = keyring
        self._url = url
        self._clients = clients
        self._pairs = Pairs(database, keyring)
        self._refusals = Refusals(database, credentials.nobody)

    async def note_refusal(self, refusal: OAuthRefused, address: str) -> None:
        """Put on record what was refused to a stranger; what was on record as somebody's already is not twice."""
        if not refusal.recorded:
            await self._refusals.note("oauth_refused", "oauth", str(refusal), address)

    async def register(self, metadata: Any, address: str) -> Mapping[str, Any]:
        """What a new client is told, as RFC 7591 has it.

        Raises:
            OAuthRefused, TooManyTries: see `Clients.register`.
        """
        client = await self._clients.register(metadata, address)
        return {
            "client_id": client.id,
            "client_id_issued_at": int(record.now().timestamp()),
            "client_name": client.name,
            "redirect_uris": list(client.redirect_uris),
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        }

    async def asked(self, query: Form, resources: Sequence[str], address: str) -> Asked:
        """What the client asks of who is in front of the browser.

        Raises:
            OAuthRefused: it is not in order; nobody is sent anywhere then, for the address may be an attacker's.
            TooManyTries: see `Clients.find`.
        """
        client = await self._clients.find(query.get("client_id", ""), address)
        redirect_uri = query.get("redirect_uri", "")
        if not is_registered(redirect_uri, client.redirect_uris):
            raise OAuthRefused(
                "invalid_request",
                "You are not sent back to the client; the address it names is none that it registered; report it to "
                "who makes the client.",
            )
        if query.get("response_type") != "code":
            raise OAuthRefused(
                "unsupported_response_type", "The request is not taken; response_type is code here; correct it."
            )
        challenge, state = query.get("code_challenge", ""), query.get("state")
        if query.get("code_challenge_method") != "S256" or not is_challenge(challenge):
            raise OAuthRefused(
                "invalid_request",
                "The request is not taken; it needs a code_challenge of 43 characters with code_challenge_method S256 "
                "(PKCE); use a client of OAuth 2.1.",
            )
        if len(state or "") > _LONGEST_STATE:
            raise OAuthRefused(
                "invalid_request", f"The request is not taken; state has at most {_LONGEST_STATE} characters."
            )
        self._check_resources(resources)
        return Asked(client=client, redirect_uri=redirect_uri, challenge=challenge, state=state)

    async def sign_in(self, email: str, password: str, address: str) -> str:
        """A browser's session, in which a person may decide, for ten minutes and once.

        Raises:
            Unauthenticated, TooManyTries: see `Credentials.signing_in`.
        """
        account = await self._credentials.signing_in(email, password, address)
        session = secrets.token_urlsafe(32)
        await self._begin(account, session, address)
        return session

    @unbroken
    async def visitor(self, session: str) -> Principal | None:
        """Whose session it is; None where it is not good."""
        async with self._database.read(INSTALLATION) as tx:
            found = await self._visitor(tx, session)
        return found[1] if found else None

    @unbroken
    async def allow(self, session: str, asked: Asked, address: str) -> str:
        """The code for which the client gets tokens, once, within a minute; the session ends.

        Raises:
            Unauthenticated: the session is not good.
        """
        code, client = secrets.token_urlsafe(32), asked.client
        async with self._database.write(INSTALLATION) as tx:
            grant_id, principal = await self._deciding(tx, session)
            at = record.now()
            await authorizations.give_code(
                tx,
                hashed(session),
                code_hash=hashed(code),
                redirect_uri=asked.redirect_uri,
                challenge=asked.challenge,
                expires_at=at + CODE_LIVES,
            )
            await grants.allow(tx, grant_id, client.id, client.name)
            # A new password ends only what has not run out: the grant must live for as long as the code.
            await grants.prolong(tx, grant_id, at + CODE_LIVES)
            await audit.append(tx, principal, "client_allowed", f"grant:{grant_id}", _facts(asked, address), at)
        return code

    @unbroken
    async def deny(self, session: str, asked: Asked, address: str) -> None:
        """End the session; the client gets nothing.

        Raises:
            Unauthenticated: the session is not good.
        """
        async with self._database.write(INSTALLATION) as tx:
            grant_id, principal = await self._deciding(tx, session)
            at = record.now()
            await authorizations.end_session(tx, hashed(session))
            await grants.revoke(tx, grant_id, at)
            await audit.append(tx, principal, "client_denied", f"grant:{grant_id}", _facts(asked, address), at)

    async def redeem(self, form: Form, resources: Sequence[str], address: str) -> SignedIn:
        """The first pair of tokens, for a code. One that comes twice, or with a wrong client, address or verifier, ends
        all that came of it: somebody has a copy.

        Raises:
            OAuthRefused: it is none that is good.
        """
        # Before the code is used up: this is a client's mistake, and no theft.
        self._check_resources(resources)
        return await self._pairs.told(await self._redeemed(form, address))

    async def refresh(self, form: Form, resources: Sequence[str], address: str) -> SignedIn:
        """The next pair of tokens: see `Pairs.renewed`.

        Raises:
            OAuthRefused: the refresh token is none that is good, or of another client.
        """
        self._check_resources(resources)
        token, client_id = _needed(form, "refresh_token"), _needed(form, "client_id")
        try:
            return await self._pairs.renewed(token, address, client_id)
        except Unauthenticated as refusal:
            raise OAuthRefused("invalid_grant", str(refusal), recorded=refusal.recorded) from None

    async def revoke(self, form: Form) -> None:
        """End all that came of the token's sign-in; what is no token of ours is none already (RFC 7009).

        Raises:
            OAuthRefused: the token is of another client.
        """
        token, client_id = _needed(form, "token"), _needed(form, "client_id")
        grant_id = await self._grant_of(token)
        if grant_id is not None:
            await self._end(grant_id, client_id)

    def _check_resources(self, resources: Sequence[str]) -> None:
        if not all(is_served(resource, self._url) for resource in resources):
            raise OAuthRefused(
                "invalid_target",
                "Tokens are not given for this resource; they are good at this server alone; ask for the resource that "
                "its metadata names.",
            )

    async def _visitor(self, tx: Transaction, session: str) -> tuple[str, Principal] | None:
        grant_id = await authorizations.of_session(tx, hashed(session), record.now())
        principal = await grants.bearer(tx, grant_id) if grant_id else None
        return (grant_id, principal) if grant_id and principal else None

    async def _deciding(self, tx: Transaction, session: str) -> tuple[str, Principal]:
        found = await self._visitor(tx, session)
        if found is None:
            raise Unauthenticated("You are not signed in any more; ten minutes are given to decide; sign in again.")
        # A session is found by its hash alone, in the name of the installation: from here on it is known whose it is.
        await act_for(tx, found[1].organisation_id)
        return found

    @unbroken
    async def _begin(self, account: Account, session: str, address: str) -> None:
        async with self._database.write(account.organisation_id) as tx:
            grant = await signed_in(tx, account, address, SESSION_LIVES)
            await authorizations.begin(tx, grant, hashed(session))

    @unbroken
    async def _redeemed(self, form: Form, address: str) -> Renewal:
        code_hash = hashed(_needed(form, "code"))
        async with self._database.write(INSTALLATION) as tx:
            at = record.now()
            found = await authorizations.of_code(tx, code_hash)
            grant = await grants.get(tx, found.grant_id) if found else None
            principal = await grants.bearer(tx, found.grant_id) if found else None
            if found is None or grant is None or principal is None:
                raise _no_code()
            await act_for(tx, principal.organisation_id)
            # Used up before anything is looked at, good or not: nobody tries verifiers on a code.
            first = await authorizations.use_code(tx, code_hash, at)
            fault = _fault(form, found, grant) if first else "it was used before"
            if fault is None:
                # Late is no misuse: nothing is revoked.
                if found.expires_at <= at:
                    raise _no_code()
                await self._clients.note_use(tx, grant.client_id, at)
                await audit.append(tx, principal, "client_connected", f"grant:{grant.id}", {"address": address}, at)
                return await prolonged(tx, grant, at)
            await grants.revoke(tx, grant.id, at)
            facts = {"reason": fault, "address": address}
            await audit.append(tx, principal, "code_misused", f"grant:{grant.id}", facts, at)
        # After the commit: else the revocation would be rolled back.
        raise OAuthRefused(
            "invalid_grant",
            f"The code is not good; {fault}, so somebody may have a copy and the sign-in has ended; sign in again.",
            recorded=True,
        )

    async def _grant_of(self, token: str) -> str | None:
        refresh = await self._refresh_grant(token)
        if refresh is not None:
            return refresh
        try:
            return (await self._keyring.verified(token)).grant_id
        except Unauthenticated:
            return None

    @unbroken
    async def _refresh_grant(self, token: str) -> str | None:
        async with self._database.read(INSTALLATION) as tx:
            found = await grants.find_refresh(tx, hashed(token))
        return found.grant_id if found else None

    @unbroken
    async def _end(self, grant_id: str, client_id: str) -> None:
        async with self._database.write(INSTALLATION) as tx:
            at = record.now()
            grant, principal = await grants.get(tx, grant_id), await grants.bearer(tx, grant_id)
            if grant is not None and grant.client_id != client_id:
                raise OAuthRefused(
                    "invalid_client", "The token is not revoked; it is of another client; name the one that it is of."
                )
            if principal is None:
                return
            await act_for(tx, principal.organisation_id)
            if await grants.revoke(tx, grant_id, at):
                await audit.append(tx, principal, "client_left", f"grant:{grant_id}", {}, at)


def _facts(asked: Asked, address: str) -> dict[str, str]:
    client = asked.client
    return {"client": client.id, "name": client.name, "redirect_uri": asked.redirect_uri, "address": address}


def _needed(form: Form, name: str) -> str:
    if not form.get(name):
        raise OAuthRefused("invalid_request", f"The request is not taken; it needs {name}; send it in the form.")
    return form[name]


def _fault(form: Form, code: Authorization, grant: Grant) -> str | None:
    """What tells that who brings the code is not whom it was given to; None for nothing."""
    if form.get("client_id") != grant.client_id:
        return "it is of another client"
    # OAuth 2.1 has left it out of this request; clients of 2.0 send it, and then it must be the same.
    if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        return "it was sent to another address"
    return None if proves(form.get("code_verifier", ""), code.challenge or "") else "the code_verifier is not its own"


def _no_code() -> OAuthRefused:
    return OAuthRefused(
        "invalid_grant", "The code is not good; it has expired, was revoked or is none of ours; sign in again."
    )

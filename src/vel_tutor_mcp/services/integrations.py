"""Integrations: owners store keys of providers, sealed; each is tested before it is used, and none is returned."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from pydantic import SecretStr

from vel_tutor_mcp.auth.roles import Operation, may_to
from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Conflict, InputError, NotFound, NotYours
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.providers.outbound import Carrier, Outbound
from vel_tutor_mcp.providers.visit import Visit, prove
from vel_tutor_mcp.routing.lines import name_of
from vel_tutor_mcp.routing.reasons import OWN_KEY
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.inputs import is_text
from vel_tutor_mcp.services.lookup import missing, spelt
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.services.resealing import Rotation, reseal_all
from vel_tutor_mcp.store import audit, integrations
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.integrations import PURPOSE, TASK_MASTER, Integration, Status

TEST_SECONDS = 10.0
LONGEST_KEY = 500

_NOWHERE = "There is no such integration; no key of yours is stored for this provider; store one first."
_SHOWN_END, _LEAST_TO_SHOW = 4, 16
_MARK = 16


class Integrations:
    """`base_urls` are where this installation reaches each provider; `outbound` bounds where owners' own may lead."""

    def __init__(
        self, database: Database, secret_keys: SecretKeys, base_urls: Mapping[str, str], outbound: Outbound
    ) -> None:
        self._database = database
        self._secret_keys = secret_keys
        self._base_urls = base_urls
        self._outbound = outbound

    @allows(Operation.INTEGRATION_WRITE)
    async def put(
        self, principal: Principal, provider: str, key: SecretStr | None, base_url: str | None = None
    ) -> Integration:
        """Store the principal's key, in the place of an earlier one; it is used once `test` has found it good.

        A server of one's own, at `base_url`, may take no key.

        Raises:
            InputError: there is no such provider, or the key or the URL is none. Forbidden: the URL's address
                is none that this server calls for its users. ConfigurationError: the secret key cannot be used.
        """
        self._check(provider, base_url)
        text = _key(key, needed=base_url is None)
        at = record.now()
        made = replace(integrations.new(principal, provider, at), base_url=base_url)
        if text is not None:
            context = made.context
            sealed = await in_thread(lambda: self._secret_keys.seal(text.encode(), PURPOSE, context))
            made = replace(made, sealed_key=sealed, ends=_ends(text))
        return await self._put(principal, made)

    @allows(Operation.INTEGRATION_WRITE)
    async def test(self, principal: Principal, provider: str) -> Integration:
        """Ask the provider whether it takes the key, which costs nothing; from then on it is active, or in error.

        Raises:
            NotFound: there is no such integration of theirs. InputError: there is nobody to ask.
            Conflict: it was changed meanwhile. ConfigurationError: the key cannot be opened.
        """
        seen = await self.get(principal, provider)
        # It may have gone from the catalog since the key was stored.
        self._check(provider, None)
        if provider == TASK_MASTER:
            raise InputError(
                "The key of taskmaster cannot be tested; Task Master is a program and no vendor that could be asked; "
                "it stays pending until Task Master uses it."
            )
        key = await self.opened(seen)
        error = refusal(provider, await prove(self.base_url_of(seen), key, TEST_SECONDS, self.carrier_to(seen)))
        at = record.now()
        status = Status.ERROR if error else Status.ACTIVE
        return await self._judge(
            principal, seen, replace(seen, status=status, error=error, tested_at=at, updated_at=at)
        )

    @allows(Operation.INTEGRATION_READ)
    @unbroken
    async def get(self, principal: Principal, provider: str) -> Integration:
        """The principal's integration of this provider.

        Raises:
            NotFound: there is none.
        """
        async with self._database.read(principal.organisation_id) as tx:
            return await _of(tx, principal.user_id, provider)

    @allows(Operation.INTEGRATION_READ)
    @unbroken
    async def list(self, principal: Principal, *, limit: int = 20, cursor: Start = None) -> Page[Integration]:
        """The principal's, newest first; administrators have all of their organisation, those of others without the
        key's end.
        """
        async with self._database.read(principal.organisation_id) as tx:
            page = await integrations.page(tx, principal, limit, cursor)
        rows = (row if row.owner_id == principal.user_id else replace(row, ends="") for row in page.rows)
        return replace(page, rows=tuple(rows))

    @allows(Operation.INTEGRATION_WRITE)
    @unbroken
    async def delete(self, principal: Principal, provider: str, owner_id: str | None = None) -> Integration:
        """Forget the key, of one's own or, for administrators, of another owner in their organisation.

        Raises:
            NotFound: there is no such integration that they may delete.
        """
        owner = principal.user_id if owner_id is None else spelt(owner_id)
        async with self._database.write(principal.organisation_id) as tx:
            found = await _of(tx, owner, provider)
            if not may_to(principal, Operation.INTEGRATION_WRITE, found.organisation_id, found.owner_id):
                raise NotYours(_NOWHERE, f"user:{found.owner_id}")
            await integrations.remove(tx, found)
            await _audit(tx, principal, "integration_deleted", found)
        return found

    @allows(Operation.INTEGRATION_ROTATE)
    async def rotate(self, principal: Principal) -> Rotation:
        """Seal every key anew that was not sealed by the first secret key, and every secret of a webhook; may be
        stopped and repeated at any point.

        Raises:
            Forbidden: their role is not that of an administrator of the installation.
        """
        return await reseal_all(self._database, self._secret_keys, principal)

    async def opened(self, integration: Integration) -> str | None:
        """Its key; None where it has none.

        Raises:
            ConfigurationError: it cannot be opened.
        """
        if not integration.sealed:
            return None
        (sealed,) = integration.sealed
        return (await in_thread(lambda: self._secret_keys.opened(sealed))).decode()

    def base_url_of(self, integration: Integration) -> str:
        """Where its key is sent."""
        return integration.base_url or self._base_urls[integration.provider]

    def carrier_to(self, integration: Integration) -> Carrier | None:
        """What carries calls to an owner's own URL; None where it is the installation's."""
        url = integration.base_url
        return None if url is None else partial(self._outbound.transport, url)

    def _check(self, provider: str, base_url: str | None) -> None:
        known = [*self._base_urls, TASK_MASTER]
        if provider not in known:
            raise InputError(f"There is no such provider; keys are kept for {', '.join(sorted(known))}; name one.")
        if base_url is None:
            return
        if set(base_url) & {"?", "#"}:
            raise InputError("The base URL has a ? or #; paths are put after it; write it like https://host/v1.")
        self._outbound.check(base_url)

    @unbroken
    async def _put(self, principal: Principal, made: Integration) -> Integration:
        async with self._database.write(principal.organisation_id) as tx:
            earlier = await integrations.find(tx, principal.user_id, made.provider)
            if earlier is None:
                await integrations.add(tx, made)
            else:
                # What it is sealed for is its owner and provider: it opens under this id too.
                made = replace(made, id=earlier.id, created_at=earlier.created_at)
                await integrations.change(tx, made, earlier)
            await _audit(tx, principal, "integration_set", made)
        return made

    @unbroken
    async def _judge(self, principal: Principal, seen: Integration, judged: Integration) -> Integration:
        async with self._database.write(principal.organisation_id) as tx:
            if not await integrations.change(tx, judged, seen):
                raise Conflict("The integration was changed while it was tested; look at it again, and test it anew.")
            await _audit(tx, principal, "integration_tested", judged)
        return judged


def shown(integration: Integration) -> dict[str, Any]:
    """What anybody who may see it is told."""
    return {
        "provider": integration.provider,
        "status": integration.status.value,
        "owner_id": integration.owner_id,
        "base_url": integration.base_url,
        "key_ends": integration.ends,
        "tested_at": moment(integration.tested_at),
        "error": integration.error,
        "created_at": moment(integration.created_at),
        "updated_at": moment(integration.updated_at),
    }


def refusal(provider: str, seen: Visit) -> str | None:
    """Why a key is not taken for good, by what the provider answered; None where it is. (Pure.)"""
    if seen.problem:
        return f"{provider} cannot be reached: {seen.problem}; check the base URL and the network, and test it again."
    match seen.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return f"{provider} refuses the key ({seen.status}); store another one, and test that."
        case HTTPStatus.PAYMENT_REQUIRED:
            return f"{provider} takes no calls with this key (402); add credit to its account, and test it again."
        case HTTPStatus.OK if seen.models is not None or seen.asked_to_chat:
            return None
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNPROCESSABLE_ENTITY if seen.asked_to_chat:
            return None
    return f"{provider} answered {seen.status} to the test; check the base URL, and test it again later."


def line_of(integration: Integration) -> str:
    """The name of its line: another one for each key and address."""
    parts = (integration.id, integration.base_url or "", (integration.sealed_key or b"").hex())
    return name_of(integration.provider, sha256("\n".join(parts).encode()).hexdigest()[:_MARK])


def obstacle_of(integration: Integration) -> str:
    """Why one that is not active is not used, as a part of a sentence."""
    return f"{OWN_KEY} ({integration.status}): test it, or delete it to use this server's own"


async def refuse(tx: Transaction, principal: Principal, provider: str, line: str, status: int) -> None:
    """The provider has refused the principal's key in use: it is not used again before a test finds it good."""
    seen = await integrations.find(tx, principal.user_id, provider)
    # Another key was stored, or tested, since the call began: of that one nothing was said.
    if seen is None or seen.status is not Status.ACTIVE or line_of(seen) != line:
        return
    why = f"{provider} refused the key in use ({status}); look at its account there, or store another key, and test it."
    judged = replace(seen, status=Status.ERROR, error=why, updated_at=record.now())
    if await integrations.change(tx, judged, seen):
        await _audit(tx, principal, "integration_refused", judged)


async def _of(tx: Transaction, owner_id: str, provider: str) -> Integration:
    if not owner_id or not is_text(provider):
        raise NotFound(_NOWHERE)
    found = await integrations.find(tx, owner_id, provider)
    if found is None:
        raise await missing(tx, _NOWHERE, f"user:{owner_id}", lambda: integrations.find(tx, owner_id, provider))
    return found


def _key(key: SecretStr | None, *, needed: bool) -> str | None:
    text = key.get_secret_value().strip() if key is not None else ""
    if not text and needed:
        raise InputError("The key is missing; only a server at a base URL of its own may take none; send the key.")
    # It is sent in a header.
    if len(text) > LONGEST_KEY or not (text.isascii() and text.isprintable()) or " " in text:
        raise InputError(f"The key is none; it has at most {LONGEST_KEY} letters, digits and signs; copy it anew.")
    return text or None


def _ends(key: str) -> str:
    return key[-_SHOWN_END:] if len(key) >= _LEAST_TO_SHOW else ""


async def _audit(tx: Transaction, principal: Principal, action: str, integration: Integration) -> None:
    facts = {"provider": integration.provider, "status": integration.status.value, "owner_id": integration.owner_id}
    await audit.append(tx, principal, action, f"integration:{integration.id}", facts, record.now())

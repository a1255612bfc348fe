"""Webhooks from the outside: made, changed, tried out, and what was sent to them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.inputs import check_text
from vel_tutor_mcp.services.lookup import spelt, webhook_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.services.webhooks import secret
from vel_tutor_mcp.services.webhooks.outbox import NEEDS, Event, body_of
from vel_tutor_mcp.services.webhooks.sending import Sender
from vel_tutor_mcp.services.webhooks.signing import new_secret
from vel_tutor_mcp.store import audit, webhook_deliveries, webhooks
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.webhook_deliveries import MOST_TRIES, Delivery, State
from vel_tutor_mcp.store.webhook_tables import LONGEST_DESCRIPTION
from vel_tutor_mcp.store.webhooks import Webhook

MOST_OF_AN_OWNER = 20
# So long the secret before a new one signs as well, for receivers to take the new one over.
_BOTH_SIGN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change; None leaves it as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    active: bool | None = None


class Webhooks:
    """What the product does with webhooks, for every door.

    Attributes:
        sender: sends to them; its loop is for a process that stays.
    """

    def __init__(self, database: Database, secret_keys: SecretKeys, outbound: Outbound) -> None:
        self._database = database
        self._secret_keys = secret_keys
        self._outbound = outbound
        self.sender = Sender(database, secret_keys, outbound)

    @allows(Operation.WEBHOOK_WRITE)
    async def create(
        self, principal: Principal, url: str, events: Sequence[str], description: str = ""
    ) -> tuple[Webhook, str]:
        """Have the URL told of these events; with the secret that signs what is sent, which is told this once.

        Raises:
            InputError: the URL, the events or the description are none. Conflict: the owner has too many.
            Forbidden: the URL's address is none that this server calls for its users.
            ConfigurationError: the secret key cannot be used.
        """
        asked = self._checked(Change(url, events, description))
        at, webhook_id, made = record.now(), str(uuid4()), new_secret()
        sealed = await in_thread(lambda: secret.sealed(self._secret_keys, principal.user_id, webhook_id, made))
        webhook = Webhook(
            id=webhook_id,
            organisation_id=principal.organisation_id,
            owner_id=principal.user_id,
            url=url,
            description=description,
            events=tuple(asked["events"]),
            sealed_secret=sealed,
            created_at=at,
            updated_at=at,
        )
        await self._add(principal, webhook)
        return webhook, made

    @allows(Operation.WEBHOOK_READ)
    @unbroken
    async def get(self, principal: Principal, webhook_id: str) -> Webhook:
        """Raises:
        NotFound: there is none that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            return await webhook_of(tx, principal, webhook_id)

    @allows(Operation.WEBHOOK_READ)
    @unbroken
    async def list(self, principal: Principal, *, limit: int = 20, cursor: Start = None) -> Page[Webhook]:
        """The principal's, newest first; administrators have all of their organisation."""
        async with self._database.read(principal.organisation_id) as tx:
            return await webhooks.page(tx, principal, limit, cursor)

    @allows(Operation.WEBHOOK_WRITE)
    @unbroken
    async def update(self, principal: Principal, webhook_id: str, change: Change) -> Webhook:
        """Change it. Switched off, it is told nothing, and what waits is given up; switched on, it begins anew.

        Raises:
            NotFound: there is none that the principal may change. InputError, Forbidden: see `create`.
        """
        asked = self._checked(change)
        async with self._database.write(principal.organisation_id) as tx:
            seen = await webhook_of(tx, principal, webhook_id)
            changed = replace(seen, **asked, updated_at=record.now())
            if change.active is not None:
                changed = replace(changed, off_because=None, failures=0, failing_since=None)
            await webhooks.change(tx, changed)
            if not changed.active:
                await webhook_deliveries.give_up(tx, webhook_id=seen.id)
            await _audit(tx, principal, "webhook_changed", changed, fields=sorted(asked))
        return changed

    @allows(Operation.WEBHOOK_WRITE)
    @unbroken
    async def delete(self, principal: Principal, webhook_id: str) -> Webhook:
        """Forget it and what was sent to it.

        Raises:
            NotFound: there is none that the principal may delete.
        """
        async with self._database.write(principal.organisation_id) as tx:
            found = await webhook_of(tx, principal, webhook_id)
            await webhooks.remove(tx, found.id)
            await _audit(tx, principal, "webhook_deleted", found)
        return found

    @allows(Operation.WEBHOOK_WRITE)
    async def renew_secret(self, principal: Principal, webhook_id: str) -> tuple[Webhook, str]:
        """A new secret, which is told this once; for a day the one before it signs as well.

        Raises:
            NotFound: there is none that the principal may change. ConfigurationError: the secret key cannot be used.
        """
        found, made = await self.get(principal, webhook_id), new_secret()
        sealed = await in_thread(lambda: secret.sealed(self._secret_keys, found.owner_id, found.id, made))
        return await self._renew(principal, found.id, sealed), made

    @allows(Operation.WEBHOOK_WRITE)
    async def test(self, principal: Principal, webhook_id: str) -> Delivery:
        """Send it one event of the kind webhook.test, now and once; it may be switched off.

        Raises:
            NotFound: there is none that the principal may test. Conflict: it was removed, switched off or changed
                before its receiver had answered.
        """
        tested = await self.sender.deliver(*await self._begin_test(principal, webhook_id))
        if not tested.attempts:
            raise Conflict(
                "What came of the test is not known; its webhook was removed, switched off or changed meanwhile; test "
                "it again if it is still there."
            )
        return tested

    @allows(Operation.WEBHOOK_READ)
    @unbroken
    async def deliveries(
        self, principal: Principal, webhook_id: str, *, limit: int = 20, cursor: Start = None
    ) -> Page[Delivery]:
        """What was sent to it and is to be sent, newest first.

        Raises:
            NotFound: there is none that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            found = await webhook_of(tx, principal, webhook_id)
            return await webhook_deliveries.page(tx, found.id, limit, cursor)

    @allows(Operation.WEBHOOK_WRITE)
    @unbroken
    async def resend(self, principal: Principal, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery again, with the same id and body, as often as a new one.

        Raises:
            NotFound: there is no such delivery that the principal may send. Conflict: it waits still, or its webhook
                is switched off.
        """
        async with self._database.write(principal.organisation_id) as tx:
            webhook = await webhook_of(tx, principal, webhook_id)
            found = await webhook_deliveries.find(tx, webhook.id, spelt(delivery_id)) if spelt(delivery_id) else None
            if found is None:
                raise NotFound("There is no such delivery; this webhook has none of this id; look at its deliveries.")
            if found.state is State.WAITING:
                raise Conflict("The delivery is not sent again; it still waits to be sent; look at it a little later.")
            if not webhook.active:
                raise Conflict("The delivery is not sent again; its webhook is switched off; switch it on first.")
            waiting = replace(found, state=State.WAITING, tries_left=MOST_TRIES, next_at=record.now())
            await webhook_deliveries.put(tx, waiting)
            await _audit(tx, principal, "webhook_resent", webhook, delivery=found.id)
        self.sender.cue(webhook.id)
        return waiting

    def _checked(self, change: Change) -> dict[str, Any]:
        """What changes, by the names of a `Webhook`."""
        asked = {name: value for name in Change.__slots__ if (value := getattr(change, name)) is not None}
        if "url" in asked:
            _check_url(asked["url"])
            self._outbound.check(asked["url"])
        if "events" in asked:
            asked["events"] = _checked_events(asked["events"])
        if "description" in asked:
            _check_description(asked["description"])
        return asked

    @unbroken
    async def _add(self, principal: Principal, webhook: Webhook) -> None:
        async with self._database.write(principal.organisation_id) as tx:
            if await webhooks.count_of(tx, principal.user_id) >= MOST_OF_AN_OWNER:
                raise Conflict(
                    f"You have too many webhooks; an owner has at most {MOST_OF_AN_OWNER}; delete one, or have one "
                    "told of more events."
                )
            await webhooks.add(tx, webhook)
            await _audit(tx, principal, "webhook_created", webhook, events=list(webhook.events))

    @unbroken
    async def _renew(self, principal: Principal, webhook_id: str, sealed: bytes) -> Webhook:
        async with self._database.write(principal.organisation_id) as tx:
            # Read again: of two renewals at once the later one must find the secret of the other.
            seen, at = await webhook_of(tx, principal, webhook_id), record.now()
            before, until = seen.sealed_secret, at + _BOTH_SIGN
            changed = replace(seen, sealed_secret=sealed, sealed_before=before, before_until=until, updated_at=at)
            await webhooks.change(tx, changed)
            await _audit(tx, principal, "webhook_secret_renewed", changed)
        return changed

    @unbroken
    async def _begin_test(self, principal: Principal, webhook_id: str) -> tuple[Webhook, Delivery]:
        async with self._database.write(principal.organisation_id) as tx:
            webhook, at = await webhook_of(tx, principal, webhook_id), record.now()
            body = body_of(Event.WEBHOOK_TEST, {"webhook": webhook.id, "by": principal.name}, at)
            owner = replace(principal, user_id=webhook.owner_id)
            made = webhook_deliveries.new(owner, webhook.id, Event.WEBHOOK_TEST, body, at)
            # Claimed from the first: the loop must not send it too.
            claimed = replace(made, tries_left=1, next_at=at + self.sender.lease)
            await webhook_deliveries.add(tx, [claimed])
            await _audit(tx, principal, "webhook_tested", webhook, delivery=made.id)
        return webhook, claimed


def shown(webhook: Webhook) -> dict[str, Any]:
    """What anybody who may see it is told."""
    last = {"at": moment(webhook.last_at), "status": webhook.last_status, "ok": webhook.last_ok}
    return {
        "id": webhook.id,
        "owner_id": webhook.owner_id,
        "url": webhook.url,
        "events": list(webhook.events),
        "description": webhook.description,
        "active": webhook.active,
        "off_because": webhook.off_because,
        "created_at": moment(webhook.created_at),
        "updated_at": moment(webhook.updated_at),
        "last_delivery": last if webhook.last_at else None,
    }


def shown_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event": delivery.event,
        "created_at": moment(delivery.created_at),
        "state": delivery.state.value,
        "attempts": list(delivery.attempts),
        "next_at": moment(delivery.next_at),
    }


def _check_url(url: str) -> None:
    check_text("URL", url)
    if "#" in url:
        raise InputError("The URL has a #; nothing behind it is sent to a server; leave it and what follows out.")


def _checked_events(events: Sequence[str]) -> tuple[str, ...]:
    """Each once, in the order in which they are documented."""
    if not events or not set(events) <= set(NEEDS):
        raise InputError(f"The events are none that a webhook can be told of; there are {', '.join(NEEDS)}; name some.")
    return tuple(event.value for event in NEEDS if event in events)


def _check_description(description: str) -> None:
    check_text("description", description)
    if len(description) > LONGEST_DESCRIPTION:
        raise InputError(f"The description is too long; it has at most {LONGEST_DESCRIPTION} characters; shorten it.")


async def _audit(tx: Transaction, principal: Principal, action: str, webhook: Webhook, **facts: Any) -> None:
    told = {"owner_id": webhook.owner_id, "active": webhook.active} | facts
    await audit.append(tx, principal, action, f"webhook:{webhook.id}", told, record.now())

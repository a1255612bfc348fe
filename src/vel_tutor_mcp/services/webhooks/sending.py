"""The loop that sends what stands in the outbox. Of all processes one sends a delivery: the one that has claimed it.

Who dies between sending and noting how it went leaves it due again a little later: a receiver may then hear it twice,
with the same id.
"""

import asyncio
import logging
import secrets
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError, VelError
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.persist import persisted
from vel_tutor_mcp.services.webhooks import course, secret
from vel_tutor_mcp.services.webhooks.course import Pace
from vel_tutor_mcp.services.webhooks.posting import Outcome, post
from vel_tutor_mcp.services.webhooks.signing import signed_headers
from vel_tutor_mcp.store import audit, people, webhook_deliveries, webhooks
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken
from vel_tutor_mcp.store.webhook_deliveries import Delivery
from vel_tutor_mcp.store.webhooks import Webhook
from vel_tutor_mcp.tracing import spans

_EVERY_SECONDS = 1.0
_AT_MOST_EVERY_SECONDS = 0.25
# All webhooks of one owner together have less than there is: nobody's slow receivers hold up others'.
_MOST_OF_A_WEBHOOK, _MOST_AT_ONCE = 4, 100
# A delivery may be noted this much later than its attempt is over before another process takes it.
_SPARE_SECONDS = 5.0
_FINENESS = 1000

_log = logging.getLogger(__name__)


class Sender:
    """`outbound` bounds where users' URLs may lead."""

    def __init__(
        self, database: Database, secret_keys: SecretKeys, outbound: Outbound, pace: Pace = course.USUAL
    ) -> None:
        self._database = database
        self._secret_keys = secret_keys
        self._outbound = outbound
        self._pace = pace
        self._busy: Counter[str] = Counter()
        self._wake = asyncio.Event()

    @property
    def lease(self) -> timedelta:
        """For how long a delivery is whose that claims it."""
        return timedelta(seconds=self._pace.timeout_seconds + _SPARE_SECONDS)

    def cue(self, _subject_id: str) -> None:
        """Look soon: something has changed, which may stand in the outbox."""
        self._wake.set()

    async def loop(self) -> None:
        """Send until cancelled; a fault is logged, and what met it is tried again."""
        async with asyncio.TaskGroup() as group:
            while True:
                for webhook, delivery in await self._due():
                    self._busy[webhook.id] += 1
                    group.create_task(self._send(webhook, delivery))
                await asyncio.sleep(_AT_MOST_EVERY_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY_SECONDS - _AT_MOST_EVERY_SECONDS):
                        await self._wake.wait()
                self._wake.clear()

    async def deliver(self, webhook: Webhook, delivery: Delivery) -> Delivery:
        """Try it once, now, and note how it went; the caller has claimed it."""
        named = {"http.request.method": "POST", "vel_tutor.webhook.id": webhook.id}
        with spans.span("deliver webhook", "client", named | {"vel_tutor.delivery.id": delivery.id}) as span:
            outcome = await self._tried(webhook, delivery)
            span.tell({"http.response.status_code": outcome.status})
            if outcome.error is not None:
                span.fail(str(outcome.status or "no_answer"))
        return await persisted(lambda: self._note(delivery, outcome))

    async def _due(self) -> list[tuple[Webhook, Delivery]]:
        """What is due, claimed for us; nothing while the database cannot tell."""
        try:
            # A look first, which takes no writer's lock.
            return await self._claim() if await self._is_any_due() else []
        except VelError as problem:
            _log.debug("The outbox cannot be read now; %s", problem)
        except Exception:  # noqa: BLE001 - a fault of one look must not end the sending
            _log.exception("The look into the outbox met a fault and goes on.")
        return []

    async def _send(self, webhook: Webhook, delivery: Delivery) -> None:
        try:
            await self.deliver(webhook, delivery)
        except Exception:  # noqa: BLE001 - a fault of one delivery must not end the others
            _log.exception("Delivery %s met a fault and is tried again.", delivery.id)
        finally:
            self._busy[webhook.id] -= 1
            self._wake.set()

    async def _tried(self, webhook: Webhook, delivery: Delivery) -> Outcome:
        at, body = record.now(), delivery.body.encode()
        try:
            signing = await in_thread(lambda: secret.opened(self._secret_keys, webhook, at))
        except ConfigurationError:
            return Outcome(error="its secret cannot be opened: see `vel-tutor-mcp doctor`, or give it a new one")
        headers = signed_headers(signing, delivery.id, int(at.timestamp()), body)
        return await post(self._outbound, webhook.url, headers, body, self._pace.timeout_seconds)

    @property
    def _full(self) -> list[str]:
        return [webhook_id for webhook_id, busy in self._busy.items() if busy >= _MOST_OF_A_WEBHOOK]

    @unbroken
    async def _is_any_due(self) -> bool:
        # The plus drops those that have nothing under way.
        self._busy = +self._busy
        if self._busy.total() >= _MOST_AT_ONCE:
            return False
        async with self._database.read(INSTALLATION) as tx:
            return await webhook_deliveries.due(tx, record.now(), self._full)

    @unbroken
    async def _claim(self) -> list[tuple[Webhook, Delivery]]:
        claimed: list[tuple[Webhook, Delivery]] = []
        room = _MOST_AT_ONCE - self._busy.total()
        async with self._database.write(INSTALLATION) as tx:
            at = record.now()
            for webhook in await webhooks.due(tx, at, self._full, room):
                most = min(_MOST_OF_A_WEBHOOK - self._busy[webhook.id], room - len(claimed))
                found = await webhook_deliveries.claim(tx, webhook.id, at, at + self.lease, most) if most else []
                claimed += [(webhook, delivery) for delivery in found]
        return claimed

    @unbroken
    async def _note(self, delivery: Delivery, outcome: Outcome) -> Delivery:
        """The delivery as it is now; as it was where another process has it, or it is gone."""
        async with self._database.write(delivery.organisation_id) as tx:
            at, seen = record.now(), await webhooks.get(tx, delivery.webhook_id)
            noted = course.after(delivery, outcome, at, self._pace, secrets.randbelow(_FINENESS) / _FINENESS)
            if seen is None or not await webhook_deliveries.note(tx, delivery, noted):
                return delivery
            stands = course.standing(seen, noted, outcome, at)
            await webhooks.change(tx, stands)
            if seen.active and not stands.active:
                await _switched_off(tx, stands)
        return noted


async def _switched_off(tx: Transaction, webhook: Webhook) -> None:
    await webhook_deliveries.give_up(tx, webhook_id=webhook.id)
    owner = await people.principal(tx, webhook.owner_id)
    facts = {"why": webhook.off_because, "owner_id": webhook.owner_id}
    await audit.append(tx, owner, "webhook_switched_off", f"webhook:{webhook.id}", facts, record.now())

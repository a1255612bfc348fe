"""What becomes of a delivery and its webhook after an attempt. (Pure.)"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.services.webhooks.posting import Outcome
from vel_tutor_mcp.store.webhook_deliveries import MOST_TRIES, Delivery, State
from vel_tutor_mcp.store.webhooks import Webhook

# Before the second and the third attempt; each is made longer by chance, up to half.
_PAUSES = (5.0, 30.0)
_LONGEST_PAUSE = 300.0
_MOST_ATTEMPTS_KEPT = 20
# A webhook is switched off after so many failed deliveries in a row that began so long ago: a receiver may be away.
_MOST_FAILURES = 20
_MAY_FAIL_FOR = timedelta(hours=1)

_GONE = "Its receiver answered 410: it wants nothing any more."
_FAILING = f"Its last {_MOST_FAILURES} deliveries and more failed, for over an hour."


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes: tests take shorter times."""

    pauses: tuple[float, float] = _PAUSES
    timeout_seconds: float = 10.0


USUAL = Pace()


def after(delivery: Delivery, outcome: Outcome, at: datetime, pace: Pace, chance: float) -> Delivery:
    """The delivery after this attempt, which ended now; `chance` is from 0 to 1."""
    attempt = {"at": moment(at), "status": outcome.status, "error": outcome.error, "ms": outcome.ms}
    attempts = (*delivery.attempts, attempt)[-_MOST_ATTEMPTS_KEPT:]
    left = delivery.tries_left - 1
    if outcome.error is None:
        return replace(delivery, attempts=attempts, state=State.DELIVERED, tries_left=left, next_at=None)
    if left <= 0 or outcome.status == HTTPStatus.GONE:
        return replace(delivery, attempts=attempts, state=State.FAILED, tries_left=0, next_at=None)
    pause = pace.pauses[min(MOST_TRIES - 1 - left, len(pace.pauses) - 1)] * (1 + chance / 2)
    pause = max(pause, min(outcome.retry_after or 0, _LONGEST_PAUSE))
    return replace(delivery, attempts=attempts, tries_left=left, next_at=at + timedelta(seconds=pause))


def standing(webhook: Webhook, noted: Delivery, outcome: Outcome, at: datetime) -> Webhook:
    """The webhook after an attempt that left the delivery so; whoever tests it may fail as often as they like."""
    ok = outcome.error is None
    seen = replace(webhook, last_at=at, last_status=outcome.status, last_ok=ok)
    if ok:
        return replace(seen, failures=0, failing_since=None)
    if noted.state is not State.FAILED or noted.event == Event.WEBHOOK_TEST:
        return seen
    since = seen.failing_since or at
    seen = replace(seen, failures=seen.failures + 1, failing_since=since)
    if not seen.active:
        return seen
    if outcome.status == HTTPStatus.GONE:
        return replace(seen, active=False, off_because=_GONE)
    if seen.failures >= _MOST_FAILURES and at - since >= _MAY_FAIL_FOR:
        return replace(seen, active=False, off_because=_FAILING)
    return seen

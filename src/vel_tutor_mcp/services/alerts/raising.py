"""Alerts are raised and closed in the writer's transaction of what they are about, on record and told to webhooks."""

import logging
from datetime import datetime
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.alerts.kinds import Wrong
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.services.webhooks import outbox
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.store import alerts, audit
from vel_tutor_mcp.store.alerts import Alert
from vel_tutor_mcp.store.database import Transaction

_log = logging.getLogger(__name__)


async def report(tx: Transaction, who: Principal, owner_id: str | None, wrong: Wrong, now: datetime) -> None:
    """Raise an alert in the principal's organisation, or bring the one up to date that is open.

    `owner_id` is whose the subject is; None where it is the organisation's.
    """
    kind, subject = wrong.key
    values = {"message": wrong.message, "value": wrong.value, "threshold": wrong.threshold}
    there = await alerts.find_open(tx, who.organisation_id, kind, subject)
    if there is not None:
        await alerts.update(tx, there.id, updated_at=now, wrong_at=now, **values)
        return
    alert = Alert(
        id=str(uuid4()),
        organisation_id=who.organisation_id,
        owner_id=owner_id,
        kind=kind.value,
        subject=subject,
        severity=wrong.severity,
        about=wrong.about,
        message=wrong.message,
        value=wrong.value,
        threshold=wrong.threshold,
        opened_at=now,
        updated_at=now,
        wrong_at=now,
    )
    await alerts.insert(tx, alert)
    await audit.append(tx, who, "alert_raised", f"alert:{alert.id}", _facts(alert), now)
    await outbox.tell(tx, who.organisation_id, owner_id, Event.ALERT_RAISED, shown(alert))
    _log.warning("Alert (%s): %s", alert.severity, alert.message)


async def close(tx: Transaction, who: Principal, alert: Alert, cause: str, now: datetime) -> None:
    """Close it, where it is open; `cause` says in a word why."""
    if await alerts.update(tx, alert.id, closed_at=now, updated_at=now):
        facts = {"kind": alert.kind, "about": alert.about, "cause": cause}
        await audit.append(tx, who, "alert_closed", f"alert:{alert.id}", facts, now)
        _log.warning("Alert closed (%s): %s %s", cause, alert.kind, alert.about)


def shown(alert: Alert) -> dict[str, Any]:
    """The alert as its readers see it. (Pure.)"""
    return {
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "subject": alert.about,
        "message": alert.message,
        "value": alert.value,
        "threshold": alert.threshold,
        "opened_at": moment(alert.opened_at),
        "updated_at": moment(alert.updated_at),
        "closed_at": moment(alert.closed_at),
        "acknowledged_at": moment(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by,
    }


def _facts(alert: Alert) -> dict[str, Any]:
    numbers = {"value": round(alert.value, 4), "threshold": round(alert.threshold, 4)}
    return {"kind": alert.kind, "about": alert.about, "severity": alert.severity} | numbers

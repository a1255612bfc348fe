"""What views show beside tasks: a webhook with its deliveries, alerts, and a run that waits for somebody's decision."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.alert_tables import alerts
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.webhook_tables import webhook_deliveries, webhooks
from vel_tutor_mcp.workflows.model import RunRequest

DELIVERIES, OPEN_ALERTS, CLOSED_ALERTS = 10_000, 20, 1_000
_WORKFLOW = {
    "steps": [
        {"id": "ask", "kind": "approval", "prompt": "Go on?"},
        {"id": "write", "kind": "task", "prompt": "Write it.", "needs": ["ask"]},
    ]
}
_AT_ONCE = 500

Row = dict[str, Any]


async def fill(settings: Settings) -> dict[str, str]:
    """The ids of the run and the webhook."""
    async with open_app(settings) as app:
        me = app.local_principal
        await app.workflows.save(me, "ask", _WORKFLOW)
        run = await app.runs.start(me, RunRequest(workflow="ask", inputs={}))
    webhook = str(uuid4())
    tables = {webhooks: [_webhook(webhook, me)], webhook_deliveries: _deliveries(webhook, me), alerts: _alerts(me)}
    database = database_of(settings)
    try:
        async with database.write(me.organisation_id) as tx:
            for table, rows in tables.items():
                made = list(rows)
                for first in range(0, len(made), _AT_ONCE):
                    await tx.execute(table.insert(), made[first : first + _AT_ONCE])
    finally:
        await database.close()
    return {"run": run.id, "webhook": webhook}


def _owned(me: Principal) -> Row:
    return {"organisation_id": me.organisation_id, "owner_id": me.user_id}


def _webhook(webhook: str, me: Principal) -> Row:
    now = record.now()
    told = {"url": "https://example.org/", "description": "", "events": ["run.completed"], "active": True}
    return (
        _owned(me) | told | {"id": webhook, "sealed_secret": b"", "failures": 0, "created_at": now, "updated_at": now}
    )


def _deliveries(webhook: str, me: Principal) -> Iterator[Row]:
    told = {"webhook_id": webhook, "event": "run.completed", "body": "{}", "state": "delivered", "tries_left": 2}
    for number in range(DELIVERIES):
        at = {"created_at": record.now() - timedelta(minutes=number)}
        yield _owned(me) | told | at | {"id": str(uuid4()), "attempts": []}


def _alerts(me: Principal) -> Iterator[Row]:
    told = {"kind": "latency", "severity": "warning", "about": "groq/m", "message": "It is slow.", "value": 2.0}
    for number in range(OPEN_ALERTS + CLOSED_ALERTS):
        at = record.now() - timedelta(minutes=number)
        times = {"opened_at": at, "updated_at": at, "wrong_at": at, "closed_at": None if number < OPEN_ALERTS else at}
        yield _owned(me) | told | times | {"id": str(uuid4()), "subject": f"groq/m{number}", "threshold": 1.0}

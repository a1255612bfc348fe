"""What webhooks are to be told is written in the transaction of the change itself: either both are there, or none."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from vel_tutor_mcp.auth.roles import Operation, may, may_to
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.store import webhook_deliveries
from vel_tutor_mcp.store.database import Transaction

MOST_BODY_BYTES = 20_000
# So long may each text in it be; the next shorter length is taken where the whole does not fit.
_LONGEST_TEXTS = (2000, 500, 100, 20)


class Event(StrEnum):
    TASK_COMPLETED = "task.completed"
    TASK_FAILED = "task.failed"
    RUN_AWAITING_APPROVAL = "run.awaiting_approval"
    RUN_COMPLETED = "run.completed"
    RUN_FAILED = "run.failed"
    BUDGET_THRESHOLD = "budget.threshold"
    ALERT_RAISED = "alert.raised"
    WEBHOOK_TEST = "webhook.test"


# What a webhook's owner must be able to read to be told of it. Tests are sent to the one webhook that they are of.
NEEDS: Mapping[Event, Operation] = {
    Event.TASK_COMPLETED: Operation.TASK_READ,
    Event.TASK_FAILED: Operation.TASK_READ,
    Event.RUN_AWAITING_APPROVAL: Operation.RUN_READ,
    Event.RUN_COMPLETED: Operation.RUN_READ,
    Event.RUN_FAILED: Operation.RUN_READ,
    Event.BUDGET_THRESHOLD: Operation.BUDGET_READ,
    Event.ALERT_RAISED: Operation.ALERT_READ,
}


async def tell(
    tx: Transaction, organisation_id: str, owner_id: str | None, event: Event, data: Mapping[str, Any]
) -> None:
    """Note for every webhook that may hear of it, in the writer's transaction of the change, what is to be told.

    `owner_id` is whose it is; None where every member of the organisation who may read any such thing may read it.
    `data` is JSON without secrets; where it is too long its texts are cut, and with too many of them it is left out.
    """
    ears = await webhook_deliveries.ears(tx, organisation_id)
    hearing = [ear for ear in ears if event in ear.events and may_hear(ear.owner, event, organisation_id, owner_id)]
    if hearing:
        at = datetime.now(UTC)
        body = body_of(event, data, at)
        made = [webhook_deliveries.new(ear.owner, ear.webhook_id, event, body, at) for ear in hearing]
        await webhook_deliveries.add(tx, made)


def may_hear(owner: Principal, event: Event, organisation_id: str, thing_owner_id: str | None) -> bool:
    """Whether the owner of a webhook may be told: who may have webhooks at all, and read what it is about. (Pure.)"""
    if not may(owner.role, Operation.WEBHOOK_WRITE):
        return False
    if thing_owner_id is None:
        return organisation_id == owner.organisation_id and may(owner.role, NEEDS[event])
    return may_to(owner, NEEDS[event], organisation_id, thing_owner_id)


def body_of(event: Event, data: Mapping[str, Any], at: datetime) -> str:
    """What is sent and signed, in ASCII. (Pure.)"""
    for longest in _LONGEST_TEXTS:
        body = _body(event, _cut(dict(data), longest), at)
        if len(body) <= MOST_BODY_BYTES:
            return body
    return _body(event, {"cut": True}, at)


def _body(event: Event, data: Any, at: datetime) -> str:
    return json.dumps({"type": event.value, "timestamp": moment(at), "data": data}, separators=(",", ":"))


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[: longest - 1]}…"
    if isinstance(value, dict):
        return {name: _cut(part, longest) for name, part in value.items()}
    return [_cut(part, longest) for part in value] if isinstance(value, list) else value

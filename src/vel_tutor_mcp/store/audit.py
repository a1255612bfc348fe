"""The audit chain: each entry's hash covers the entry before it.

`hash` is SHA-256 over the entry as JSON with sorted keys, no spaces, UTF-8, without the field `hash` itself; the first
entry's `previous_hash` is 64 zeros.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from vel_tutor_mcp.models import AuditEntry, Page, Principal, Start
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import audit_logs

GENESIS = "0" * 64

# Of the transactions that have appended: many append twice.
_heads: WeakKeyDictionary[Transaction, tuple[int, str]] = WeakKeyDictionary()
_HASHED = ("sequence", "organisation_id", "owner_id", "at", "principal", "action", "subject", "previous_hash")


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, no escapes for letters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entry_hash(entry: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(entry).encode()).hexdigest()


def follows(entry: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """Whether the row's hash is that of its content, and the row stands right behind the one before.

    `before` is None for the first that is kept: what stood before it was pruned, unless it is the first of all.
    """
    try:
        content = {name: entry[name] for name in _HASHED} | {"payload": json.loads(entry["payload"])}
        computed = entry_hash(content)
    except ValueError:
        return False
    if before is None:
        linked: bool = entry["sequence"] > 1 or entry["previous_hash"] == GENESIS
    else:
        linked = (entry["sequence"], entry["previous_hash"]) == (before["sequence"] + 1, before["hash"])
    return linked and computed == entry["hash"]


async def append(
    tx: Transaction, principal: Principal, action: str, subject: str, payload: dict[str, Any], now: datetime
) -> None:
    """Add the next entry, in a writer's transaction: the last entry read must still be the last when written."""
    sequence, previous_hash = await _head(tx)
    entry = {
        "sequence": sequence + 1,
        "organisation_id": principal.organisation_id,
        "owner_id": principal.user_id,
        "at": _text(now),
        "principal": principal.name,
        "action": action,
        "subject": subject,
        "payload": payload,
        "previous_hash": previous_hash,
    }
    made = entry_hash(entry)
    await tx.execute(audit_logs.insert(), entry | {"payload": canonical(payload), "hash": made})
    _heads[tx] = (sequence + 1, made)


async def _head(tx: Transaction) -> tuple[int, str]:
    """The last entry's number and hash; the writer's transaction sees to it that it stays the last."""
    if tx in _heads:
        return _heads[tx]
    query = sa.select(audit_logs.c.sequence, audit_logs.c.hash).order_by(audit_logs.c.sequence.desc()).limit(1)
    last = (await tx.execute(query)).one_or_none()
    return (last.sequence, last.hash) if last else (0, GENESIS)


async def page(
    tx: Transaction,
    reader: Principal,
    limit: int,
    cursor: Start,
    *,
    action: str | None = None,
    principal: str | None = None,
    subject: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[AuditEntry]:
    conditions = {
        audit_logs.c.action == action: action,
        audit_logs.c.principal == principal: principal,
        audit_logs.c.subject == subject: subject,
        audit_logs.c.at >= (_text(since) if since else ""): since,
        audit_logs.c.at < (_text(until) if until else ""): until,
    }
    wanted = [condition for condition, given in conditions.items() if given is not None]
    query = sa.select(audit_logs).where(paging.visible(audit_logs, reader), *wanted)
    return await paging.newest_first(tx, query, (audit_logs.c.sequence,), limit, cursor, _entry)


def _text(moment: datetime) -> str:
    # Always with microseconds, so that texts sort as times do.
    return moment.isoformat(timespec="microseconds")


def _entry(row: sa.RowMapping) -> AuditEntry:
    return AuditEntry(
        sequence=row["sequence"],
        at=datetime.fromisoformat(row["at"]),
        organisation_id=row["organisation_id"],
        principal=row["principal"],
        action=row["action"],
        subject=row["subject"],
        payload=json.loads(row["payload"]),
        previous_hash=row["previous_hash"],
        hash=row["hash"],
    )

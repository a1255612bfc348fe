"""The table of the audit chain: entries are appended and read, and never changed. `store.audit_chain` says what links
them.
"""

import json
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from vel_tutor_mcp.models import AuditEntry, Page, Principal, Start
from vel_tutor_mcp.store import paging
from vel_tutor_mcp.store.audit_chain import BEGINNING, Link, canonical, entry_hash
from vel_tutor_mcp.store.audit_masking import masked, masked_text
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import Transaction

_LAST = sa.select(audit_logs.c.sequence, audit_logs.c.hash).order_by(audit_logs.c.sequence.desc()).limit(1)
# A transaction sees entries of its organisation alone.
_LAST_OF_ALL = sa.select(*(sa.column(name, audit_logs.c[name].type) for name in ("sequence", "hash"))).select_from(
    sa.func.audit_head()
)
_INSERT = audit_logs.insert()
# Of the transactions that have appended: many append twice.
_heads: WeakKeyDictionary[Transaction, Link] = WeakKeyDictionary()


async def append(
    tx: Transaction, principal: Principal, action: str, subject: str, payload: dict[str, Any], now: datetime
) -> None:
    """Add the next entry, in a writer's transaction: the last entry read must still be the last when written.

    Secrets and personal data in the subject and the payload are masked.
    """
    before = await head(tx)
    payload = masked(payload)
    entry = {
        "sequence": before.sequence + 1,
        "organisation_id": principal.organisation_id,
        "owner_id": principal.user_id,
        "at": as_text(now),
        "principal": principal.name,
        "action": action,
        "subject": _fitting(masked_text(subject), audit_logs.c.subject),
        "payload": payload,
        "address": _fitting(principal.address, audit_logs.c.address),
        "user_agent": _fitting(principal.user_agent and masked_text(principal.user_agent), audit_logs.c.user_agent),
        "previous_hash": before.hash,
    }
    made = entry_hash({name: value for name, value in entry.items() if value is not None})
    await tx.execute(_INSERT, entry | {"payload": canonical(payload), "hash": made})
    _heads[tx] = Link(before.sequence + 1, made)


async def head(tx: Transaction) -> Link:
    """The last entry; the writer's transaction sees to it that it stays the last."""
    if tx in _heads:
        return _heads[tx]
    query = _LAST_OF_ALL if tx.dialect.name == "postgresql" else _LAST
    last = (await tx.execute(query)).one_or_none()
    return Link(last.sequence, last.hash) if last and last.sequence else BEGINNING


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryQuery:
    """Which entries; None lets all through. `since` is inclusive, `until` exclusive."""

    action: str | None = None
    principal: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def conditions(self) -> list[sa.ColumnElement[bool]]:
        table, told = audit_logs.c, self.told
        equal = [table[name] == told[name] for name in ("action", "principal", "subject") if name in told]
        since = [table.at >= told["since"]] if "since" in told else []
        return [*equal, *since, *([table.at < told["until"]] if "until" in told else [])]

    @property
    def told(self) -> dict[str, str]:
        """What is not None, as texts."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: as_text(value) if isinstance(value, datetime) else value
            for name, value in given.items()
            if value is not None
        }


def visible_to(reader: Principal) -> sa.ColumnElement[bool]:
    return paging.visible(audit_logs, reader)


async def page(tx: Transaction, reader: Principal, limit: int, cursor: Start, wanted: EntryQuery) -> Page[AuditEntry]:
    query = sa.select(audit_logs).where(visible_to(reader), *wanted.conditions)
    return await paging.newest_first(tx, query, (audit_logs.c.sequence,), limit, cursor, _entry)


def as_text(moment: datetime) -> str:
    # Always with microseconds, so that texts sort as times do.
    return moment.isoformat(timespec="microseconds")


def _fitting(text: str | None, column: sa.Column[Any]) -> str | None:
    """The text as the column can hold it; what is empty is nothing."""
    assert isinstance(column.type, sa.String)
    return text.replace("\0", "")[: column.type.length] if text else None


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

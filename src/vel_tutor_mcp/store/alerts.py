"""The table of alerts, and whose turn it is to look for them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from vel_tutor_mcp.models import Page, Principal, Start
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.alert_tables import alert_looks, alerts
from vel_tutor_mcp.store.database import Transaction

State = Literal["open", "closed", "all"]

_THE_ROW = 1
_open = alerts.c.closed_at.is_(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something is wrong with `subject`, or was until `closed_at`; `about` names it for people.

    `owner_id` is None where it is about the organisation as a whole. `wrong_at` is when it was last found not to be
    well again.
    """

    id: str
    organisation_id: str
    owner_id: str | None
    kind: str
    subject: str
    severity: str
    about: str
    message: str
    value: float
    threshold: float
    opened_at: datetime
    updated_at: datetime
    wrong_at: datetime
    closed_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None


async def page(tx: Transaction, reader: Principal, limit: int, start: Start, state: State) -> Page[Alert]:
    """What the reader may see, newest first."""
    wanted = {"open": (_open,), "closed": (sa.not_(_open),), "all": ()}[state]
    query = sa.select(alerts).where(visible(reader), *wanted)
    return await paging.newest_first(tx, query, (alerts.c.opened_at, alerts.c.id), limit, start, _alert)


async def find(tx: Transaction, reader: Principal, alert_id: str) -> Alert | None:
    """The alert of this id, where the reader may see it."""
    return await _one(tx, alerts.c.id == alert_id, visible(reader))


async def find_open(tx: Transaction, organisation_id: str, kind: str, subject: str) -> Alert | None:
    of_subject = (alerts.c.organisation_id == organisation_id, alerts.c.kind == kind, alerts.c.subject == subject)
    return await _one(tx, _open, *of_subject)


async def all_open(tx: Transaction) -> Sequence[Alert]:
    """The open ones of everybody whom the transaction is for."""
    return await rows.every(tx, sa.select(alerts).where(_open), _alert)


async def insert(tx: Transaction, alert: Alert) -> None:
    await tx.execute(alerts.insert(), asdict(alert))


async def update(tx: Transaction, alert_id: str, **values: Any) -> bool:
    """Change the alert while it is open; False where it is no more."""
    return bool((await tx.execute(alerts.update().where(alerts.c.id == alert_id, _open).values(**values))).rowcount)


async def acknowledge(tx: Transaction, alert_id: str, by: str, now: datetime) -> bool:
    """Note who has seen it; False where somebody had before, which then stands."""
    unseen = (alerts.c.id == alert_id, alerts.c.acknowledged_at.is_(None))
    values = {"acknowledged_at": now, "acknowledged_by": by, "updated_at": now}
    return bool((await tx.execute(alerts.update().where(*unseen).values(**values))).rowcount)


async def forget_old(tx: Transaction, before: datetime) -> None:
    """Take away what was closed before then."""
    await tx.execute(alerts.delete().where(alerts.c.closed_at < before))


async def is_due(tx: Transaction, now: datetime, every: timedelta) -> bool:
    """Whether nobody has looked for so long."""
    last: datetime | None = await tx.scalar(sa.select(alert_looks.c.at))
    return last is None or abs(now - last) >= every  # a clock that was set back must not keep everybody waiting


async def take_turn(tx: Transaction, now: datetime, every: timedelta) -> bool:
    """Note, in a writer's transaction, that we look now; False where somebody else has meanwhile."""
    if not await is_due(tx, now, every):
        return False
    await tx.execute(alert_looks.delete())
    await tx.execute(alert_looks.insert(), {"id": _THE_ROW, "at": now})
    return True


def visible(reader: Principal) -> sa.ColumnElement[bool]:
    """What is theirs to see, and what is about their organisation as a whole."""
    of_all = sa.and_(alerts.c.organisation_id == reader.organisation_id, alerts.c.owner_id.is_(None))
    return sa.or_(paging.visible(alerts, reader), of_all)


async def _one(tx: Transaction, *conditions: sa.ColumnElement[bool]) -> Alert | None:
    return await rows.one(tx, sa.select(alerts).where(*conditions), _alert)


def _alert(row: sa.RowMapping) -> Alert:
    return Alert(**row)

"""Tasks once more: the rows of tasks that have ended, under other ids and a little later, as if there had been more of
the same kind. Nobody is asked for them, but all that the product keeps of a task is there, and the audit chain holds.
"""

import json
import random
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import audit, budgets, task_texts
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import Database, Transaction
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.tables import attempts, ratings, route_decisions, task_events, tasks

# Those that others refer to come before them.
_OF_TASK = (attempts, ledger, route_decisions, task_events, ratings)
# Rows number themselves, and of a copy's rating nothing was learned.
_LEFT_OUT = frozenset({"sequence", "good", "bad"})
_LATEST = timedelta(minutes=50)

Entry = tuple[datetime, str, str, Mapping[str, Any]]


async def repeat(database: Database, who: Principal, task_ids: Iterable[str], chance: random.Random) -> None:
    """Each of these tasks of somebody's once more, within the hour that follows."""
    entries: list[Entry] = []
    async with database.write(who.organisation_id) as tx:
        for task_id in task_ids:
            copy = _Copy(task_id, chance)
            await copy.add(tx)
            entries += await copy.entries(tx)
        for at, action, subject, payload in sorted(entries, key=lambda entry: entry[:3]):
            await audit.append(tx, who, action, subject, dict(payload), at)
        if entries:
            await budgets.drop_sums(tx, who.organisation_id, min(entries, key=lambda entry: entry[0])[0])


class _Copy:
    def __init__(self, task_id: str, chance: random.Random) -> None:
        self._original = task_id
        self._chance = chance
        self._later = _LATEST * chance.random()
        self._ids: dict[str, str] = {}

    async def add(self, tx: Transaction) -> None:
        (task,) = await self._rows(tx, tasks, tasks.c.id)
        task["prompt"] = re.sub(r"\d{3}", str(self._chance.randrange(100, 1000)), task["prompt"])
        await tx.execute(tasks.insert(), task)
        await task_texts.add(tx, task)
        for table in _OF_TASK:
            if rows := await self._rows(tx, table, table.c.task_id):
                await tx.execute(table.insert(), rows)

    async def entries(self, tx: Transaction) -> list[Entry]:
        """What the audit trail has of the original, as of the copy."""
        noted = sa.select(audit_logs).where(audit_logs.c.subject == f"task:{self._original}")
        return [
            (
                datetime.fromisoformat(row["at"]) + self._later,
                row["action"],
                f"task:{self._ids[self._original]}",
                json.loads(row["payload"]),
            )
            for row in (await tx.execute(noted.order_by(audit_logs.c.sequence))).mappings()
        ]

    async def _rows(self, tx: Transaction, table: sa.Table, task: sa.Column[str]) -> list[dict[str, Any]]:
        found = await tx.execute(sa.select(table).where(task == self._original))
        return [
            {name: self._copied(name, value) for name, value in row.items() if name not in _LEFT_OUT}
            for row in found.mappings()
        ]

    def _copied(self, name: str, value: Any) -> Any:
        if name == "id":
            self._ids[value] = str(UUID(int=self._chance.getrandbits(128), version=4))
        if isinstance(value, datetime):
            return value + self._later
        return self._ids.get(value, value) if isinstance(value, str) else value

"""What tells whether something has changed: the stamp of a thing is another one whenever what is stored of it is."""

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.store import paging, people
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import run_events, task_events, tasks, workflows

_RECENT = 20

Stamps = Mapping[str, Hashable]
"""By id. What has nothing stored yet has none."""


async def of_tasks(tx: Transaction, task_ids: Collection[str]) -> Stamps:
    """Each change of a task is a line of its history."""
    found = task_events.c.task_id
    query = sa.select(found, sa.func.max(task_events.c.sequence)).where(found.in_(task_ids)).group_by(found)
    return await _read(tx, query)


async def of_outputs(tx: Transaction, task_ids: Collection[str]) -> Stamps:
    """A task has its output when it ends, and none again when it is retried."""
    return await _read(tx, sa.select(tasks.c.id, tasks.c.ended_at).where(tasks.c.id.in_(task_ids)))


async def of_runs(tx: Transaction, run_ids: Collection[str]) -> Stamps:
    """Each change of a run is a line of its history."""
    found = run_events.c.run_id
    query = sa.select(found, sa.func.max(run_events.c.sequence)).where(found.in_(run_ids)).group_by(found)
    return await _read(tx, query)


async def of_recent(tx: Transaction, user_ids: Collection[str]) -> Stamps:
    """Of the tasks that are the newest to each user, as `tasks://recent` shows them."""
    found = {}
    for user_id in user_ids:
        seen = paging.visible(tasks, await people.principal(tx, user_id))
        query = sa.select(tasks.c.id, tasks.c.updated_at).where(seen)
        newest = query.order_by(tasks.c.created_at.desc(), tasks.c.id.desc()).limit(_RECENT)
        found[user_id] = tuple(map(tuple, await tx.execute(newest)))
    return found


async def of_templates(tx: Transaction, owner_ids: Collection[str]) -> Stamps:
    """Of each owner's templates together."""
    owner, changed = workflows.c.owner_id, sa.func.max(workflows.c.updated_at)
    query = sa.select(owner, sa.func.count(), changed).where(owner.in_(owner_ids), workflows.c.template)
    return await _read(tx, query.group_by(owner))


async def _read(tx: Transaction, query: sa.Select[Any]) -> Stamps:
    return {row[0]: tuple(row[1:]) for row in await tx.execute(query)}

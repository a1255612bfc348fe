"""What tells whether something has changed: the stamp of a thing is another one whenever what is stored of it is."""

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.store import paging, people
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.run_tables import run_events, workflows
from vel_tutor_mcp.store.tables import task_events, tasks

# As many as `tasks://recent` shows: a change of any other is no news of it.
_RECENT = 20
# Both databases take some 32,000 values in a statement.
_AT_ONCE = 10_000

Stamps = Mapping[str, Hashable]
"""By id. What has nothing stored yet has none."""


async def of_tasks(tx: Transaction, task_ids: Collection[str]) -> Stamps:
    """Each change of a task is a line of its history."""
    found = task_events.c.task_id
    query = sa.select(found, sa.func.max(task_events.c.sequence)).group_by(found)
    return await _read(tx, task_ids, lambda some: query.where(found.in_(some)))


async def of_outputs(tx: Transaction, task_ids: Collection[str]) -> Stamps:
    """A task has its output when it ends, and none again when it is retried."""
    query = sa.select(tasks.c.id, tasks.c.ended_at)
    return await _read(tx, task_ids, lambda some: query.where(tasks.c.id.in_(some)))


async def of_runs(tx: Transaction, run_ids: Collection[str]) -> Stamps:
    """Each change of a run is a line of its history."""
    found = run_events.c.run_id
    query = sa.select(found, sa.func.max(run_events.c.sequence)).group_by(found)
    return await _read(tx, run_ids, lambda some: query.where(found.in_(some)))


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
    query = sa.select(owner, sa.func.count(), changed).where(workflows.c.template).group_by(owner)
    return await _read(tx, owner_ids, lambda some: query.where(owner.in_(some)))


async def _read(tx: Transaction, ids: Collection[str], query_of: Callable[[Collection[str]], sa.Select[Any]]) -> Stamps:
    found: dict[str, Hashable] = {}
    left = list(ids)
    while left:
        some, left = left[:_AT_ONCE], left[_AT_ONCE:]
        found |= {row[0]: tuple(row[1:]) for row in await tx.execute(query_of(some))}
    return found

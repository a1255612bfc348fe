"""Ratings of answers: one of each person for a task, with what it added to the `evidence` of the model."""

from collections import defaultdict
from collections.abc import Collection

import sqlalchemy as sa

from vel_tutor_mcp.models import Evidence, Principal
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import ratings


async def added(tx: Transaction, principal: Principal, task_id: str) -> Evidence | None:
    """What the principal's rating of the task has added; None where there is none, or it added nothing."""
    row = (
        await tx.execute(sa.select(ratings).where(_own(principal, task_id), ratings.c.good.is_not(None)))
    ).one_or_none()
    return Evidence(good=row.good, bad=row.bad, at=row.created_at) if row else None


async def keep(
    tx: Transaction, principal: Principal, task_id: str, rating: int, comment: str | None, adds: Evidence
) -> None:
    """Keep the principal's rating of the task, which adds this to the evidence; a later one replaces it."""
    await tx.execute(ratings.delete().where(_own(principal, task_id)))
    await tx.execute(
        ratings.insert(),
        {
            "task_id": task_id,
            "owner_id": principal.user_id,
            "organisation_id": principal.organisation_id,
            "rating": rating,
            "comment": comment,
            "good": adds.good,
            "bad": adds.bad,
            "created_at": adds.at,
        },
    )


async def of_tasks(tx: Transaction, task_ids: Collection[str]) -> dict[str, list[int]]:
    """All ratings of each of these tasks that has any."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    query = sa.select(ratings.c.task_id, ratings.c.rating).where(ratings.c.task_id.in_(task_ids))
    for row in await tx.execute(query):
        found[row.task_id].append(row.rating)
    return found


async def by_person(tx: Transaction, task_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """The ratings of each of these tasks that has any, by the id of whose they are."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    query = sa.select(ratings.c.task_id, ratings.c.owner_id, ratings.c.rating).where(ratings.c.task_id.in_(task_ids))
    for row in await tx.execute(query):
        found[row.task_id][row.owner_id] = row.rating
    return found


def _own(principal: Principal, task_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(ratings.c.task_id == task_id, ratings.c.owner_id == principal.user_id)

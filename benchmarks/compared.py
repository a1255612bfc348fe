"""Comparisons beside the tasks that `seeding` made: of three of them each, whose answers two people have rated."""

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.comparison_tables import comparison_entries, comparisons
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.people_tables import users
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.tables import ratings, tasks

# More than the standings are made of.
COMPARISONS = 1_500
MODELS = 3
_SEED = 20261126
_AT_ONCE = 500

Row = dict[str, Any]


async def fill(settings: Settings, count: int = COMPARISONS) -> None:
    database = database_of(settings)
    try:
        await asyncio.to_thread(_fill, database, count)
    finally:
        await database.close()


def _fill(database: Database, count: int) -> None:
    engine, dice = database.blocking_engine(INSTALLATION), Random(_SEED)
    with engine.begin() as connection:
        people = list(connection.scalars(sa.select(users.c.id).limit(2)))
        answered = sa.select(tasks).where(tasks.c.status == TaskStatus.COMPLETED, tasks.c.inferred_type.is_not(None))
        found = connection.execute(answered.order_by(tasks.c.created_at.desc()).limit(count * MODELS)).mappings().all()
        made: dict[sa.Table, list[Row]] = {comparisons: [], comparison_entries: [], ratings: []}
        for number in range(0, len(found) - MODELS + 1, MODELS):
            for table, row in _rows(found[number : number + MODELS], people, dice):
                made[table].append(row)
        for table, rows in made.items():
            for first in range(0, len(rows), _AT_ONCE):
                connection.execute(table.insert(), rows[first : first + _AT_ONCE])
    if database.engine_schema is not None:  # PostgreSQL does so by itself, a minute later
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def _rows(of: Any, people: list[str], dice: Random) -> Iterator[tuple[sa.Table, Row]]:
    first, seen = of[0], set[str]()
    comparison_id = str(UUID(int=dice.getrandbits(128), version=4))
    owned = {"organisation_id": first["organisation_id"], "owner_id": first["owner_id"]}
    at = {"created_at": first["created_at"], "updated_at": first["updated_at"]}
    asked = {"prompt": first["prompt"], "prompt_hash": comparison_id.replace("-", "") * 2, "agent_name": "default"}
    yield (
        comparisons,
        owned | at | asked | {"id": comparison_id, "task_type": first["inferred_type"], "body_hash": "0" * 64},
    )
    for position, task in enumerate(of):
        place = {"comparison_id": comparison_id, "position": position, "number": position, "task_id": task["id"]}
        name = f"{task['provider']}/{task['model']}"
        if name not in seen:
            yield comparison_entries, owned | place | {"provider": task["provider"], "model": task["model"]}
            for person in people:
                rated = {"task_id": task["id"], "organisation_id": task["organisation_id"], "owner_id": person}
                yield ratings, rated | {"rating": dice.randint(1, 5), "created_at": task["updated_at"]}
        seen.add(name)

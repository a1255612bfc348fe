"""What a search looks through: the prompts without case in narrow rows, so that no wide row is read for it, and no
prompt folded anew. A prompt never changes, and neither does its text.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.people_tables import organisations
from vel_tutor_mcp.store.search_tables import task_texts
from vel_tutor_mcp.store.tables import tasks

_OF_TASK = sa.and_(
    task_texts.c.organisation_id == tasks.c.organisation_id,
    task_texts.c.created_at == tasks.c.created_at,
    task_texts.c.task_id == tasks.c.id,
)
_COLUMNS = tuple(tasks.c[name] for name in ("id", "organisation_id", "owner_id", "created_at", "prompt"))


def row(task: Mapping[str, Any]) -> dict[str, Any]:
    """The text of a task of these values."""
    same = {name: task[name] for name in ("organisation_id", "owner_id", "created_at")}
    return same | {"task_id": task["id"], "text": _folded(task["prompt"])}


async def add(tx: Transaction, task: Mapping[str, Any]) -> None:
    await tx.execute(task_texts.insert(), row(task))


def has(tx: Transaction, text: str) -> sa.ColumnElement[bool]:
    """Whether it is in a prompt, in whatever case, letter by letter: nothing in it stands for anything else.

    Not by LIKE: under row-level security PostgreSQL takes it that hardly any row is like anything, and chooses badly.
    """
    place = sa.func.instr if tx.dialect.name == "sqlite" else sa.func.strpos
    return place(task_texts.c.text, _folded(text)) > 0


def with_tasks(tx: Transaction, texts: sa.Select[Any]) -> sa.Select[Any]:
    """The texts joined to their tasks. SQLite looks each of them up by its whole key; PostgreSQL would guess from so
    many equalities that there is but one, and choose badly.
    """
    by_key = tx.dialect.name == "sqlite"
    return texts.join(tasks, _OF_TASK if by_key else task_texts.c.task_id == tasks.c.id)


async def some_missing(tx: Transaction, since: datetime) -> bool:
    """Whether a task that was made from then on has no text: an older server beside us adds such ones."""
    return await tx.scalar(_missing(since).limit(1)) is not None


async def complete(tx: Transaction, since: datetime, most: int) -> None:
    """Add so many of the texts that are missing, in a writer's transaction."""
    rows = [row(task._asdict()) for task in await tx.execute(_missing(since).limit(most))]
    if rows:
        await tx.execute(task_texts.insert(), rows)


def _missing(since: datetime) -> sa.Select[Any]:
    # Of each organisation by itself, since the index begins with it: all tasks there are would be too many.
    in_index = tasks.c.organisation_id.in_(sa.select(organisations.c.id)), tasks.c.created_at >= since
    return sa.select(*_COLUMNS).where(*in_index, ~sa.exists().where(_OF_TASK))


def _folded(text: str) -> str:
    """By Unicode's rules, in Python: databases differ in what they know of letters beyond ASCII."""
    return text.casefold()

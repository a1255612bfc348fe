"""Comparisons, and how the task of each model stands."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from vel_tutor_mcp.models import NanoUsd, Outcome, Page, Principal, Start, TaskStatus, TaskType
from vel_tutor_mcp.store import paging, rows
from vel_tutor_mcp.store.comparison_tables import comparison_entries, comparisons
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import attempts, ratings, tasks

_OF_ANSWER = ("total_ms", "first_token_ms", "tokens_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One prompt asked of several models through one agent. `prompt_hash` is the same for the same prompt."""

    id: str
    owner_id: str
    organisation_id: str
    prompt: str
    prompt_hash: str
    agent_name: str
    task_type: TaskType
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in a comparison a model's task stands: `position` when shown, `number` when it was asked for."""

    position: int
    number: int
    task_id: str
    provider: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How a model's task stands: `cost_nanousd` is of all its calls, the rest of the call that answered."""

    place: Place
    status: TaskStatus
    cost_nanousd: NanoUsd
    total_ms: int | None
    first_token_ms: int | None
    tokens_out: int | None


class Showing(NamedTuple):
    """How a model showed in a comparison, as `Entry`; `prompt` is the same for the same prompt, `ratings` by person."""

    comparison: Hashable
    prompt: str
    model: str
    answered: bool
    cost_nanousd: NanoUsd
    total_ms: int | None
    ratings: Mapping[Any, int]


async def insert(
    tx: Transaction, comparison: Comparison, places: Sequence[Place], key: str | None, body_hash: str
) -> None:
    """Store a new comparison, whose tasks are; `key` and `body_hash` tell whether the same request comes again."""
    row = asdict(comparison) | {"updated_at": comparison.created_at, "idempotency_key": key, "body_hash": body_hash}
    await tx.execute(comparisons.insert(), row)
    of = {
        "comparison_id": comparison.id,
        "organisation_id": comparison.organisation_id,
        "owner_id": comparison.owner_id,
    }
    await tx.execute(comparison_entries.insert(), [asdict(place) | of for place in places])


async def by_key(tx: Transaction, principal: Principal, key: str) -> tuple[str, str] | None:
    """The comparison's id and the body's hash that this key was used with."""
    query = sa.select(comparisons.c.id, comparisons.c.body_hash).where(
        comparisons.c.owner_id == principal.user_id, comparisons.c.idempotency_key == key
    )
    row = (await tx.execute(query)).one_or_none()
    return (row.id, row.body_hash) if row else None


async def find(tx: Transaction, principal: Principal, comparison_id: str) -> Comparison | None:
    """The comparison, where the principal may see it."""
    query = sa.select(comparisons).where(comparisons.c.id == comparison_id, paging.visible(comparisons, principal))
    return await rows.one(tx, query, _comparison)


async def page(tx: Transaction, principal: Principal, limit: int, cursor: Start) -> Page[Comparison]:
    """Those that the principal may see, newest first."""
    query = sa.select(comparisons).where(paging.visible(comparisons, principal))
    return await paging.newest_first(
        tx, query, (comparisons.c.created_at, comparisons.c.id), limit, cursor, _comparison
    )


async def entries(tx: Transaction, comparison_ids: Collection[str]) -> dict[str, list[Entry]]:
    """Those of each of these comparisons, as they are shown."""
    asked, of_these = comparison_entries.c, comparison_entries.c.comparison_id.in_(comparison_ids)
    calls = _calls(sa.select(asked.task_id).where(of_these))
    query = (
        sa.select(comparison_entries, tasks.c.status, calls.c.cost_nanousd, *(calls.c[name] for name in _OF_ANSWER))
        .join(tasks, tasks.c.id == asked.task_id)
        .outerjoin(calls, calls.c.task_id == asked.task_id)
        .where(of_these)
        .order_by(asked.comparison_id, asked.position)
    )
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for row in (await tx.execute(query)).mappings():
        found[row["comparison_id"]].append(_entry(row))
    return found


async def showings(
    tx: Transaction, principal: Principal, task_type: TaskType | None, most: int
) -> tuple[list[Showing], bool]:
    """Of the newest `most` comparisons that the principal may see, and whether there are more."""
    seen = paging.visible(comparisons, principal)
    if task_type is not None:
        seen = sa.and_(seen, comparisons.c.task_type == task_type)
    order = (comparisons.c.created_at.desc(), comparisons.c.id.desc())
    newest = sa.select(comparisons.c.id, comparisons.c.prompt_hash).where(seen).order_by(*order).limit(most).subquery()
    entered = comparison_entries.join(newest, newest.c.id == comparison_entries.c.comparison_id)
    rated = await _rated(tx, entered)
    shown = await tx.execute(_shown(entered, newest.c.prompt_hash))
    found = [_showing(row, rated.get(row.task_id, {})) for row in shown]
    total = await tx.scalar(sa.select(sa.func.count(comparisons.c.id)).where(seen))
    return found, (total or 0) > most


async def _rated(tx: Transaction, entered: sa.Join) -> dict[Hashable, dict[Hashable, int]]:
    """The ratings of each of these entries' tasks, by whose they are."""
    of_entry = entered.join(ratings, ratings.c.task_id == comparison_entries.c.task_id)
    given = sa.select(_key(ratings.c.task_id), _key(ratings.c.owner_id), ratings.c.rating).select_from(of_entry)
    found: defaultdict[Hashable, dict[Hashable, int]] = defaultdict(dict)
    for row in await tx.execute(given):
        found[row.task_id][row.owner_id] = row.rating
    return found


def _shown(entered: sa.Join, prompt_hash: sa.ColumnElement[str]) -> sa.Select[Any]:
    """What `Showing` has of these entries, but ratings."""
    asked = comparison_entries.c
    calls = _calls(sa.select(asked.task_id).select_from(entered))
    keys = map(_key, (asked.comparison_id, asked.task_id))
    columns = (prompt_hash, asked.provider, asked.model, tasks.c.status, calls.c.cost_nanousd, calls.c.total_ms)
    of_task = entered.join(tasks, tasks.c.id == asked.task_id).outerjoin(calls, calls.c.task_id == asked.task_id)
    return sa.select(*keys, *columns).select_from(of_task)


async def touch(tx: Transaction, task_id: str, now: datetime) -> None:
    """Note that something of the comparison has changed that the task belongs to, if it belongs to any."""
    of_task = sa.select(comparison_entries.c.comparison_id).where(comparison_entries.c.task_id == task_id)
    await tx.execute(comparisons.update().where(comparisons.c.id.in_(of_task)).values(updated_at=now))


def _calls(task_ids: sa.Select[tuple[str]]) -> sa.Subquery:
    """What each of these tasks cost that made any call, and the numbers of the call that answered."""
    answered = attempts.c.outcome == Outcome.COMPLETED
    of_answer = (sa.func.max(sa.case((answered, attempts.c[name]))).label(name) for name in _OF_ANSWER)
    spent = sa.func.sum(attempts.c.cost_nanousd).label("cost_nanousd")
    query = sa.select(attempts.c.task_id, spent, *of_answer).where(attempts.c.task_id.in_(task_ids))
    return query.group_by(attempts.c.task_id).subquery()


def _key(column: sa.Column[str]) -> sa.ColumnElement[Any]:
    """The id as the database's driver has it: to be told apart, not to be shown. To spell thousands takes its time."""
    return sa.type_coerce(column, sa.types.NullType()).label(column.name)


def _showing(row: Any, ratings_of: Mapping[Hashable, int]) -> Showing:
    return Showing(
        comparison=row.comparison_id,
        prompt=row.prompt_hash,
        model=f"{row.provider}/{row.model}",
        answered=row.status == TaskStatus.COMPLETED,
        cost_nanousd=NanoUsd(int(row.cost_nanousd or 0)),
        total_ms=row.total_ms,
        ratings=ratings_of,
    )


def _comparison(row: sa.RowMapping) -> Comparison:
    values = {name: row[name] for name in Comparison.__slots__}
    return Comparison(**values | {"task_type": TaskType(row["task_type"])})


def _entry(row: sa.RowMapping) -> Entry:
    return Entry(
        place=Place(**{name: row[name] for name in Place.__slots__}),
        status=TaskStatus(row["status"]),
        # PostgreSQL adds whole numbers up to a decimal one.
        cost_nanousd=NanoUsd(int(row["cost_nanousd"] or 0)),
        **{name: row[name] for name in _OF_ANSWER},
    )

"""Admission: which waiting tasks this process may claim now, and the claim. `turns` decides, from what is read here.

No statement reads all that waits: an owner may have ten thousand tasks in line, and this is asked whenever a task ends.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import Limits, Outcome, TaskStatus, Work
from vel_tutor_mcp.store import integrations
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import attempts, tasks
from vel_tutor_mcp.store.tasks import PRIORITIES
from vel_tutor_mcp.store.turns import Waiting, in_turn

# Of each owner's tasks of one priority so many are looked at: where all of these wait for a provider or a time, those
# behind them wait too, and are not each begun only to be told that the provider is full.
LOOK_AHEAD = 1000
_MINUTE = timedelta(seconds=60)
_RANKS = sorted(PRIORITIES, reverse=True)

_pending = tasks.c.status == TaskStatus.PENDING
_in_progress = tasks.c.status == TaskStatus.IN_PROGRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many tasks may be in progress: of one owner everywhere, of one process, and at each limited provider.

    `own_keys`: the process has no key itself, and may have the tasks of those alone who have stored one.
    """

    of_owner: int
    of_executor: int
    own_keys: bool = False
    providers: Mapping[str, Limits] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is free: places of this process, at each limited provider, and who has how many tasks in progress."""

    here: int
    places: Mapping[str, int]
    in_progress: Mapping[str, int]
    of_owner: int

    def of(self, owner_id: str) -> int:
        return min(self.here, self.of_owner - self.in_progress.get(owner_id, 0))


async def admit(
    tx: Transaction, executor: str, now: datetime, bounds: Bounds, only: Collection[str] | None = None
) -> list[Work]:
    """Claim for `executor` the tasks whose turn it is; where `only` is given, of these. Start them after the commit.

    The transaction must be a writer's, or two could pass the limits together. A task that waits for a provider goes on
    naming it until it calls: its place there is promised.
    """
    works = [task.work for task in await next_in_turn(tx, executor, now, bounds, only)]
    if works:
        await tx.execute(
            tasks.update().where(tasks.c.id.in_([work.task_id for work in works])),
            {"status": TaskStatus.IN_PROGRESS, "executor": executor, "not_before": None, "updated_at": now},
        )
    return works


async def next_in_turn(
    tx: Transaction, executor: str, now: datetime, bounds: Bounds, only: Collection[str] | None = None
) -> list[Waiting]:
    """What `admit` would claim."""
    heads = (await tx.execute(_heads(own_keys=bounds.own_keys))).all()
    # Mostly nobody waits: then nothing else is read.
    if not heads:
        return []
    room = await _room(tx, executor, now, bounds)
    waiting: list[Waiting] = []
    for owner_id in _in_order(heads, room):
        waiting += await _queue_of(tx, owner_id, now, room, only)
        # So many places go to so many owners at most: those who have more in progress than all of these get none.
        if len({task.owner_id for task in waiting}) >= room.here:
            chosen = _choose(waiting, room)
            if len(chosen) == room.here:
                return chosen
    return _choose(waiting, room)


async def free_places(
    tx: Transaction, provider: str, limits: Limits, now: datetime, *, beside: str | None = None
) -> int:
    """How many more calls the provider takes now. Those who were promised a place have it; `beside` is not counted."""
    promised = _count(tasks).where(_in_progress, tasks.c.waits_for == provider)
    if beside is not None:
        promised = promised.where(tasks.c.id != beside)
    calls = _count(attempts).where(attempts.c.provider == provider)
    opened = calls.where(attempts.c.outcome == Outcome.OPEN)
    # Later ones are of a clock that was set back meanwhile.
    begun = calls.where(attempts.c.started_at > now - _MINUTE, attempts.c.started_at < now + _MINUTE)
    counts = sa.select(promised.scalar_subquery(), opened.scalar_subquery(), begun.scalar_subquery())
    taken, at_once, lately = (await tx.execute(counts)).one()
    left: list[int] = [
        limit - counted
        for limit, counted in ((limits.concurrent, at_once), (limits.per_minute, lately))
        if limit is not None
    ]
    return max(0, min(left) - int(taken))


async def _room(tx: Transaction, executor: str, now: datetime, bounds: Bounds) -> Room:
    query = (
        sa.select(tasks.c.owner_id, sa.func.count(), sa.func.count().filter(tasks.c.executor == executor))
        .where(_in_progress)
        .group_by(tasks.c.owner_id)
    )
    rows = (await tx.execute(query)).all()
    here = max(0, bounds.of_executor - sum(ours for _, _, ours in rows))
    places = {name: await free_places(tx, name, limits, now) for name, limits in bounds.providers.items() if here}
    return Room(
        here=here, places=places, in_progress={owner: all_of for owner, all_of, _ in rows}, of_owner=bounds.of_owner
    )


def _in_order(heads: Sequence[Any], room: Room) -> list[str]:
    """The owners who may have another task, in the order of `turns`, as far as their first tasks tell.

    Those may wait for something: then the order is another among owners who have equally many in progress, no more.
    """
    able = [head for head in heads if room.of(head.id) > 0]
    return [
        head.id for head in sorted(able, key=lambda head: (room.in_progress.get(head.id, 0), -head.rank, head.since))
    ]


async def _queue_of(
    tx: Transaction, owner_id: str, now: datetime, room: Room, only: Collection[str] | None
) -> list[Waiting]:
    """The owner's first tasks that could begin: as many as could ever get a place, of each kind."""
    values = {"owner_id": owner_id, "now": now} | ({} if only is None else {"only": list(only)})
    elsewhere = _queue(at_provider=False, only=only is not None)
    found = await _waiting(tx, elsewhere, values | {"providers": list(room.places), "most": room.of(owner_id)})
    for provider, free in room.places.items():
        if most := min(free, room.of(owner_id)):
            there = _queue(at_provider=True, only=only is not None)
            found += await _waiting(tx, there, values | {"provider": provider, "most": most})
    return found


async def _waiting(tx: Transaction, query: sa.Select[Any], values: Mapping[str, Any]) -> list[Waiting]:
    rows = await tx.execute(query, values)
    return [
        Waiting(Work(row.id, row.attempt_set, row.turn), row.owner_id, row.priority, row.created_at, row.waits_for)
        for row in rows
    ]


def _choose(waiting: Sequence[Waiting], room: Room) -> list[Waiting]:
    return in_turn(waiting, room.in_progress, room=room.here, of_owner=room.of_owner, places=room.places)


def _count(table: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table)


@cache
def _heads(*, own_keys: bool) -> sa.Select[Any]:
    """Each owner of a waiting task, with the rank and age of the first; jumps from owner to owner in the index."""
    owner_id = tasks.c.owner_id
    first = sa.select(owner_id).where(_pending).order_by(owner_id).limit(1).scalar_subquery()
    owners = sa.select(first.label("id")).cte("owners", recursive=True)
    following = sa.select(owner_id).where(_pending, owner_id > owners.c.id).order_by(owner_id).limit(1)
    owners = owners.union_all(sa.select(following.scalar_subquery()).where(owners.c.id.is_not(None)))
    rank = sa.select(sa.func.max(tasks.c.priority)).where(_pending, owner_id == owners.c.id).scalar_subquery()
    ranked = sa.select(owners.c.id, rank.label("rank"))
    served = integrations.call_models(owners.c.id) if own_keys else sa.true()
    heads = ranked.where(owners.c.id.is_not(None), served).subquery()
    theirs = (_pending, owner_id == heads.c.id, tasks.c.priority == heads.c.rank)
    since = sa.select(sa.func.min(tasks.c.created_at)).where(*theirs).scalar_subquery()
    return sa.select(heads.c.id, heads.c.rank, since.label("since"))


@cache
def _queue(*, at_provider: bool, only: bool) -> sa.Select[Any]:
    """An owner's first tasks that are due: those that wait for `provider`, or for none of `providers`; or of `only`.

    By priority then age without another sorting: each part is read in the order of the index, as far as need be.
    """
    parts = []
    for rank in _RANKS:
        ahead = _ahead(rank, only=only).subquery()
        parts.append(sa.select(ahead).where(_is_due(ahead.c), _waits(ahead.c, at_provider=at_provider)))
    return sa.select(sa.union_all(*parts).subquery()).limit(sa.bindparam("most"))


def _ahead(rank: int, *, only: bool) -> sa.Select[Any]:
    columns = tasks.c
    query = sa.select(
        columns.id, columns.attempt_set, columns.turn, columns.owner_id, columns.priority, columns.created_at,
        columns.waits_for, columns.not_before,
    )  # fmt: skip
    query = query.where(_pending, columns.owner_id == sa.bindparam("owner_id"), columns.priority == rank)
    if only:
        query = query.where(columns.id.in_(sa.bindparam("only", expanding=True)))
    return query.order_by(columns.created_at).limit(LOOK_AHEAD)


def _is_due(columns: Any) -> sa.ColumnElement[bool]:
    return sa.or_(columns.not_before.is_(None), columns.not_before <= sa.bindparam("now"))


def _waits(columns: Any, *, at_provider: bool) -> Any:
    if at_provider:
        return columns.waits_for == sa.bindparam("provider")
    return sa.or_(columns.waits_for.is_(None), columns.waits_for.not_in(sa.bindparam("providers", expanding=True)))

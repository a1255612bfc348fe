"""What the attempts come to that ended in some time, summed up by the database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import Outcome
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.latencies import Latencies, bucket_of
from vel_tutor_mcp.store.spans import Step, Stretch
from vel_tutor_mcp.store.tables import attempts, route_decisions, tasks

_SECOND = timedelta(seconds=1)

_earlier = attempts.alias("earlier")
_has_earlier = sa.select(sa.literal(1)).where(
    _earlier.c.task_id == attempts.c.task_id,
    _earlier.c.attempt_set == attempts.c.attempt_set,
    _earlier.c.number < attempts.c.number,
)
_is_second = attempts.c.number > 1
# Calls of one task follow each other, but for a hedge: it begins while the one is open that is late.
_hedged = sa.and_(
    _is_second,
    _has_earlier.where(sa.or_(_earlier.c.ended_at.is_(None), _earlier.c.ended_at > attempts.c.started_at)).exists(),
)
_fell_back = sa.and_(
    _is_second,
    _has_earlier.where(
        _earlier.c.outcome == Outcome.FAILED,
        sa.or_(_earlier.c.provider != attempts.c.provider, _earlier.c.model != attempts.c.model),
    ).exists(),
)
# Seconds since 1970, which both databases can take the remainder of.
_ended = sa.extract("epoch", attempts.c.ended_at)
_answered = attempts.c.outcome == Outcome.COMPLETED
_dimensions: dict[str, sa.ColumnElement[Any]] = {
    "organisation_id": attempts.c.organisation_id,
    "owner_id": attempts.c.owner_id,
    "agent": tasks.c.agent_name.label("agent"),
    "provider": attempts.c.provider,
    "model": attempts.c.model,
    "task_type": sa.func.coalesce(route_decisions.c.task_type, "general").label("task_type"),
}


def _count(*wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    return sa.func.count().filter(*wanted)


def _labelled(columns: Mapping[str, sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    return [column.label(name) for name, column in columns.items()]


def _sum(column: sa.ColumnElement[Any], *wanted: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
    summed = sa.func.sum(column)
    return sa.func.coalesce(summed.filter(*wanted) if wanted else summed, 0)


_numbers = _labelled(
    {
        # A task is counted where it was first asked, so that no sum of sums counts it twice.
        "tasks": _count(attempts.c.number == 1),
        "attempts": sa.func.count(),
        "completed": _count(_answered),
        "fallbacks": _count(_answered, _fell_back),
        "hedges": _count(_hedged),
        "tokens_in": _sum(attempts.c.tokens_in),
        "tokens_out": _sum(attempts.c.tokens_out),
        "cost_nanousd": _sum(attempts.c.cost_nanousd),
        "answers_tokens_in": _sum(attempts.c.tokens_in, _answered),
        "answers_tokens_out": _sum(attempts.c.tokens_out, _answered),
        "answers_nanousd": _sum(attempts.c.cost_nanousd, _answered),
        "times": sa.func.aggregate_strings(sa.cast(attempts.c.total_ms, sa.Text), ",").filter(_answered),
    }
)
_decided = sa.and_(
    route_decisions.c.task_id == attempts.c.task_id, route_decisions.c.attempt_set == attempts.c.attempt_set
)
_all = attempts.join(tasks, tasks.c.id == attempts.c.task_id).outerjoin(route_decisions, _decided)


async def ended(
    tx: Transaction, within: Stretch, step: Step, by: Sequence[str], *wanted: sa.ColumnElement[bool]
) -> Sequence[sa.Row[Any]]:
    """What the attempts come to that ended in the stretch and for which all that is `wanted` is so: a row for each step
    and each combination of these dimensions (see `usage_sums.DIMENSIONS`). It has all `NUMBERS`, and what `begun_at`
    and `latencies_of` read.
    """
    # Written out: PostgreSQL would not see that a parameter is the same in what is selected and what it is grouped by.
    begun = (_ended - _ended % sa.literal_column(f"{step.length // _SECOND}")).label("begun")
    groups = [begun, *(_dimensions[name] for name in by)]
    when = attempts.c.ended_at >= within.since, attempts.c.ended_at < within.until
    query = sa.select(*groups, *_numbers).select_from(_all).where(*when, *wanted).group_by(*groups)
    return (await tx.execute(query)).all()


def begun_at(row: sa.Row[Any]) -> datetime:
    """When the row's step began."""
    return datetime.fromtimestamp(int(row.begun), UTC)


def latencies_of(times: str | None) -> Latencies:
    return Latencies(bucket_of(int(time)) for time in times.split(",")) if times else Latencies()

"""What alerts are judged by: sums over attempts, of all organisations in one query.

Errors are the calls that a vendor did not answer; what it answered and was of no use, and what never left for want of
money, is none. A pace is milliseconds for a token written, where each call counts as so many tokens more for what it
takes to begin: so short and long answers of one model compare. Of paces and costs the logarithms are summed, so that
few great values weigh little.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from vel_tutor_mcp.models import FailureKind, Outcome
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.tables import attempts

TOKENS_TO_BEGIN = 50
# No call takes longer (`AgentConfig.timeout_seconds`): what ended longer after its beginning was cut by a crash, and
# ended when that was found.
_LONGEST_CALL = timedelta(minutes=10)


class Model(NamedTuple):
    provider: str
    name: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class Counts(NamedTuple):
    """Calls that a vendor had to answer, and how many of them it did not."""

    calls: int = 0
    errors: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(self.calls + other.calls, self.errors + other.errors)


class Logs(NamedTuple):
    """Logarithms of a measure: how many, and their sum."""

    calls: int = 0
    total: float = 0.0


class History(NamedTuple):
    """Logarithms of a measure, in stretches of time, summed up.

    `squares` sums the squares of the values, `means` for each stretch the square of its sum by its calls, and
    `squared_calls` the square of its calls. `first` is when the first stretch began.
    """

    calls: int
    total: float
    squares: float
    means: float
    squared_calls: float
    stretches: int
    first: datetime


class Unanswered(NamedTuple):
    """The errors of a model after the last call that its provider answered, and when the first and the last ended."""

    calls: int = 0
    first: datetime | None = None
    last: datetime | None = None


class Recent(NamedTuple):
    """Of one model: the calls of the window, those that nobody answered since, and how fast answers were."""

    window: Counts = Counts()
    unanswered: Unanswered = Unanswered()
    pace: Logs = Logs()


_completed = attempts.c.outcome == Outcome.COMPLETED
_answered = sa.or_(
    _completed, attempts.c.failure.in_([FailureKind.BAD_REQUEST.value, FailureKind.INVALID_OUTPUT.value])
)
_counted = sa.or_(
    _completed, sa.and_(attempts.c.outcome == Outcome.FAILED, attempts.c.failure != FailureKind.OVER_BUDGET.value)
)
_tokens = sa.cast(attempts.c.tokens_out + TOKENS_TO_BEGIN, sa.Float)
# Without an else: what has no pace or cost is NULL, which no sum and no count takes in.
_pace = sa.case((sa.and_(_completed, attempts.c.total_ms > 0), sa.func.ln(attempts.c.total_ms / _tokens)))
_cost = sa.case(
    (sa.and_(_completed, attempts.c.cost_nanousd > 0), sa.func.ln(sa.cast(attempts.c.cost_nanousd, sa.Float)))
)
_whose = (attempts.c.organisation_id, attempts.c.provider, attempts.c.model)


async def recent(tx: Transaction, now: datetime, window: timedelta) -> Mapping[str, Mapping[Model, Recent]]:
    """Of each organisation the models that it called of late; what the calls cost is not among it."""
    found: defaultdict[str, dict[Model, Recent]] = defaultdict(dict)
    for row in await tx.execute(_calls(now, window)):
        found[row.organisation_id][Model(row.provider, row.model)] = Recent(
            window=Counts(row.calls, row.errors),
            unanswered=Unanswered(row.unanswered, row.first, row.last),
            pace=Logs(row.paces, row.pace or 0.0),
        )
    return found


def _calls(now: datetime, window: timedelta) -> sa.Select[Any]:
    ended, by_provider = attempts.c.ended_at, (attempts.c.organisation_id, attempts.c.provider)
    answered_at = sa.func.max(sa.case((_answered, ended))).over(partition_by=by_provider)
    calls = (
        sa.select(
            *_whose, ended, _pace.label("pace"), sa.not_(_answered).label("error"), answered_at.label("answered_at")
        )
        .where(_counted, *_ended(now - window, now))
        .subquery()
    )
    since = sa.and_(calls.c.error, sa.or_(calls.c.answered_at.is_(None), calls.c.ended_at > calls.c.answered_at))
    whose = [calls.c[column.key] for column in _whose]
    return sa.select(
        *whose,
        sa.func.count().label("calls"),
        sa.func.count().filter(calls.c.error).label("errors"),
        sa.func.count().filter(since).label("unanswered"),
        sa.func.min(calls.c.ended_at).filter(since).label("first"),
        sa.func.max(calls.c.ended_at).filter(since).label("last"),
        sa.func.count(calls.c.pace).label("paces"),
        sa.func.sum(calls.c.pace).label("pace"),
    ).group_by(*whose)


def _ended(since: datetime, until: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """Between the two, in any organisation."""
    return (
        attempts.c.started_at >= since - _LONGEST_CALL,
        attempts.c.ended_at >= since,
        attempts.c.ended_at <= until,
    )


async def paces(
    tx: Transaction, of: Collection[str], since: datetime, until: datetime, stretch: timedelta
) -> Mapping[tuple[str, Model], History]:
    """How fast the models of these organisations answered between the two moments."""
    return await _histories(tx, _pace, of, since, until, stretch)


async def costs(
    tx: Transaction, of: Collection[str], since: datetime, until: datetime, stretch: timedelta
) -> Mapping[tuple[str, Model], History]:
    """How dear their answers were."""
    return await _histories(tx, _cost, of, since, until, stretch)


async def _histories(
    tx: Transaction,
    value: sa.ColumnElement[Any],
    of: Collection[str],
    since: datetime,
    until: datetime,
    stretch: timedelta,
) -> Mapping[tuple[str, Model], History]:
    seconds = int(stretch.total_seconds())
    number = sa.cast(sa.extract("epoch", attempts.c.started_at), sa.BigInteger) // seconds
    logs = (
        sa.select(*_whose, number.label("number"), value.label("value"))
        .where(attempts.c.organisation_id.in_(of), attempts.c.started_at >= since, attempts.c.started_at < until)
        .where(_completed)
        .subquery()
    )
    keys = [logs.c[column.key] for column in _whose]
    each = (
        sa.select(
            *keys,
            logs.c.number,
            sa.func.count().label("calls"),
            sa.func.sum(logs.c.value).label("total"),
            sa.func.sum(logs.c.value * logs.c.value).label("squares"),
        )
        .where(logs.c.value.is_not(None))
        .group_by(*keys, logs.c.number)
        .subquery()
    )
    calls = sa.cast(each.c.calls, sa.Float)
    keys = [each.c[column.key] for column in _whose]
    query = sa.select(
        *keys,
        sa.func.sum(each.c.calls).label("calls"),
        sa.func.sum(each.c.total).label("total"),
        sa.func.sum(each.c.squares).label("squares"),
        sa.func.sum(each.c.total * each.c.total / calls).label("means"),
        sa.func.sum(calls * calls).label("squared_calls"),
        sa.func.count().label("stretches"),
        sa.func.min(each.c.number).label("first"),
    ).group_by(*keys)
    return {
        (row.organisation_id, Model(row.provider, row.model)): History(
            calls=int(row.calls),
            total=row.total,
            squares=row.squares,
            means=row.means,
            squared_calls=row.squared_calls,
            stretches=row.stretches,
            first=datetime.fromtimestamp(row.first * seconds, UTC),
        )
        for row in await tx.execute(query)
    }

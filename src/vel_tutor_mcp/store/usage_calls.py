"""The attempts that have ended, as reports see them."""

from collections.abc import AsyncIterator
from typing import Any

import sqlalchemy as sa

from vel_tutor_mcp.models import NanoUsd, Outcome
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.spans import Stretch
from vel_tutor_mcp.store.tables import attempts, route_decisions, tasks
from vel_tutor_mcp.store.usage_sums import Call

# Others have their turn after so many.
_AT_ONCE = 500

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
_decided = sa.and_(
    route_decisions.c.task_id == attempts.c.task_id, route_decisions.c.attempt_set == attempts.c.attempt_set
)
_calls = sa.select(
    attempts.c.organisation_id,
    attempts.c.owner_id,
    tasks.c.agent_name,
    attempts.c.provider,
    attempts.c.model,
    sa.func.coalesce(route_decisions.c.task_type, "general"),
    attempts.c.number,
    attempts.c.outcome,
    _fell_back,
    _hedged,
    sa.func.coalesce(attempts.c.tokens_in, 0),
    sa.func.coalesce(attempts.c.tokens_out, 0),
    sa.func.coalesce(attempts.c.cost_nanousd, 0),
    attempts.c.total_ms,
    attempts.c.ended_at,
).select_from(attempts.join(tasks, tasks.c.id == attempts.c.task_id).outerjoin(route_decisions, _decided))


async def ended(tx: Transaction, within: Stretch, *wanted: sa.ColumnElement[bool]) -> AsyncIterator[Call]:
    """The attempts that ended in the stretch, for which all that is `wanted` is so; in no order."""
    query = _calls.where(attempts.c.ended_at >= within.since, attempts.c.ended_at < within.until, *wanted)
    async with tx.stream(query.execution_options(yield_per=_AT_ONCE)) as found:
        async for some in found.partitions():
            for row in some:
                yield _call(row)


def _call(row: sa.Row[Any]) -> Call:
    plain = Call._make(row)
    return plain._replace(
        outcome=Outcome(plain.outcome),
        fell_back=bool(plain.fell_back),
        hedged=bool(plain.hedged),
        cost_nanousd=NanoUsd(plain.cost_nanousd),
    )

"""The writing of roll-ups: an hour or a day at a time, out of its attempts, which have all ended."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.latencies import as_json
from vel_tutor_mcp.store.spans import Span, Step, Stretch, days_since, hours_since
from vel_tutor_mcp.store.tables import attempts
from vel_tutor_mcp.store.usage_calls import ended, latencies_of
from vel_tutor_mcp.store.usage_sums import DIMENSIONS, NUMBERS, Grouping, Sums
from vel_tutor_mcp.store.usage_tables import usage_rolled, usage_rollups

# A kind of row, and what it is told apart by.
Cell = tuple[Grouping, tuple[str, ...]]
Cells = Mapping[Cell, Sums]


async def first_ended(tx: Transaction) -> datetime | None:
    """When the first of all attempts ended; None where there is none."""
    found: datetime | None = await tx.scalar(sa.select(sa.func.min(attempts.c.ended_at)))
    return found


async def rolled(tx: Transaction, since: datetime) -> set[Span]:
    """The hours and days from then on that are rolled up."""
    rows = await tx.execute(sa.select(usage_rolled.c.step, usage_rolled.c.at).where(usage_rolled.c.at >= since))
    return {Span(Step(row.step), row.at) for row in rows}


async def summed(tx: Transaction, span: Span) -> Cells:
    """What the attempts come to that ended in the span."""
    cells: defaultdict[Cell, Sums] = defaultdict(Sums)
    for row in await ended(tx, Stretch(span.at, span.end), span.step, DIMENSIONS[Grouping.OWN_CALLS]):
        latencies = latencies_of(row.times)
        for kind, names in DIMENSIONS.items():
            sums = cells[kind, tuple(getattr(row, name) for name in names)]
            sums.add_numbers(row)
            sums.latencies.update(latencies)
    return cells


async def put(tx: Transaction, span: Span, cells: Cells) -> bool:
    """Store what the span comes to; False where that was done before, which then stands."""
    if await tx.scalar(sa.select(usage_rolled.c.attempts).where(*_is(usage_rolled, span))) is not None:
        return False
    # Of before the span was forgotten: `forget` takes its mark away, and leaves these.
    await tx.execute(usage_rollups.delete().where(*_is(usage_rollups, span)))
    if cells:
        await tx.execute(usage_rollups.insert(), [_row(span, cell, sums) for cell, sums in cells.items()])
    # Each attempt is in one sum of each kind.
    counted = sum(sums.attempts for (kind, _), sums in cells.items() if kind is Grouping.CALLS)
    await tx.execute(usage_rolled.insert(), {"step": span.step, "at": span.at, "attempts": counted})
    return True


async def changed(tx: Transaction, since: datetime) -> list[Span]:
    """The spans from then on that have another number of attempts than when they were rolled up."""
    found = []
    for row in (await tx.execute(sa.select(usage_rolled).where(usage_rolled.c.at >= since))).all():
        span = Span(Step(row.step), row.at)
        now = sa.select(sa.func.count()).where(attempts.c.ended_at >= span.at, attempts.c.ended_at < span.end)
        if await tx.scalar(now) != row.attempts:
            found.append(span)
    return found


async def forget(tx: Transaction, span: Span) -> None:
    """The span counts as not rolled up, until it is rolled up anew."""
    await tx.execute(usage_rolled.delete().where(*_is(usage_rolled, span)))


async def forget_old(tx: Transaction, now: datetime) -> None:
    """Delete what no report reads any more."""
    for table in (usage_rolled, usage_rollups):
        for step, since in ((Step.HOUR, hours_since(now)), (Step.DAY, days_since(now))):
            await tx.execute(table.delete().where(table.c.step == step, table.c.at < since))


async def forget_all(tx: Transaction) -> None:
    for table in (usage_rolled, usage_rollups):
        await tx.execute(table.delete())


def _is(table: sa.Table, span: Span) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return table.c.step == span.step, table.c.at == span.at


def _row(span: Span, cell: Cell, sums: Sums) -> dict[str, object]:
    kind, values = cell
    numbers = {name: getattr(sums, name) for name in NUMBERS}
    told_apart = dict.fromkeys(DIMENSIONS[Grouping.OWN_CALLS]) | dict(zip(DIMENSIONS[kind], values, strict=True))
    return told_apart | numbers | span._asdict() | {"kind": kind, "latencies": as_json(sums.latencies)}

"""What the dashboard's views ask for beside 100,000 tasks of a team: over a month, and all in one day.

Usage is rolled up as a server does it in the background, which is measured too. Each view is asked for as an
administrator, who sees what all of the organisation did.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import compared
import seeding
from databases import NewDatabase, kinds_of_databases
from measure import Result, fewer

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.services.rollups import Rollups
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.usage import Only

SPANS = {"a month": timedelta(days=30), "a day": timedelta(days=1)}
CALLS, WARMUPS = 60, 3
LIMIT_MILLISECONDS = 200.0

Read = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Taken:
    """In milliseconds: the median, the 95th percentile, and the processor's time, which tells little of the load. With
    SQLite that is all there is; PostgreSQL has its own.
    """

    usual: float
    slow: float
    cpu: float


async def results(share: float) -> list[Result]:
    with kinds_of_databases() as kinds:
        return [
            line
            for name, new in kinds.items()
            for during, span in SPANS.items()
            for line in await _on(f"{seeding.TASKS:,} tasks in {during} on {name}", new, span, fewer(CALLS, share))
        ]


async def _on(where: str, new: NewDatabase, span: timedelta, calls: int) -> list[Result]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        keys = {"openai_api_key": "dummy-key", "groq_api_key": "dummy-key"}
        settings = Settings.model_validate({"home": Path(home), "database_url": new(), **keys})
        await seeding.fill(settings, span=span)
        await compared.fill(settings)
        lines = [await _rolled_up(where, settings)]
        async with open_app(settings) as app:
            for view, read in reads(app).items():
                took = await _timed(read, calls)
                lines.append(Result(name=f"{view}, {where}, p50", unit="ms", ours=took.usual))
                lines.append(Result(name=f"{view}, {where}, p95", unit="ms", ours=took.slow, limit=LIMIT_MILLISECONDS))
                lines.append(Result(name=f"{view}, {where}, CPU of the server", unit="ms", ours=took.cpu))
        return lines


def reads(app: App) -> dict[str, Read]:
    """What each view asks for, by its name."""
    me, usage = app.local_principal, app.usage
    return {
        "usage of the day by provider": lambda: usage.report(me, "day", "provider"),
        "usage of the month by model": lambda: usage.report(me, "month", "model"),
        "usage of the month by user": lambda: usage.report(me, "month", "user"),
        "usage of the quarter by type of task": lambda: usage.report(me, "quarter", "task_type"),
        "usage by the hour": lambda: usage.series(me, "day", "model"),
        "usage by the day": lambda: usage.series(me, "month", "model"),
        "usage of an agent by the day": lambda: usage.series(me, "month", "user", Only(agent="writer")),
        "comparisons": lambda: app.comparisons.list(me, limit=100, cursor=0),
        "standings of models": lambda: app.comparisons.standings(me),
        "usage as a file": lambda: usage.series(me, "month", "agent", most=None),
    }


async def _rolled_up(where: str, settings: Settings) -> Result:
    database = database_of(settings)
    try:
        begun = time.perf_counter()
        await Rollups(database).once()
        return Result(name=f"rolling up {where}", unit="s", ours=time.perf_counter() - begun)
    finally:
        await database.close()


async def _timed(read: Read, calls: int) -> Taken:
    took, worked = [], []
    for number in range(WARMUPS + calls):
        begun, busy = time.perf_counter(), time.process_time()
        await read()
        if number >= WARMUPS:
            took.append((time.perf_counter() - begun) * 1000)
            worked.append((time.process_time() - busy) * 1000)
    return Taken(median(took), quantiles(took, n=20)[-1], median(worked))

"""Alerts: how often they are false in simulated months, how soon they tell of incidents, and what a look costs."""

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

import sqlalchemy as sa
from alert_month import DAY, DAYS, MINUTE, MODELS, Call, Incident, incidents, month, with_incidents
from alert_watching import Raised, by_single_calls, watched
from databases import NewDatabase, kinds_of_databases
from measure import Result, fewer

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.models import FailureKind, Outcome, Task, TaskRequest
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.alerts.watch import Watch
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.database import Database
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.tables import attempts

_SEEDS, _LOOKS = 10, 40
_KEY = {"openai_api_key": "dummy-key"}  # else no task is taken
_PROVIDERS = len({model.provider for model in MODELS})
_JUDGED = (7 * DAY, DAYS * DAY)
_INCIDENTS = {
    "latency": ("a provider is 3 times as slow for an hour", 45.0),
    "error_rate": ("a provider fails 30 % for an hour", 45.0),
    "provider_down": ("a provider is out for an hour", 15.0),
    "cost": ("a provider costs 4 times as much for a day", 24 * 60.0),
}
_CALLS, _BATCH = 100_000, 1000
_MOST_FALSE, _MOST_MISSED, _LONGEST_LOOK, _LONGEST_HOURLY = 1.0, 5.0, 200.0, 2000.0


class _Judged(NamedTuple):
    """One simulated month: the alerts where nothing is wrong, how many there were by single calls, and of each kind of
    incident after how many minutes it is told, if it is.
    """

    false: Mapping[str, int]
    by_single_calls: int
    delays: Sequence[tuple[str, float | None]]


async def results(share: float) -> list[Result]:
    # By all processors: each month is some ten seconds of work for one.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        months = list(pool.map(_judged, range(fewer(_SEEDS, share))))
    lines = [*_false(months), *_told(months)]
    with kinds_of_databases() as kinds:
        for name, new in kinds.items():
            lines += await _looks(name, new, fewer(_LOOKS, share))
    return lines


def _judged(seed: int) -> _Judged:
    calls = month(seed)
    false = Counter(each.key.kind.value for each in watched(calls, *_JUDGED))
    raised = watched(with_incidents(calls, seed), *_JUDGED)
    delays = [(incident.kind, _delay(incident, raised)) for incident in incidents()]
    return _Judged(false, by_single_calls(calls, *_JUDGED), delays)


def _false(months: Sequence[_Judged]) -> list[Result]:
    """In months in which nothing is wrong; theirs are the mean and three sigmas of single calls."""
    whole = Result(
        name="false alarms, a provider and month",
        unit="alerts",
        ours=_mean([sum(month.false.values()) / _PROVIDERS for month in months]),
        theirs=_mean([month.by_single_calls / _PROVIDERS for month in months]),
        limit=_MOST_FALSE,
    )
    of_kinds = [
        Result(
            name=f"of these {kind}",
            unit="alerts",
            ours=_mean([month.false.get(kind, 0) / _PROVIDERS for month in months]),
        )
        for kind in _INCIDENTS
    ]
    return [whole, *of_kinds]


def _told(months: Sequence[_Judged]) -> list[Result]:
    lines = []
    for kind, (what, limit) in _INCIDENTS.items():
        delays = [delay for month in months for of, delay in month.delays if of == kind]
        found = [delay for delay in delays if delay is not None]
        missed = 100 * (1 - len(found) / len(delays))
        lines += [
            Result(name=f"{what}: not told", unit="%", ours=missed, limit=_MOST_MISSED),
            Result(name=f"{what}: told after", unit="minutes", ours=median(found), limit=limit),
        ]
    return lines


def _delay(incident: Incident, raised: Sequence[Raised]) -> float | None:
    """Minutes until it is told; None where it is not while it lasts."""
    for each in raised:
        of_it = each.key.kind.value == incident.kind and each.key.subject.partition("/")[0] == incident.provider
        if of_it and incident.at <= each.at <= incident.until:
            return (each.at - incident.at) / MINUTE
    return None


async def _looks(name: str, new: NewDatabase, looks: int) -> list[Result]:
    """Of one process, beside 100,000 calls of the last eight days."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        settings = Settings.model_validate({"home": Path(home), "database_url": new(), "concurrency": 0, **_KEY})
        now = record.now()
        async with open_app(settings) as app:
            task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))
        database = database_of(settings)
        try:
            await _fill(database, task, now)
            clock = _Clock(now)
            hourly = [await _look(Watch(database, None, clock)) for _ in range(5)]
            watch = Watch(database, None, clock)
            await watch.once()
            taken = [await _look(watch) for _ in range(looks)]
        finally:
            await database.close()
    where = f"beside {_CALLS:,} calls of 8 days on {name}"
    return [
        Result(name=f"a look {where}, p95", unit="ms", ours=quantiles(taken, n=20)[-1], limit=_LONGEST_LOOK),
        Result(name=f"the first look of an hour {where}", unit="ms", ours=median(hourly), limit=_LONGEST_HOURLY),
    ]


async def _fill(database: Database, task: Task, now: datetime) -> None:
    """All calls are of one task, for nobody here looks at tasks."""
    calls = [call for seed in range(8) for call in month(seed, 8)][:_CALLS]
    of_task = {"organisation_id": task.organisation_id, "owner_id": task.owner_id, "task_id": task.id, "attempt_set": 2}
    rows = [of_task | _row(call, number, now) for number, call in enumerate(calls)]
    async with database.write(task.organisation_id) as tx:
        for first in range(0, len(rows), _BATCH):
            await tx.execute(attempts.insert(), rows[first : first + _BATCH])
        await tx.execute(sa.text("ANALYZE"))  # PostgreSQL does so by itself, a minute later


def _row(call: Call, number: int, now: datetime) -> dict[str, Any]:
    ended = now - timedelta(seconds=8 * DAY - call.at)
    return {
        "id": str(uuid4()),
        "number": number,
        "provider": call.provider,
        "model": call.model,
        "outcome": Outcome.FAILED if call.failed else Outcome.COMPLETED,
        "failure": FailureKind.SERVER_ERROR if call.failed else None,
        "tokens_out": None if call.failed else call.tokens,
        "total_ms": round(call.ms),
        "cost_nanousd": 0 if call.failed else call.nano,
        "started_at": ended - timedelta(milliseconds=call.ms),
        "ended_at": ended,
    }


class _Clock:
    """A minute is over at each look, from the beginning of an hour on: so the usual is learned but once."""

    def __init__(self, now: datetime) -> None:
        self._now = now.replace(minute=0, second=0)

    def __call__(self) -> datetime:
        self._now += timedelta(minutes=1)
        return self._now


async def _look(watch: Watch) -> float:
    begun = time.perf_counter()
    await watch.once()
    return 1000 * (time.perf_counter() - begun)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

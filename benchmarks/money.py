"""What a call must read of the ledger: three budgets of a month in which 100,000 calls were made.

Ours reads kept sums and what came after them; theirs adds up the month, as it is without them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from databases import kinds_of_databases
from measure import Result, against, both_in_turn, fewer

from vel_tutor_mcp.app import upgrade
from vel_tutor_mcp.models import AgentConfig, AgentType, Attempt, NanoUsd, Outcome, Task, TaskRequest
from vel_tutor_mcp.services import intake
from vel_tutor_mcp.services.agents import insert
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import attempts, budgets, people, tasks
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction
from vel_tutor_mcp.store.money_tables import ledger, ledger_sums
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.standing import Budget, Period, Scope
from vel_tutor_mcp.store.tables import attempts as attempt_rows

CALLS = 100_000
ROUNDS, READS = 9, 20
LIMIT_MILLISECONDS = 5.0

# In the middle of a month, whenever it is measured.
_NOW = datetime(2026, 11, 28, tzinfo=UTC)
_BATCH = 5_000


async def results(share: float) -> list[Result]:
    lines = []
    with kinds_of_databases() as kinds, TemporaryDirectory(ignore_cleanup_errors=True) as home:
        for name, new in kinds.items():
            database = database_of(Settings.model_validate({"home": Path(home), "database_url": new()}))
            await asyncio.to_thread(upgrade, database)
            task = await _filled(database)
            taken = await both_in_turn(
                partial(_timed, database, task, _keep),
                partial(_timed, database, task, _drop),
                rounds=fewer(ROUNDS, share),
            )
            what = f"three budgets, {CALLS:,} calls in the month, on {name} / added up"
            lines.append(against(what, taken, float, unit="ms", limit=LIMIT_MILLISECONDS))
            await database.close()
    return lines


async def _timed(database: Database, task: Task, prepare: Callable[[Transaction, Task], Awaitable[None]]) -> float:
    """Milliseconds of one reading of all three."""
    async with database.write(INSTALLATION) as tx:
        await prepare(tx, task)
    await database.close()  # so that no statement keeps the plan that was best for the other
    async with database.read(INSTALLATION) as tx:
        await budgets.standings(tx, Payer.of(task), _NOW)
        started = time.perf_counter()
        for _ in range(READS):
            await budgets.standings(tx, Payer.of(task), _NOW)
        return (time.perf_counter() - started) * 1000 / READS


async def _keep(tx: Transaction, task: Task) -> None:
    found = await budgets.standings(tx, Payer.of(task), _NOW)
    await budgets.keep_sums(tx, task.organisation_id, found)


async def _drop(tx: Transaction, _: Task) -> None:
    await tx.execute(ledger_sums.delete())


async def _filled(database: Database) -> Task:
    """One task with all the calls of a month, under budgets of its agent, user and organisation."""
    async with database.write(INSTALLATION) as tx:
        me = await people.local_principal(tx, "tester", _NOW)
        agent = await insert(tx, me, "default", AgentType.RESEARCHER, AgentConfig())
        task = intake.new_task(me, agent, TaskRequest(prompt="Say hello"))
        await tasks.insert(tx, task)
        for scope, subject in (
            (Scope.AGENT, agent.id),
            (Scope.USER, me.user_id),
            (Scope.ORGANISATION, me.organisation_id),
        ):
            budget = Budget(scope=scope, subject_id=subject, period=Period.MONTH, limit_nanousd=NanoUsd(10**12))
            await budgets.put(tx, budget, me.organisation_id, me.user_id, _NOW)
        first = Attempt(
            id=str(uuid4()),
            task_id=task.id,
            attempt_set=1,
            number=1,
            provider="groq",
            model="m",
            outcome=Outcome.OPEN,
            started_at=_NOW - timedelta(days=27),
        )
        await attempts.open_attempt(tx, task, first, NanoUsd(5000))
        await attempts.close(tx, first.id, attempts.Ending(outcome=Outcome.COMPLETED, cost_nanousd=NanoUsd(3000)), _NOW)
        await _copies(tx, first)
    with database.blocking_engine(INSTALLATION).begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    return task


async def _copies(tx: Transaction, first: Attempt) -> None:
    made = (await tx.execute(attempt_rows.select())).mappings().one()
    booked = (await tx.execute(ledger.select())).mappings().one()
    step = timedelta(days=27) / CALLS
    for begin in range(1, CALLS, _BATCH):
        calls = [
            replace(first, id=str(uuid4()), number=number + 1, started_at=first.started_at + step * number)
            for number in range(begin, min(begin + _BATCH, CALLS))
        ]
        rows = [dict(made) | {"id": call.id, "number": call.number, "started_at": call.started_at} for call in calls]
        await tx.execute(attempt_rows.insert(), rows)
        settled = [
            dict(booked) | {"id": call.id, "attempt_id": call.id, "reserved_at": call.started_at} for call in calls
        ]
        await tx.execute(ledger.insert(), settled)

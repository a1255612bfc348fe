"""Lists and gets beside 10,000 stored runs, through an in-memory client; against the same beside 10.

One run is made by the product. The others are copies of its rows, made by the database itself: with ids of their own,
each a second older than the one before, and every tenth failed. Audit entries are not copied: nothing here reads them.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from databases import NewDatabase, kinds_of_databases
from mcp import Client
from measure import CONTROL, OURS, THEIRS, Result, against, fewer
from upstream import upstream

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import columns, money_tables, run_tables, search_tables, tables
from vel_tutor_mcp.store.database import INSTALLATION, Transaction
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.workflows.model import RunRequest

MANY, FEW = 10_000, 10
WORDS = 20
ROUNDS = 6
WARMUPS, CALLS_IN_ROUND = 5, 60
LIMIT_MILLISECONDS = 50.0

_STEPS = 5
_DEFINITION = {
    "steps": [
        {"id": f"s{place}", "kind": "task", "prompt": f"Do {place}.", "needs": [f"s{place - 1}"] if place else []}
        for place in range(_STEPS)
    ]
}
# Those that refer to others come after them.
_COPIED = (
    run_tables.runs,
    run_tables.run_steps,
    run_tables.run_events,
    tables.tasks,
    search_tables.task_texts,
    tables.task_events,
    tables.route_decisions,
    tables.attempts,
    money_tables.ledger,
)
_IDS = frozenset({"id", "run_id", "task_id", "attempt_id"})
_FAILED_EVERY = 10
# Odd, so that it gives each number another place: copies' ids are in no order, as true ones are.
_SCATTER = 2_654_435_761

Read = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Times:
    """In milliseconds."""

    usual: float
    slow: float


async def results(share: float) -> list[Result]:
    with kinds_of_databases() as kinds:
        return [line for name, new in kinds.items() for line in await _on(name, new, fewer(ROUNDS, share))]


async def _on(name: str, new: NewDatabase, rounds: int) -> list[Result]:
    with ExitStack() as stack:
        provider = stack.enter_context(upstream(WORDS))
        homes = [Path(stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))) for _ in range(2)]
        many, few = (_settings(home, new(), provider.base_url) for home in homes)
        await _fill(many, MANY)
        await _fill(few, FEW)
        taken: dict[str, dict[str, list[Times]]] = {}
        for number in range(rounds):
            turn = [(OURS, many), (THEIRS, few), (CONTROL, few)]
            for who, settings in turn[number % 3 :] + turn[: number % 3]:
                for what, times in (await _times(settings)).items():
                    taken.setdefault(what, {}).setdefault(who, []).append(times)
    lines = []
    for what, by in taken.items():
        named = f"{what}, {MANY:,} runs on {name}"
        lines.append(against(f"{named}, p50 / {FEW} runs", by, lambda times: times.usual, unit="ms"))
        lines.append(
            against(f"{named}, p95 / {FEW} runs", by, lambda times: times.slow, unit="ms", limit=LIMIT_MILLISECONDS)
        )
    return lines


def _settings(home: Path, url: str | None, base_url: str) -> Settings:
    values = {"home": home, "database_url": url, "openai_api_key": "dummy-key", "openai_base_url": base_url}
    return Settings.model_validate(values)


async def _times(settings: Settings) -> dict[str, Times]:
    """Of each way to read; the product is opened anew, since a process can hold only one."""
    desk = Desk()
    async with open_app(settings) as app:
        desk.opened(app)
        async with Client(make_server(desk), mode="legacy") as client:
            return {what: await _timed(read) for what, read in (await _reads(app, client)).items()}


async def _reads(app: App, client: Client) -> dict[str, Read]:
    me = app.local_principal
    page = await app.runs.list(me, limit=100)
    run_id = page.rows[-1].id

    def tool(name: str, **arguments: Any) -> Read:
        async def read() -> None:
            result = await client.call_tool(name, arguments)
            assert not result.is_error, result

        return read

    return {
        "list of runs": tool("workflow_get"),
        "second page": tool("workflow_get", cursor=page.cursors[FEW // 2]),
        "list of completed runs": lambda: app.runs.list(me, status=TaskStatus.COMPLETED),
        "list of runs of a state that none has": lambda: app.runs.list(me, status=TaskStatus.AWAITING_APPROVAL),
        "list of a workflow's runs": lambda: app.runs.list(me, workflow="five"),
        "get of a run": tool("workflow_get", id=run_id),
        "list of tasks": tool("task_list"),
        "list of failed tasks": tool("task_list", status="failed"),
        "list of tasks of a state that none has": tool("task_list", status="in_progress"),
        "list of tasks by words that none has": tool("task_list", query="no such words"),
    }


async def _timed(read: Read) -> Times:
    for _ in range(WARMUPS):
        await read()
    took = []
    for _ in range(CALLS_IN_ROUND):
        begun = time.perf_counter()
        await read()
        took.append((time.perf_counter() - begun) * 1000)
    return Times(median(took), quantiles(took, n=20)[-1])


async def _fill(settings: Settings, runs: int) -> None:
    async with open_app(settings) as app:
        await app.workflows.save(app.local_principal, "five", _DEFINITION)
        run = await app.runs.start(app.local_principal, RunRequest(workflow="five", inputs={}))
        told = await app.runs.follow(app.local_principal, run.id, 45)
        assert told.status is TaskStatus.COMPLETED, told
    database = database_of(settings)
    try:
        async with database.write(INSTALLATION) as tx:
            for table in _COPIED:
                await tx.execute(_copies(tx, table, runs - 1))
        if database.engine_schema is not None:  # PostgreSQL does so by itself, a minute later
            async with database.write(INSTALLATION) as tx:
                await tx.execute(sa.text("ANALYZE"))
    finally:
        await database.close()


def _copies(tx: Transaction, table: sa.Table, count: int) -> sa.Insert:
    """So many copies of every row of the table, one after the other."""
    sqlite = tx.dialect.name == "sqlite"
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < count))
    columns = [column for column in table.columns if column.name != "sequence"]
    values = [_copied(table, column, numbers.c.n, sqlite=sqlite) for column in columns]
    copies = sa.select(*values).select_from(sa.join(table, numbers, sa.true())).order_by(numbers.c.n)
    return table.insert().from_select([column.name for column in columns], copies)


def _copied(
    table: sa.Table, column: sa.Column[Any], number: sa.ColumnElement[int], *, sqlite: bool
) -> sa.ColumnElement[Any]:
    if column.name in _IDS:
        return _other_id(column, number, sqlite=sqlite)
    if isinstance(column.type, columns.Utc):
        return _earlier(column, number, sqlite=sqlite)
    if column.name == "status" and table in {run_tables.runs, tables.tasks}:
        return sa.case((number % _FAILED_EVERY == 0, "failed"), else_=column)
    return column


def _other_id(column: sa.Column[Any], number: sa.ColumnElement[int], *, sqlite: bool) -> sa.ColumnElement[Any]:
    scattered = (sa.cast(number, sa.BigInteger) * _SCATTER) % 2**32
    if sqlite:
        return sa.func.printf("%08x", scattered).concat(sa.func.substr(column, 9))
    text = sa.func.lpad(sa.func.to_hex(scattered), 8, "0").concat(sa.func.substr(sa.cast(column, sa.Text), 9))
    return sa.cast(text, sa.Uuid)


def _earlier(column: sa.Column[Any], number: sa.ColumnElement[int], *, sqlite: bool) -> sa.ColumnElement[Any]:
    if sqlite:
        ago = sa.literal("-").concat(sa.cast(number, sa.Text)).concat(" seconds")
        return sa.func.strftime("%Y-%m-%d %H:%M:%f", column, ago).concat("000")
    return sa.type_coerce(column, sa.DateTime) - number * sa.text("interval '1 second'")

"""Many stored tasks: a start, what it has to recover and retention do no more work for them, but for those of today.

`VEL_TEST_STORED=100000` stores so many; without it a couple of thousand. Work is counted, not timed: steps of SQLite's
machine, rows that PostgreSQL read.
"""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from postgresql import query
from revisions import REVISIONS, connected, migrated
from seeding import fill
from server import soon
from sqlalchemy import event
from waits import block_until

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.models import Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.care import _MOST_PRUNED
from vel_tutor_mcp.services.doctor.checkup import check_up
from vel_tutor_mcp.services.doctor.verdicts import Verdict
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import schema
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.people_tables import grants
from vel_tutor_mcp.store.places import FILE_NAME, database_of
from vel_tutor_mcp.store.tables import tasks

pytestmark = pytest.mark.anyio

STORED = int(os.environ.get("VEL_TEST_STORED", "2000"))
LEFT = 4
MANY_OVER = 2 * _MOST_PRUNED + 1
# A start reads its own few rows; and looks again each second, for as long as it takes.
AT_MOST_TIMES = 1.5
# And once whether each task of the last day can be found by its words, which an older server beside it leaves undone.
FOR_A_TASK_OF_TODAY, DAYS = 20, 30
STEPS = 100
ROWS_READ = "SELECT tup_returned + tup_fetched FROM pg_stat_database WHERE datname = current_database()"
OTHERS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Work:
    """What was done by all connections that were made meanwhile."""

    amount = 0


@contextmanager
def counted(settings: Settings) -> Iterator[Work]:
    """Of whatever is opened and closed within."""
    work = Work()
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        before = rows_read(url)
        yield work
        work.amount = rows_read(url) - before
        return

    def step() -> int:
        work.amount += STEPS
        return 0

    def watch(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_progress_handler(step, STEPS)
        else:
            connection.run_async(lambda driver: driver.set_progress_handler(step, STEPS))

    event.listen(sa.Engine, "connect", watch)
    yield work
    event.remove(sa.Engine, "connect", watch)


def rows_read(url: str) -> int:
    """By all who were connected: each session adds what it has read to the sum as it ends, soon after it was closed."""
    block_until(lambda: not query(url, OTHERS))
    ((rows,),) = query(url, ROWS_READ)
    return int(rows)


async def leave_work(settings: Settings) -> list[str]:
    """Tasks that wait, and tasks that a process had begun which is no more."""
    async with open_app(settings.model_copy(update={"concurrency": 0})) as app:
        me = app.local_principal
        left = [(await app.tasks.submit(me, TaskRequest(prompt=f"Go on {number}"))).id for number in range(LEFT)]
        async with app._parts.database.write(INSTALLATION) as tx:
            begun = tasks.update().where(tasks.c.id.in_(left[: LEFT // 2]))
            await tx.execute(begun.values(status=TaskStatus.IN_PROGRESS, executor="gone-1-0", running=True))
    return left


async def work_of_a_start(settings: Settings) -> int:
    """Of opening, ending what was left, and closing."""
    left = await leave_work(settings)
    with counted(settings) as work:
        async with open_app(settings) as app:
            told = [await soon(app.tasks.follow(app.local_principal, task_id, 30)) for task_id in left]
    assert {one.task.status for one in told} == {TaskStatus.COMPLETED}
    return work.amount


def tables_anew(settings: Settings) -> None:
    """To the tables of some versions ago, and up again as a start does it."""
    with connected(settings) as connection:
        schema.to_revision(connection, REVISIONS[-6])
    migrated(settings)


def backed_up(settings: Settings) -> Settings:
    """As docs/deploy.md has it; of a PostgreSQL none is made here."""
    if settings.database_url is not None:
        return settings
    home = settings.home.with_name("backup")
    home.mkdir()
    with closing(sqlite3.connect(settings.home / FILE_NAME)) as connection:
        connection.execute("VACUUM INTO ?", [str(home / FILE_NAME)])
    return settings.model_copy(update={"home": home})


@pytest.mark.timeout(90 + STORED / 50)
async def test_a_start_and_what_it_recovers_do_no_more_beside_many_tasks_which_outlive_upgrade_and_backup(
    settings: Settings,
) -> None:
    await work_of_a_start(settings)
    empty = await work_of_a_start(settings)
    await fill(settings, STORED, timedelta(days=DAYS))
    full = await work_of_a_start(settings)
    await asyncio.to_thread(tables_anew, settings)
    found = {finding.check: finding for finding in await check_up(lambda: settings, database_of)}
    async with open_app(backed_up(settings)) as app:
        page = await app.tasks.list(app.local_principal, limit=5, cursor=0)

    assert 0 < full < AT_MOST_TIMES * empty + FOR_A_TASK_OF_TODAY * STORED / DAYS, (full, empty)
    assert found["database"].verdict is Verdict.OK
    assert page.total == STORED + 3 * LEFT


async def test_what_nobody_asks_for_any_more_goes_in_steps_of_bounded_size(app: App, me: Principal) -> None:
    await soon(first_round(app))
    over = record.now() - timedelta(days=1)
    row = {"organisation_id": me.organisation_id, "owner_id": me.user_id, "kind": "session", "name": None}
    times = {"created_at": over, "expires_at": over}
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(grants.insert(), [{"id": str(uuid4()), **row, **times} for _ in range(MANY_OVER)])

    more = [await app._care.prune() for _ in range(3)]
    async with app._parts.database.read(INSTALLATION) as tx:
        left = await tx.scalar(sa.select(sa.func.count()).select_from(grants))
    assert (more, left) == ([True, True, False], 0)


async def first_round(app: App) -> None:
    """Until the care loop has done so itself, and does not again for an hour."""
    while record.now() - app._care._tidied_at > timedelta(minutes=30):
        await app.ping()

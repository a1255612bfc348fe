"""Callers that go away in the middle of anything: what they began is carried to its end, and nothing stays locked."""

import asyncio
from random import Random

import anyio
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from waits import turns

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.store import database as store
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken

pytestmark = pytest.mark.anyio

CALLERS = 60
LATEST_LEAVE_SECONDS = 0.03


async def test_a_caller_may_leave_at_any_moment_and_every_task_still_ends(app: App, me: Principal) -> None:
    random = Random(20261123)
    for number in range(CALLERS):
        with anyio.move_on_after(random.uniform(0, LATEST_LEAVE_SECONDS)):
            task = await app.tasks.submit(me, TaskRequest(prompt=f"Say {number}"))
            await app.tasks.follow(me, task.id, 10)

    submitted = (await app.tasks.list(me, limit=100)).rows
    ended = [(await app.tasks.follow(me, task.id, 20)).task.status for task in submitted]

    assert len(submitted) > CALLERS / 4
    assert set(ended) == {TaskStatus.COMPLETED}
    async with asyncio.timeout(10):  # the product's own loops borrow a connection now and then
        while app._parts.database._engine.sync_engine.pool.checkedout():  # type: ignore[attr-defined]  # the pool's kind
            await app.ping()


async def test_who_has_left_costs_nothing_while_what_they_began_is_carried_to_its_end() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    @unbroken
    async def slow() -> None:
        begun.set()
        await may_end.wait()

    leaving = anyio.CancelScope()

    async def caller() -> bool:
        with leaving:
            await slow()
        return leaving.cancelled_caught

    calling = asyncio.create_task(caller())
    await begun.wait()
    leaving.cancel()
    await turns(50)
    woken = calling.cancelling()
    may_end.set()

    assert await calling
    assert woken <= 2


class Left:
    """A transaction whose caller has left: it goes on until it is told to end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        async with self._database.read(INSTALLATION) as tx:
            await tx.execute(sa.text("SELECT 1"))
            self.begun.set()
            await self.may_end.wait()
            await tx.execute(sa.text("SELECT 1"))


@pytest.fixture
def connections(database: Database) -> set[object]:
    """Those of the database that are open."""
    found: set[object] = set()
    event.listen(database._engine.sync_engine, "connect", lambda connection, _: found.add(connection))
    event.listen(database._engine.sync_engine, "close", lambda connection, _: found.discard(connection))
    return found


async def test_a_database_that_is_closed_waits_for_what_is_under_way_and_leaves_no_connection_open(
    database: Database, connections: set[object]
) -> None:
    left = Left(database)
    leaving = asyncio.create_task(left.run())
    await left.begun.wait()
    closing = asyncio.create_task(database.close())
    await turns(50)
    assert not closing.done()
    left.may_end.set()
    await closing
    assert connections == set()

    await leaving
    await database.ping()  # by somebody who does not know
    assert connections == set()


async def test_what_outlasts_the_closing_of_a_database_holds_it_up_no_longer_and_frees_its_connection_as_it_ends(
    database: Database, connections: set[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_CLOSING_SECONDS", 0.05)
    left = Left(database)
    leaving = asyncio.create_task(left.run())
    await left.begun.wait()
    async with asyncio.timeout(10):
        await database.close()
        await database.close()
    assert len(connections) == 1
    left.may_end.set()
    await leaving
    assert connections == set()

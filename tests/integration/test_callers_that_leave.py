"""Callers that go away in the middle of anything: what they began is carried to its end, and nothing stays locked."""

import asyncio
from random import Random

import anyio
import pytest
from waits import turns

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.store.database import unbroken

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

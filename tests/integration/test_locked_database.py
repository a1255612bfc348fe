"""Another program holds the database: who writes waits for it, or is told; nothing is lost and nothing is done twice.

In a thread, for to get hold of it waits for the product, whose statements need the loop.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from server import one_sentence
from world import Providers

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.models import Task, TaskRequest
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import postgresql, sqlite
from vel_tutor_mcp.store.places import FILE_NAME

pytestmark = pytest.mark.anyio

MORE = TaskRequest(prompt="Say more", idempotency_key="more")


def got_hold(settings: Settings) -> Any:
    """A connection of another program, in a transaction after whose beginning nobody else writes a task."""
    if settings.database_url is None:
        file = sqlite3.connect(settings.home / FILE_NAME, timeout=40, isolation_level=None, check_same_thread=False)
        file.execute("BEGIN EXCLUSIVE")
        return file
    connection = psycopg.connect(settings.database_url.get_secret_value())
    connection.execute("LOCK TABLE vel_tutor.tasks IN ACCESS EXCLUSIVE MODE")
    return connection


@asynccontextmanager
async def held(settings: Settings) -> AsyncIterator[None]:
    other = await asyncio.to_thread(got_hold, settings)
    try:
        yield
    finally:
        await asyncio.to_thread(other.close)


async def running(app: App, providers: Providers) -> Task:
    """A task whose answer is on its way."""
    providers.groq.tokens_per_second, providers.groq.answer = 20, lambda _: "word " * 800
    task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))
    async with asyncio.timeout(40):
        await providers.groq.until(lambda groq: groq.open == 1)
    return task


async def answered(providers: Providers) -> None:
    """The answer is there at last."""
    providers.groq.tokens_per_second = 0
    async with asyncio.timeout(40):
        await providers.groq.until(lambda groq: groq.open == 0)


async def all_is_done_once(app: App, providers: Providers, *made: Task) -> None:
    me = app.local_principal
    done = [await app.tasks.follow(me, task.id, 30) for task in made]
    assert {told.task.status for told in done} == {"completed"}
    assert [[attempt.outcome for attempt in told.attempts] for told in done] == [["completed"]] * len(made)
    assert len((await app.tasks.list(me)).rows) == len(providers.groq.requests) == len(made)
    assert (await app.audit.verify(me)).ok


async def test_who_writes_while_another_program_holds_the_database_waits_until_it_lets_go(
    app: App, settings: Settings, providers: Providers
) -> None:
    task = await running(app, providers)
    async with held(settings):
        submitting = asyncio.create_task(app.tasks.submit(app.local_principal, MORE))
        await answered(providers)
        assert not submitting.done()
    await all_is_done_once(app, providers, task, await submitting)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty seconds are one."""
    monkeypatch.setattr(sqlite, "LOCK_WAIT_SECONDS", 1)
    monkeypatch.setattr(postgresql, "_SESSION", {**postgresql._SESSION, "lock_timeout": "1s"})


@pytest.mark.usefixtures("impatient")
async def test_who_waits_too_long_for_another_program_is_told_and_what_is_paid_for_is_kept(
    settings: Settings, providers: Providers
) -> None:
    async with open_app(settings) as app:
        task = await running(app, providers)
        async with held(settings):
            await answered(providers)
            with pytest.raises(Unavailable, match="is locked; another process") as refused:
                await app.tasks.submit(app.local_principal, MORE)
        again = await app.tasks.submit(app.local_principal, MORE)
        assert (await app.tasks.submit(app.local_principal, MORE)).id == again.id
        await all_is_done_once(app, providers, task, again)

    assert one_sentence(str(refused.value))

"""The disk is full when a server does what nobody asked for: it is told, tried again, and done once."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from full import full_disk
from receivers import receiving
from server import one_sentence, soon
from time_machine import travel
from world import Providers

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.models import Principal, TaskRequest
from vel_tutor_mcp.services.alerts.watch import Watch
from vel_tutor_mcp.services.audit.keeping import Keeping
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.rollups import Rollups
from vel_tutor_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)]

HELLO = TaskRequest(prompt="Say hello")


def works_of(app: App, settings: Settings) -> Mapping[str, Callable[[], Awaitable[object]]]:
    database = app._parts.database
    keeping = Keeping(database, Keys(settings), settings.home / "archives", days=0)
    return {"roll up": Rollups(database).once, "look": Watch(database, None).once, "sign and archive": keeping.once}


async def refused(work: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(VelError) as problem:
        await work()
    return str(problem.value)


async def test_what_is_due_while_the_disk_is_full_is_done_once_there_is_room(
    app: App, me: Principal, settings: Settings
) -> None:
    task = await app.tasks.submit(me, HELLO)
    told = await app.tasks.follow(me, task.id, 30)
    works = works_of(app, settings)
    with travel(datetime.now(UTC) + timedelta(hours=3), tick=True):
        with full_disk():
            sentences = [await refused(work) for work in works.values()]
        for work in works.values():
            await work()
        assert await Rollups(app._parts.database).once() == 0
        report = await app.usage.report(me, "day", "provider")
        proven = await app.audit.verify(me, with_archives=True)

    assert all(one_sentence(sentence) and "make room" in sentence for sentence in sentences), sentences
    assert report.shown()["cost_usd"] == pytest.approx(sum(row.cost_nanousd or 0 for row in told.attempts) / 1e9)
    assert proven.ok


async def test_an_event_of_a_time_when_the_disk_was_full_is_told_once(settings: Settings, providers: Providers) -> None:
    providers.groq.tokens_per_second, providers.groq.answer = 20, lambda _: "word " * 800
    async with (
        receiving() as receiver,
        open_app(settings.model_copy(update={"private_networks": "127.0.0.1/32"})) as app,
    ):
        me = app.local_principal
        await app.webhooks.create(me, receiver.url, ["task.completed"])
        task = await app.tasks.submit(me, HELLO)
        await soon(providers.groq.until(lambda groq: groq.open == 1))
        with full_disk():
            providers.groq.tokens_per_second = 0
            await soon(providers.groq.until(lambda groq: groq.open == 0))
            assert "make room" in await refused(lambda: app.tasks.submit(me, HELLO))
            assert receiver.sent == []
        assert (await app.tasks.follow(me, task.id, 30)).task.status == "completed"
        await receiver.heard(1)
        await app.tasks.submit(me, HELLO)
        sent = await receiver.heard(2)

    assert len({each.id for each in sent}) == len(sent) == 2

"""Subscriptions in both protocol eras: what is told, to whom, and that nothing stays of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from cues import PROMPTS, Cues
from mcp import Client, MCPError
from mcp.server.auth.middleware.auth_context import auth_context_var
from noted import services_on
from people import Front
from server import one_sentence, soon
from waits import turns, until
from world import ERAS, Era, connected

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.doors.bearer import SignedIn
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.models import Principal, Task, TaskRequest
from vel_tutor_mcp.services import changes
from vel_tutor_mcp.store import stamps
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.workflows.model import How, RunRequest

pytestmark = pytest.mark.anyio

NOWHERE = "917e6895-66c8-445f-b6d6-6f615c07879c"
NOTHING_TO_FOLLOW = {
    f"task://{NOWHERE}": "no such task",
    f"run://{NOWHERE}": "no such run",
    "task://no-id/output": "no such task",
    "guide://start": "cannot be subscribed to",
    "nothing": "cannot be subscribed to",
}
ASKS = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Go on?"}]}
TEMPLATE = ASKS | {"template": True}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"concurrency": 0}  # tasks stay pending, until a test changes them


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> Era:
    era: Era = request.param
    return era


@pytest.fixture
def cues() -> Cues:
    return Cues()


@pytest.fixture
async def client(app: App, cues: Cues, era: Era) -> AsyncIterator[Client]:
    async with connected(app, era, message_handler=cues.hear) as client:
        yield client


def nothing() -> None:
    """What is told is not looked at."""


async def submitted(app: App, owner: Principal) -> Task:
    return await app.tasks.submit(owner, TaskRequest(prompt="Say hello"))


@asynccontextmanager
async def asked_by(desk: Front, account: Account) -> AsyncIterator[None]:
    """Whoever connects meanwhile has come in as this person."""
    caller = await desk.access.verify((await desk.enter(account)).token)
    before = auth_context_var.set(SignedIn(caller, "http://127.0.0.1:4000"))
    yield
    auth_context_var.reset(before)


async def nothing_is_followed(app: App) -> None:
    """Clients' farewells are on their way."""
    await until(lambda: not app.changes.followed)
    assert (app.changes.followed, dict(app.changes._counts)) == (0, {})


async def test_tasks_outputs_runs_and_templates_are_told_of_when_they_change(
    app: App, me: Principal, client: Client, cues: Cues
) -> None:
    task = await submitted(app, me)
    saved = await app.workflows.save(me, f"asks {client.protocol_version}", ASKS)
    run = await app.runs.start(me, RunRequest(workflow=saved.workflow.id, inputs={}))
    of_task = {"tasks://recent", f"task://{task.id}", f"task://{task.id}/output"}
    async with cues.of(client, *of_task, f"run://{run.id}", prompts=True):
        await app.tasks.cancel(me, task.id)
        assert {await cues.next() for _ in of_task} == of_task
        await app.runs.decide(me, run.id, "ok", How.TERMINAL, approve=True)
        assert await cues.next() == f"run://{run.id}"
        await app.workflows.save(me, saved.workflow.name, TEMPLATE)
        assert await cues.next() == PROMPTS
        await app.workflows.save(me, saved.workflow.name, ASKS)
        assert await cues.next() == PROMPTS
        assert cues.none_is_left()


async def test_what_another_process_did_is_told_of_though_its_signals_are_lost(app: App, me: Principal) -> None:
    task, told = await submitted(app, me), asyncio.Event()
    unheard = services_on(app._parts.database, app._parts.settings)
    end = await app.changes.task(me, task.id, told.set)
    await unheard.tasks.cancel(me, task.id)
    await soon(told.wait())
    end()


async def test_many_changes_are_told_as_few_and_the_last_one_is_told(app: App, me: Principal) -> None:
    task, marker = await submitted(app, me), await submitted(app, me)
    told, marked, clock = list[float](), asyncio.Event(), asyncio.get_running_loop().time
    began = clock()
    with ExitStack() as ends:
        ends.callback(await app.changes.task(me, task.id, lambda: told.append(clock())))
        for _ in range(8):
            await app.tasks.cancel(me, task.id)
            await app.tasks.retry(me, task.id)
        last = clock()
        await app.tasks.cancel(me, task.id)
        ends.callback(await app.changes.task(me, marker.id, marked.set))
        await app.tasks.cancel(me, marker.id)
        await soon(marked.wait())
    assert told[-1] > last
    assert len(told) <= 2 + (told[-1] - began) / 0.25


async def test_whoever_leaves_leaves_nothing_behind(app: App, me: Principal, era: Era) -> None:
    uris = [f"task://{(await submitted(app, me)).id}" for _ in range(3)]
    desk = Desk()
    desk.opened(app)
    server = make_server(desk)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            client = await stack.enter_async_context(Client(server, mode=era))
            await stack.enter_async_context(Cues().of(client, *uris, prompts=True))
        assert app.changes.followed >= len(uris)
    await nothing_is_followed(app)


async def test_whoever_leaves_in_the_middle_of_subscribing_follows_nothing(app: App, me: Principal) -> None:
    task = await submitted(app, me)
    for steps in range(8):
        subscribing = asyncio.create_task(app.changes.task(me, task.id, nothing))
        await turns(steps)
        subscribing.cancel()
        await asyncio.wait({subscribing})
        assert subscribing.cancelled()
    await nothing_is_followed(app)


async def test_nobody_learns_of_anothers_things_by_listening(
    app: App, desk: Front, me: Principal, era: Era, cues: Cues
) -> None:
    theirs, owner = await submitted(app, me), await desk.join()
    own = [await submitted(app, owner.principal) for _ in range(2)]
    unheard = services_on(app._parts.database, app._parts.settings)
    async with asked_by(desk, owner), connected(app, era, message_handler=cues.hear) as client:
        hidden = {f"task://{theirs.id}": "no such task", f"task://{theirs.id}/output": "no such task"}
        for uri, why in (hidden | NOTHING_TO_FOLLOW).items():
            with pytest.raises(MCPError, match=why) as refused:
                async with cues.of(client, uri):
                    pass
            assert (refused.value.code, refused.value.data) == (-32602, {"uri": uri})
            assert one_sentence(refused.value.message)
        async with cues.of(client, *(f"task://{task.id}" for task in own), prompts=True):
            await app.workflows.save(me, f"theirs {era}", TEMPLATE)
            await app.tasks.cancel(me, theirs.id)
            for task in own:  # each is found by a look at everything
                await unheard.tasks.cancel(owner.principal, task.id)
                assert await cues.next() == f"task://{task.id}"
            assert cues.none_is_left()
    assert len(await desk.recorded("refused", f"task:{theirs.id}")) == 2


async def test_a_listener_is_told_what_it_will_hear_and_not_what_is_hidden(
    app: App, me: Principal, desk: Front
) -> None:
    theirs, owner = await submitted(app, me), await desk.join()
    own = await submitted(app, owner.principal)
    async with asked_by(desk, owner), connected(app, "auto") as client:
        uris = [f"task://{theirs.id}", f"task://{NOWHERE}", f"task://{own.id}"]
        async with client.listen(resource_subscriptions=uris, tools_list_changed=True) as stream:
            assert stream.honored.resource_subscriptions == [f"task://{own.id}"]
            assert stream.honored.tools_list_changed is None


async def test_who_may_no_longer_see_a_task_is_told_no_more_of_it(app: App, desk: Front) -> None:
    head, owner = await desk.join("org_admin"), await desk.join()
    task = await submitted(app, owner.principal)
    told = asyncio.Queue[Account]()
    with ExitStack() as ends:
        for account in (head, owner):
            ends.callback(await app.changes.task(account.principal, task.id, partial(told.put_nowait, account)))
        await desk.accounts.set_role(app.local_principal, head.id, "viewer")
        await app.tasks.cancel(owner.principal, task.id)
        assert await soon(told.get()) == owner
        assert told.empty()


async def test_one_users_subscriptions_have_a_limit_that_leaves_others_theirs(
    app: App, desk: Front, me: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nothing_is_followed(app)
    monkeypatch.setattr(changes, "MOST_OF_A_USER", 2)
    neighbour, task = (await desk.join()).principal, await submitted(app, me)
    first, second = [await app.changes.task(me, task.id, nothing) for _ in range(2)]
    with pytest.raises(Conflict, match="end some first"):
        await app.changes.task(me, task.id, nothing)
    theirs = await app.changes.task(neighbour, (await submitted(app, neighbour)).id, nothing)
    first()
    first()
    third = await app.changes.task(me, task.id, nothing)
    with pytest.raises(Conflict):
        await app.changes.task(me, task.id, nothing)
    for end in (second, theirs, third):
        end()
    await nothing_is_followed(app)


async def test_streams_that_ask_for_nothing_are_counted_too(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await nothing_is_followed(app)
    monkeypatch.setattr(changes, "MOST_OF_A_USER", 1)
    async with connected(app, "auto") as client, client.listen(tools_list_changed=True):
        with pytest.raises(MCPError, match="end some first"):
            async with client.listen():
                pass
    await nothing_is_followed(app)


async def test_more_is_followed_than_one_statement_takes(app: App) -> None:
    many = {str(UUID(int=number)) for number in range(33_000)}
    async with app._parts.database.read(INSTALLATION) as tx:
        for stamps_of in (stamps.of_tasks, stamps.of_outputs, stamps.of_runs, stamps.of_templates):
            assert await stamps_of(tx, many) == {}

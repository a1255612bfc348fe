"""Webhooks on the open product: who hears of what, each once and signed; their log, their limits, their end."""

import asyncio
import base64
import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from people import Front
from receivers import Receiver, Sent, receiving
from server import soon
from standardwebhooks.webhooks import WebhookVerificationError

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.sealing import SecretKeys, unopened
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import AgentConfig, AgentType, Principal, TaskRequest
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.resealing import reseal_all
from vel_tutor_mcp.services.webhooks import outbox
from vel_tutor_mcp.services.webhooks.course import Pace
from vel_tutor_mcp.services.webhooks.hooks import MOST_OF_AN_OWNER, Change, shown, shown_delivery
from vel_tutor_mcp.services.webhooks.outbox import NEEDS, Event
from vel_tutor_mcp.store import inspection
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.store.tables import metadata
from vel_tutor_mcp.store.webhook_deliveries import Delivery, State
from vel_tutor_mcp.store.webhook_tables import webhook_deliveries, webhooks
from vel_tutor_mcp.workflows.model import How, RunRequest

pytestmark = pytest.mark.anyio

ASKS = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Ship it?"}]}
HELLO = TaskRequest(prompt="Say hello")
ALL = [event.value for event in NEEDS]
REFUSED = [
    ("http://8.8.8.8/", ["task.failed"], "", "You may not name this address"),
    ("https://10.0.0.1/", ["task.failed"], "", "You may not name this address"),
    ("https://169.254.169.254/latest", ["task.failed"], "", "You may not name this address"),
    ("https://[::1]/", ["task.failed"], "", "You may not name this address"),
    ("https://127.0.0.2/", ["task.failed"], "", "You may not name this address"),
    ("https://2130706434/", ["task.failed"], "", "You may not name this address"),
    ("https://user:word@example.com/", ["task.failed"], "", "The URL cannot be used"),
    ("https://example.com:25/", ["task.failed"], "", "The URL cannot be used"),
    ("ftp://example.com/", ["task.failed"], "", "The URL cannot be used"),
    ("https://example.com/\n", ["task.failed"], "", "The URL cannot be used"),
    ("https://example.com/" + "x" * 300, ["task.failed"], "", "The URL is too long"),
    ("https://example.com/#part", ["task.failed"], "", "The URL has a #"),
    ("https://example.com/", [], "", "The events are none"),
    ("https://example.com/", ["task.failed", "task.begun"], "", "The events are none"),
    ("https://example.com/", ["webhook.test"], "", "The events are none"),
    ("https://example.com/", ["task.failed"], "x" * 201, "The description is too long"),
    ("https://example.com/", ["task.failed"], "\0", "The description is no text"),
]


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"private_networks": "127.0.0.1/32"}


@pytest.fixture(autouse=True)
async def alone(app: App) -> AsyncIterator[None]:
    """A try follows the other at once, and no test hears of another's."""
    app.webhooks.sender._pace = Pace(pauses=(0.0, 0.0), timeout_seconds=20.0)
    yield
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(webhook_deliveries.delete())
        await tx.execute(webhooks.delete())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def done(app: App, who: Principal, request: TaskRequest = HELLO) -> str:
    """The id of a task that has ended."""
    task = await app.tasks.submit(who, request)
    told = await app.tasks.follow(who, task.id, 30)
    assert told.status.ended
    return task.id


async def log(app: App, who: Principal, webhook_id: str) -> list[Delivery]:
    """Its deliveries, oldest first."""
    return list((await app.webhooks.deliveries(who, webhook_id, limit=100)).rows[::-1])


async def ended(app: App, who: Principal, webhook_id: str, count: int) -> list[Delivery]:
    """So many deliveries, once it is noted how they went."""
    async with asyncio.timeout(30):
        while True:
            rows = await log(app, who, webhook_id)
            if len(rows) == count and all(row.state is not State.WAITING for row in rows):
                return rows


def ids(sent: Iterable[Sent]) -> list[str]:
    return [request.id for request in sent]


async def test_a_receiver_that_fails_twice_gets_each_event_once(app: App, me: Principal, receiver: Receiver) -> None:
    hook, secret = await app.webhooks.create(me, receiver.url, ["task.completed", "task.failed"], "my desk")
    receiver.answers = ["500 Broken", "503 Away"]
    task = await done(app, me, TaskRequest(prompt="Say hello " * 200))
    sent = await receiver.heard(3)
    assert ids(sent) == ids(sent[:1]) * 3
    for request in sent:
        told = request.verified(secret)
        assert (told["type"], told["data"]["id"], told["data"]["status"]) == ("task.completed", task, "completed")
    data = told["data"]
    assert (data["status_url"], data["owner_id"], len(data["prompt"])) == (f"/api/tasks/{task}", me.user_id, 500)
    assert "output" not in data
    assert sent[0].headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        sent[0].verified("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())

    (row,) = await ended(app, me, hook.id, 1)
    assert (row.id, row.event, row.state) == (sent[0].id, "task.completed", State.DELIVERED)
    assert [(attempt["status"], attempt["error"]) for attempt in row.attempts] == [
        (500, "it answered 500"),
        (503, "it answered 503"),
        (204, None),
    ]
    assert shown(await app.webhooks.get(me, hook.id))["last_delivery"]["ok"]
    for other in await receiver.heard(3):
        assert other.path == "/hook"


async def test_runs_are_told_of_where_they_ask_and_where_they_end(app: App, me: Principal, receiver: Receiver) -> None:
    _, secret = await app.webhooks.create(me, receiver.url, ALL)
    saved = await app.workflows.save(me, "asks", ASKS)
    for approve, end in ((True, "run.completed"), (False, "run.failed")):
        receiver.sent.clear()
        run = await app.runs.start(me, RunRequest(workflow=saved.workflow.id, inputs={}))
        (asked,) = await receiver.heard(1)
        told = asked.verified(secret)
        assert (told["type"], told["data"]["status"]) == ("run.awaiting_approval", "awaiting_approval")
        approval = {"step": "ok", "prompt": "Ship it?", "human": False, "due_at": None}
        assert (told["data"]["id"], told["data"]["approval"]) == (run.id, approval)
        await app.runs.decide(me, run.id, "ok", How.TERMINAL, approve=approve)
        told = (await receiver.heard(2))[1].verified(secret)
        assert (told["type"], told["data"]["id"]) == (end, run.id)
        assert told["data"]["status_url"] == f"/api/runs/{run.id}"
    cancelled = await app.runs.start(me, RunRequest(workflow=saved.workflow.id, inputs={}))
    await app.runs.cancel(me, cancelled.id)
    assert [request.verified(secret)["type"] for request in await receiver.heard(3)][2] == "run.awaiting_approval"


async def test_a_budget_that_is_passed_is_told_to_whom_it_concerns(app: App, desk: Front, receiver: Receiver) -> None:
    spender, other = [(await desk.join("task_executor", "spenders")).principal for _ in range(2)]
    chief = (await desk.join("org_admin", "spenders")).principal
    hooks = [(who, (await app.webhooks.create(who, receiver.url, ["budget.threshold"]))[0]) for who in
             (spender, other, chief)]  # fmt: skip
    await app.budgets.set(spender, Scope.USER, None, Period.DAY, 0.000_000_1, hard=False)
    await app.budgets.set(chief, Scope.ORGANISATION, None, Period.MONTH, 0.000_000_1, hard=False)
    await done(app, spender)
    agent = await app.agents.create(other, "dear", AgentType.RESEARCHER, AgentConfig())
    await app.budgets.set(chief, Scope.AGENT, agent.id, Period.DAY, 0.000_000_1, hard=False)
    await done(app, chief, TaskRequest(prompt="Say hello", agent=agent.id))
    heard = {who.name: sorted(scope_of(row) for row in await log(app, who, hook.id)) for who, hook in hooks}
    of_all, own, of_agent = ["organisation"] * 2, ["user"] * 2, ["agent"] * 2  # at 80 % and at 100 %
    assert heard == {spender.name: of_all + own, other.name: of_agent + of_all, chief.name: of_agent + of_all + own}


def scope_of(row: Delivery) -> str:
    return str(json.loads(row.body)["data"]["scope"])


async def test_each_hears_what_their_role_lets_them_read_as_it_is_when_it_happens(
    app: App, desk: Front, receiver: Receiver
) -> None:
    owner = (await desk.join("task_executor", "hearing")).principal
    hooks = {}
    for name, role, organisation in (
        ("owner", "task_executor", "hearing"),
        ("peer", "task_executor", "hearing"),
        ("manager", "agent_manager", "hearing"),
        ("chief", "org_admin", "hearing"),
        ("gone", "org_admin", "hearing"),
        ("demoted", "org_admin", "hearing"),
        ("stranger", "org_admin", "elsewhere"),
        ("off", "org_admin", "hearing"),
        ("of others", "org_admin", "hearing"),
    ):
        who = owner if name == "owner" else (await desk.join(role, organisation)).principal  # type: ignore[arg-type]
        events = ["run.failed"] if name == "of others" else ALL
        hook, _ = await app.webhooks.create(who, receiver.url, events)
        hooks[hook.id] = name
        if name == "gone":
            await desk.accounts.disable(app.local_principal, who.user_id)
        if name == "demoted":
            await desk.accounts.set_role(app.local_principal, who.user_id, "viewer")
        if name == "off":
            await app.webhooks.update(who, hook.id, Change(active=False))
    async with app._parts.database.write(owner.organisation_id) as tx:
        await outbox.tell(tx, owner.organisation_id, owner.user_id, Event.TASK_FAILED, {"id": "x"})
        rows = await tx.scalars(sa.select(webhook_deliveries.c.webhook_id))
        assert sorted(hooks[row] for row in rows) == ["chief", "owner"]


async def test_what_is_rolled_back_is_told_to_nobody(app: App, me: Principal, receiver: Receiver) -> None:
    hook, _ = await app.webhooks.create(me, receiver.url, ALL)
    with suppress(ZeroDivisionError):
        async with app._parts.database.write(me.organisation_id) as tx:
            await outbox.tell(tx, me.organisation_id, me.user_id, Event.TASK_FAILED, {"id": "x"})
            raise ZeroDivisionError
    assert await log(app, me, hook.id) == []


async def test_a_receiver_that_never_answers_holds_up_no_other(app: App, me: Principal, receiver: Receiver) -> None:
    await app.webhooks.create(me, receiver.url, ["task.failed"])
    receiver.silent.set()
    async with receiving() as quick:
        await app.webhooks.create(me, quick.url, ["task.failed"])
        async with app._parts.database.write(me.organisation_id) as tx:
            for number in range(12):
                await outbox.tell(tx, me.organisation_id, me.user_id, Event.TASK_FAILED, {"number": number})
        app.webhooks.sender.cue("")
        assert len(set(ids(await quick.heard(12)))) == 12
        await receiver.heard(4)
    assert len(receiver.sent) == 4  # of one webhook no more at once


async def test_a_test_is_sent_once_and_now_and_switches_nothing_off(
    app: App, me: Principal, receiver: Receiver
) -> None:
    hook, secret = await app.webhooks.create(me, receiver.url, ["task.failed"])
    tested = await app.webhooks.test(me, hook.id)
    assert (tested.state, tested.attempts[0]["status"]) == (State.DELIVERED, 204)
    told = receiver.sent[0].verified(secret)
    assert (told["type"], told["data"]) == ("webhook.test", {"webhook": hook.id, "by": me.name})
    receiver.answers = ["410 Gone", "302 Found\r\nlocation: http://169.254.169.254/"]
    await app.webhooks.update(me, hook.id, Change(active=False))
    refused, sent_on = [await app.webhooks.test(me, hook.id) for _ in range(2)]
    assert (refused.state, refused.attempts[0]["status"], sent_on.state) == (State.FAILED, 410, State.FAILED)
    assert "a redirect, which is not followed" in sent_on.attempts[0]["error"]
    assert len(receiver.sent) == 3
    assert (await app.webhooks.get(me, hook.id)).off_because is None


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "switched off"])
async def test_a_test_whose_webhook_goes_before_the_answer_is_told_so(
    app: App, me: Principal, receiver: Receiver, removed: bool
) -> None:
    receiver.silent.set()
    hook, _ = await app.webhooks.create(me, receiver.url, ["task.failed"])
    testing = asyncio.create_task(app.webhooks.test(me, hook.id))
    await receiver.heard(1)
    if removed:
        await app.webhooks.delete(me, hook.id)
    else:
        await app.webhooks.update(me, hook.id, Change(active=False))
    receiver.hang_up()
    with pytest.raises(Conflict, match="test it again"):
        await soon(testing)


async def test_who_answers_410_is_told_nothing_more_until_switched_on(
    app: App, me: Principal, receiver: Receiver
) -> None:
    hook, _ = await app.webhooks.create(me, receiver.url, ["task.completed"])
    receiver.answers = ["503 Away\r\nretry-after: 300", "410 Gone"]
    await done(app, me)
    await receiver.heard(1)
    await done(app, me)
    given_up, row = await ended(app, me, hook.id, 2)
    assert given_up.state is State.FAILED
    off = await app.webhooks.get(me, hook.id)
    assert (row.state, off.active, off.off_because) == (
        State.FAILED,
        False,
        "Its receiver answered 410: it wants nothing any more.",
    )
    entries = (await app.audit.search(me, action="webhook_switched_off", subject=f"webhook:{hook.id}")).rows
    assert [entry.payload["why"] for entry in entries] == [off.off_because]
    await done(app, me)
    assert len(await log(app, me, hook.id)) == 2
    with pytest.raises(Conflict, match="switch it on first"):
        await app.webhooks.resend(me, hook.id, row.id)

    on = await app.webhooks.update(me, hook.id, Change(active=True))
    assert (on.active, on.off_because, on.failures) == (True, None, 0)
    again = await app.webhooks.resend(me, hook.id, row.id)
    assert (again.id, again.state) == (row.id, State.WAITING)
    assert ids(await receiver.heard(3)) == [given_up.id, row.id, row.id]
    assert [attempt["status"] for attempt in (await ended(app, me, hook.id, 2))[1].attempts] == [410, 204]
    await done(app, me)
    assert len(await receiver.heard(4)) == 4


async def test_what_waits_is_given_up_with_its_webhook_or_its_owner(app: App, desk: Front, receiver: Receiver) -> None:
    receiver.silent.set()
    owner = (await desk.join("task_executor", "leaving")).principal
    hook, _ = await app.webhooks.create(owner, receiver.url, ["task.failed"])
    await tell_of_a_failure(app, owner)
    await receiver.heard(1)
    await app.webhooks.update(owner, hook.id, Change(active=False))
    assert [row.state for row in await log(app, owner, hook.id)] == [State.FAILED]
    with pytest.raises(NotFound, match="no such delivery"):
        await app.webhooks.resend(owner, hook.id, hook.id)
    await app.webhooks.update(owner, hook.id, Change(active=True))
    await tell_of_a_failure(app, owner)
    await receiver.heard(2)
    waiting = (await log(app, owner, hook.id))[1]
    with pytest.raises(Conflict, match="it still waits"):
        await app.webhooks.resend(owner, hook.id, waiting.id)
    await desk.accounts.disable(app.local_principal, owner.user_id)
    assert [row.state for row in await log(app, owner, hook.id)] == [State.FAILED, State.FAILED]


async def tell_of_a_failure(app: App, owner: Principal) -> None:
    async with app._parts.database.write(owner.organisation_id) as tx:
        await outbox.tell(tx, owner.organisation_id, owner.user_id, Event.TASK_FAILED, {"id": "x"})
    app.webhooks.sender.cue("")


async def test_for_a_day_the_secret_before_a_new_one_signs_as_well(app: App, me: Principal, receiver: Receiver) -> None:
    hook, first = await app.webhooks.create(me, receiver.url, ["task.failed"])
    _, second = await app.webhooks.renew_secret(me, hook.id)
    assert first != second
    await app.webhooks.test(me, hook.id)
    receiver.sent[0].verified(first)
    receiver.sent[0].verified(second)
    async with app._parts.database.write(INSTALLATION) as tx:
        await tx.execute(webhooks.update().values(before_until=record.now() - timedelta(seconds=1)))
    await app.webhooks.test(me, hook.id)
    receiver.sent[1].verified(second)
    with pytest.raises(WebhookVerificationError):
        receiver.sent[1].verified(first)


async def test_what_no_webhook_can_be_is_refused_when_made_and_when_changed(app: App, me: Principal) -> None:
    hook, _ = await app.webhooks.create(me, "https://example.com/hook?token=1", ["task.failed"])
    for url, events, description, told in REFUSED:
        with pytest.raises(InputError, match=told):
            await app.webhooks.create(me, url, events, description)
        with pytest.raises(InputError, match=told):
            await app.webhooks.update(me, hook.id, Change(url, events, description))
    assert (await app.webhooks.list(me)).rows == (hook,)
    inside = [row for row in REFUSED if row[3] == "You may not name this address"]
    refused = (await app.audit.search(me, action="refused", limit=100)).rows
    assert [entry.payload["operation"] for entry in refused] == ["webhook_write"] * 2 * len(inside)


async def test_an_owner_has_so_many_webhooks_and_no_more(app: App, me: Principal) -> None:
    for _ in range(MOST_OF_AN_OWNER):
        hook, _ = await app.webhooks.create(me, "https://example.com/hook", ["task.failed"])
    with pytest.raises(Conflict, match="at most 20"):
        await app.webhooks.create(me, "https://example.com/hook", ["task.failed"])
    await app.webhooks.delete(me, hook.id)
    await app.webhooks.create(me, "https://example.com/hook", ["task.failed"])
    with pytest.raises(NotFound, match="no such webhook"):
        await app.webhooks.get(me, hook.id)


async def test_a_secret_is_told_once_and_stands_nowhere_in_the_clear(
    app: App, me: Principal, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook, first = await app.webhooks.create(me, receiver.url + "?code=url-secret", ["task.completed"])
    await app.webhooks.update(me, hook.id, Change(description="mine"))
    renewed, second = await app.webhooks.renew_secret(me, hook.id)
    tested = await app.webhooks.test(me, hook.id)
    receiver.answers = ["500 Broken"] * 3
    await done(app, me)
    (_, row) = await ended(app, me, hook.id, 2)
    told = [hook, renewed, tested, row, shown(hook), shown_delivery(row), app.webhooks]
    entries = (await app.audit.search(me, subject=f"webhook:{hook.id}")).rows
    assert [entry.action for entry in entries][::-1] == [
        "webhook_created",
        "webhook_changed",
        "webhook_secret_renewed",
        "webhook_tested",
    ]
    async with app._parts.database.read(INSTALLATION) as tx:
        stored = {table.name: repr((await tx.execute(sa.select(table))).all()) for table in metadata.sorted_tables}
    words = [caplog.text, repr(told), repr(entries), *stored.values()]
    for secret in (first, second):
        bare = secret.removeprefix("whsec_")
        assert not [text for text in words if bare in text or repr(base64.b64decode(bare))[2:-1] in text]
    stored.pop("webhooks")  # which has its URL, as its owner does
    assert not [text for text in (caplog.text, repr(entries), *stored.values()) if "url-secret" in text]


async def test_secrets_are_sealed_anew_with_a_new_secret_key(app: App, me: Principal) -> None:
    hook, _ = await app.webhooks.create(me, "https://example.com/hook", ["task.failed"])
    renewed, _ = await app.webhooks.renew_secret(me, hook.id)
    home = app._parts.settings.home
    old = (home / "secret.key").read_text().strip()
    new = base64.b64encode(secrets.token_bytes(32)).decode()
    both, after = (SecretKeys(text, Path("nowhere")) for text in (f"{new},{old}", new))
    lost = await reseal_all(app._parts.database, after, me)
    assert (lost.sealed, [told.partition(":")[0] for told in lost.unopened]) == (
        0,
        [f"webhook {hook.id} of {me.user_id}"],
    )
    assert (await reseal_all(app._parts.database, both, me)).sealed == 1
    assert (await reseal_all(app._parts.database, both, me)).current == 1
    anew = await app.webhooks.get(me, hook.id)
    assert [after.opened(value) for value in anew.sealed] == [
        SecretKeys(old, home).opened(value) for value in renewed.sealed
    ]
    moved = [replace(value, context=(*value.context[:2], "another")) for value in anew.sealed]
    assert len(unopened(after, moved)) == 2
    there = database_of(app._parts.settings)  # for the doctor, who blocks
    assert await asyncio.to_thread(inspection.sealed, there) == list(anew.sealed)


async def test_deliveries_are_kept_for_thirty_days(app: App, me: Principal, receiver: Receiver) -> None:
    hook, _ = await app.webhooks.create(me, receiver.url, ["task.completed"])
    for _ in range(2):
        await done(app, me)
    old, young = await ended(app, me, hook.id, 2)
    async with app._parts.database.write(INSTALLATION) as tx:
        for row, days in ((old, 31), (young, 29)):
            this = webhook_deliveries.update().where(webhook_deliveries.c.id == row.id)
            await tx.execute(this.values(created_at=record.now() - timedelta(days=days)))
    await app._care.prune()
    assert [row.id for row in await log(app, me, hook.id)] == [young.id]

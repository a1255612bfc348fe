"""Alerts on the open product: raised once, told, closed once it is well again, each in its own organisation.

The clock of a watch is the test's: calls are written as rows that end around its time, weeks from now.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from mcp.server.auth.middleware.auth_context import auth_context_var
from people import Front
from receivers import receiving
from world import Providers, connected

from vel_tutor_mcp.app import App
from vel_tutor_mcp.doors.bearer import SignedIn
from vel_tutor_mcp.errors import Forbidden, NotFound
from vel_tutor_mcp.models import FailureKind, Outcome, Principal, Role, TaskRequest
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.health import Breaker
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.alerts import watch
from vel_tutor_mcp.services.alerts.watch import KEPT, Watch
from vel_tutor_mcp.store import breakers
from vel_tutor_mcp.store.alerts import Alert
from vel_tutor_mcp.store.database import INSTALLATION, Database
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.store.tables import attempts

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
_weeks = count(10, 10)


@pytest.fixture(scope="module")
def values() -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_FIRST_LOOK_SECONDS", 3600.0)  # the product's own look would take a test's turn
        yield {"private_networks": "127.0.0.1/32"}


@dataclass
class Team:
    """An organisation of its own, whose time is `now`; `chief` is its administrator."""

    desk: Front
    name: str
    chief: Principal
    task_id: str
    now: datetime
    made: int = 0

    @property
    def app(self) -> App:
        return self.desk.app

    async def join(self, role: Role) -> Principal:
        return (await self.desk.join(role, self.name)).principal

    def watch(self, database: Database | None = None) -> Watch:
        return Watch(database or self.desk.database, None, lambda: self.now)

    async def look(self, after: timedelta = MINUTE) -> None:
        self.now += after
        await self.watch().once()

    async def call(
        self, calls: int, *, failed: int = 0, provider: str = "openai", ago: timedelta = MINUTE, **values: Any
    ) -> None:
        """So many calls that ended so long ago, the last ones of which failed."""
        rows = [self._row(place >= calls - failed, provider, self.now - ago, values) for place in range(calls)]
        async with self.desk.database.write(self.chief.organisation_id) as tx:
            await tx.execute(attempts.insert(), rows)

    async def outage(self, provider: str = "openai") -> None:
        """Some calls, none of which is answered."""
        for minutes in (9, 5, 1):
            await self.call(1, failed=1, provider=provider, ago=minutes * MINUTE)

    async def break_open(self, ago: timedelta) -> None:
        """The breaker of a provider with the team's name has opened so long ago."""
        opened = asdict(Breaker(opened_at=(self.now - ago).timestamp()))
        async with self.desk.database.write(INSTALLATION) as tx:
            await breakers.save(tx, self.name, "mini", opened, self.now)

    async def alerts(self, state: Any = "all") -> list[Alert]:
        """Oldest first."""
        return list((await self.app.alerts.list(self.chief, state=state)).rows[::-1])

    async def on_record(self, action: str) -> list[Any]:
        return [entry.payload for entry in (await self.app.audit.search(self.chief, action=action)).rows]

    def _row(self, failed: bool, provider: str, ended_at: datetime, values: dict[str, Any]) -> dict[str, Any]:
        self.made += 1
        usual = {"tokens_out": 50, "total_ms": 1000 + self.made % 7, "cost_nanousd": 1_000_000 + self.made % 7}
        of_failed = {"tokens_out": None, "total_ms": 10, "cost_nanousd": 0}
        return {
            "id": str(uuid4()),
            "organisation_id": self.chief.organisation_id,
            "owner_id": self.chief.user_id,
            "task_id": self.task_id,
            "attempt_set": 9,
            "number": self.made,
            "provider": provider,
            "model": "mini",
            "outcome": Outcome.FAILED if failed else Outcome.COMPLETED,
            "failure": FailureKind.SERVER_ERROR if failed else None,
            "started_at": ended_at - timedelta(seconds=1),
            "ended_at": ended_at,
        } | (of_failed if failed else usual | values)


@pytest.fixture
async def team(desk: Front) -> Team:
    name = f"team {uuid4()}"
    chief = (await desk.join("org_admin", name)).principal
    return Team(desk, name, chief, await asked(desk.app, chief), record.now() + timedelta(weeks=next(_weeks)))


async def asked(app: App, who: Principal) -> str:
    """The id of a task that has ended."""
    task = await app.tasks.submit(who, TaskRequest(prompt="Say hello"))
    return (await app.tasks.follow(who, task.id, 30)).task.id


@asynccontextmanager
async def another_process(app: App) -> AsyncIterator[Database]:
    database = database_of(app._parts.settings)
    yield database
    await database.close()


async def test_a_provider_that_fails_raises_one_alert_which_closes_once_it_answers_again(team: Team) -> None:
    await team.call(14)
    await team.call(6, failed=6)
    await team.look(timedelta())
    await team.look()

    (alert,) = await team.alerts()
    assert (alert.kind, alert.about, alert.severity, alert.closed_at) == ("error_rate", "openai", "warning", None)
    assert (alert.value, alert.threshold) == (0.3, 0.1)
    assert alert.message.startswith("openai failed 6 of 20 calls in 30 minutes")
    await team.call(40, ago=timedelta(seconds=-40 * 60))
    await team.look(timedelta(minutes=41))
    await team.look()
    (alert,) = await team.alerts("closed")
    assert alert.closed_at is not None
    assert [entry["kind"] for entry in await team.on_record("alert_raised")] == ["error_rate"]
    assert [entry["cause"] for entry in await team.on_record("alert_closed")] == ["calm again"]


async def test_a_vendor_that_is_out_is_down_until_it_answers_again(team: Team, providers: Providers) -> None:
    """The first calls are real ones, after which the router asks others."""
    providers.groq.always = Fault(kind="status", status=503)
    for _ in range(4):
        await asked(team.app, team.chief)
    team.now = record.now() + 2 * MINUTE
    await team.look(timedelta())
    assert await team.alerts() == []
    await team.call(1, failed=1, provider="groq", ago=-4 * MINUTE)
    await team.look(5 * MINUTE)
    await team.look()

    (alert,) = await team.alerts()
    assert (alert.kind, alert.about, alert.severity) == ("provider_down", "groq", "critical")
    assert alert.message.startswith("groq is down; 3 of 4 calls in 30 minutes failed, the last 3 in a row")
    await team.call(1, provider="groq", ago=-MINUTE)
    await team.look(2 * MINUTE)
    assert len(await team.alerts("open")) == 1
    await team.look(9 * MINUTE)
    assert await team.alerts("open") == []


async def test_a_provider_is_down_at_once_where_its_breakers_are_open(team: Team) -> None:
    await team.call(5, failed=5, provider=team.name)
    await team.look(timedelta())
    assert await team.alerts() == []
    await team.break_open(ago=MINUTE)
    await team.look()
    assert [alert.kind for alert in await team.alerts()] == ["provider_down"]


async def test_a_breaker_that_others_opened_says_nothing_against_calls_that_are_answered(team: Team) -> None:
    await team.break_open(ago=MINUTE)
    await team.call(1, failed=1, provider=team.name, ago=2 * MINUTE)
    await team.call(29, provider=team.name)
    await team.look(timedelta())
    assert await team.alerts() == []


async def test_a_breaker_that_nobody_tried_for_half_an_hour_says_nothing(team: Team) -> None:
    await team.break_open(ago=31 * MINUTE)
    await team.call(1, failed=1, provider=team.name)
    await team.look(timedelta())
    assert await team.alerts() == []


async def test_an_alert_of_what_nobody_calls_any_more_closes_after_an_hour(team: Team) -> None:
    await team.outage()
    await team.look(timedelta())
    await team.look(59 * MINUTE)
    assert [alert.kind for alert in await team.alerts("open")] == ["provider_down"]
    await team.look()
    assert await team.alerts("open") == []
    assert [entry["cause"] for entry in await team.on_record("alert_closed")] == ["hardly called any more"]


async def test_a_model_that_becomes_slow_and_dear_is_told_by_how_much(team: Team) -> None:
    for day in range(1, 9):
        await team.call(25, ago=timedelta(days=day, hours=1))
    await team.call(20, total_ms=3000, cost_nanousd=5_000_000)
    await team.look(timedelta())

    alerts = {alert.kind: alert for alert in await team.alerts()}
    assert alerts.keys() == {"latency", "cost"}
    assert {alert.about for alert in alerts.values()} == {"openai/mini"}
    assert alerts["latency"].value == pytest.approx(3, abs=0.05)
    assert alerts["cost"].value == pytest.approx(5, abs=0.05)
    assert alerts["latency"].threshold == 2
    assert "takes 3.0 times as long" in alerts["latency"].message
    assert "costs 5.0 times as much" in alerts["cost"].message


async def test_long_answers_make_no_model_slow_and_a_young_history_says_nothing(team: Team) -> None:
    for day in range(1, 9):
        await team.call(25, ago=timedelta(days=day, hours=1))
    await team.call(40, total_ms=9500, tokens_out=50 + 850)
    await team.call(150, provider="groq", ago=timedelta(hours=20))
    await team.call(40, provider="groq", total_ms=9500)
    await team.look(timedelta())
    assert await team.alerts() == []


async def test_of_two_processes_one_raises_what_both_see(team: Team) -> None:
    await team.outage()
    async with another_process(team.app) as elsewhere:
        watches = [team.watch(), team.watch(elsewhere)]
        await asyncio.gather(*(watch.once() for watch in watches))
        assert len(await team.alerts()) == 1
        assert len(await team.on_record("alert_raised")) == 1
        await team.outage("groq")
        team.now += timedelta(seconds=30)
        await watches[1].once()
        assert len(await team.alerts()) == 1  # within the minute nobody looks again
        team.now += timedelta(seconds=30)
        await watches[1].once()
    assert {alert.about for alert in await team.alerts()} == {"openai", "groq"}


async def test_a_budget_raises_each_mark_once_and_closes_once_there_is_more(team: Team, desk: Front) -> None:
    spender, other, viewer = [await team.join(role) for role in ("task_executor", "task_executor", "viewer")]
    await team.app.budgets.set(team.chief, Scope.USER, spender.name, Period.MONTH, 0.000_001, hard=False)
    for _ in range(2):
        await asked(team.app, spender)

    warning, exceeded = await team.alerts()
    assert (warning.kind, warning.severity, warning.threshold) == ("budget", "warning", 0.8)
    assert (exceeded.severity, exceeded.threshold) == ("critical", 1)
    assert warning.about == exceeded.about == f"budget of user {spender.name} per month"
    stranger = (await desk.join("org_admin")).principal
    seen = {who.user_id: len((await team.app.alerts.list(who)).rows) for who in (spender, viewer, other, stranger)}
    assert list(seen.values()) == [2, 2, 0, 0]
    assert f"budget of user {spender.name} per month (budget)" in await team.app.alerts.line(spender)
    team.now = record.now()
    await team.look()
    assert len(await team.alerts("open")) == 2
    await team.app.budgets.set(team.chief, Scope.USER, spender.name, Period.MONTH, 1)
    await team.look()
    assert await team.alerts("open") == []
    assert await team.app.alerts.line(spender) == ""


async def test_who_looks_after_it_acknowledges_an_alert_once(team: Team, desk: Front) -> None:
    await team.outage()
    await team.look(timedelta())
    (alert,) = await team.alerts()
    manager, executor = [await team.join(role) for role in ("agent_manager", "task_executor")]
    assert [seen.id for seen in (await team.app.alerts.list(executor)).rows] == [alert.id]
    with pytest.raises(Forbidden, match="about your organisation as a whole"):
        await team.app.alerts.acknowledge(executor, alert.id)
    with pytest.raises(NotFound, match="There is no such alert"):
        await team.app.alerts.acknowledge((await desk.join("org_admin")).principal, alert.id)
    await team.app.alerts.acknowledge(manager, alert.id)
    seen = await team.app.alerts.acknowledge(team.chief, alert.id)

    assert (seen.acknowledged_by, seen.closed_at) == (manager.name, None)
    assert [entry["kind"] for entry in await team.on_record("alert_acknowledged")] == ["provider_down"]


async def test_who_asks_for_the_dashboard_is_told_how_many_are_open_and_the_newest(team: Team, desk: Front) -> None:
    token = (await desk.enter(await desk.join("viewer", team.name))).token
    auth_context_var.set(SignedIn(await desk.access.verify(token), "https://tutor.example/mcp"))
    async with connected(team.app, "auto") as client:
        calm = await client.call_tool("dashboard_show", {})
        await team.outage()
        await team.look(timedelta())
        shown = await client.call_tool("dashboard_show", {})
    (alert,) = await team.alerts()
    told = [answer.structured_content or {} for answer in (calm, shown)]
    assert [(data["alerts_open"], data["newest_alert"]) for data in told] == [(0, None), (1, alert.message)]
    assert "Open alerts: 0. Where" in str(calm.content)
    assert f"Open alerts: 1, the newest: {alert.message} Where" in str(shown.content)


async def test_a_webhook_hears_of_an_alert_and_what_was_closed_long_ago_is_gone(team: Team) -> None:
    async with receiving() as receiver:
        hook, secret = await team.app.webhooks.create(team.chief, receiver.url, ["alert.raised"])
        await team.outage()
        await team.look(timedelta())
        (sent,) = await receiver.heard(1)
        told = sent.verified(secret)
        await team.app.webhooks.delete(team.chief, hook.id)
    (alert,) = await team.alerts()
    assert told["type"] == "alert.raised"
    assert told["data"]["id"] == alert.id
    assert told["data"]["message"] == alert.message
    await team.look(timedelta(hours=2))
    assert len(await team.alerts("closed")) == 1
    await team.look(KEPT - timedelta(hours=1))
    assert len(await team.alerts("closed")) == 1
    await team.look(timedelta(hours=2))
    assert await team.alerts() == []

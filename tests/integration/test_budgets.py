"""Budgets of agents, users and organisations: who may set them, what they do, how they are told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import Forbidden, InputError, NotFound
from vel_tutor_mcp.models import AuditEntry, NanoUsd, Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.routing.reasons import OVER_BUDGET
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.store import budgets, people
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.money_tables import ledger, ledger_sums
from vel_tutor_mcp.store.standing import Budget, Period, Scope

pytestmark = pytest.mark.anyio

NOBODYS = "00000000-0000-4000-8000-000000000000"


async def asked(app: App, me: Principal, **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", **wanted))
    return await app.tasks.follow(me, task.id, 30)


async def another(app: App, role: Any) -> Principal:
    async with app._parts.database.write(INSTALLATION) as tx:
        return replace(await people.local_principal(tx, f"a {role}", record.now()), role=role)


async def on_record(app: App, me: Principal, action: str) -> list[AuditEntry]:
    return list((await app.audit.search(me, action=action)).rows)


async def test_a_budget_is_set_in_the_place_of_the_one_before_and_removed(app: App, me: Principal) -> None:
    await app.budgets.set(me, Scope.USER, None, Period.DAY, 5)
    await app.budgets.set(me, Scope.USER, me.name, Period.DAY, 2.5, hard=False)
    (told,) = await app.budgets.list(me)

    assert told.shown() == {
        "scope": "user",
        "subject": me.name,
        "subject_id": me.user_id,
        "period": "day",
        "kind": "soft",
        "set_by": "budget set",
        "limit_usd": 2.5,
        "spent_usd": 0,
        "reserved_usd": 0,
        "left_usd": 2.5,
        "percent": 0,
        "begins_anew": told.shown()["begins_anew"],
    }
    assert await app.budgets.remove(me, Scope.USER, me.user_id, Period.DAY) == me.name
    assert await app.budgets.list(me) == []
    with pytest.raises(NotFound, match="There is no such budget"):
        await app.budgets.remove(me, Scope.USER, None, Period.DAY)
    set_entries = await on_record(app, me, "budget_set")
    assert [entry.payload["kind"] for entry in set_entries] == ["soft", "hard"]
    assert [entry.subject for entry in await on_record(app, me, "budget_removed")] == [f"user:{me.user_id}"]


@pytest.mark.parametrize(
    ("scope", "subject", "period", "limit", "problem", "sentence"),
    [
        (Scope.AGENT, "nobody", Period.DAY, 1, NotFound, "There is no such agent"),
        (Scope.USER, "nobody", Period.DAY, 1, NotFound, "There is no such user"),
        (Scope.USER, "no\0body", Period.DAY, 1, NotFound, "There is no such user"),
        (Scope.ORGANISATION, "nobody", Period.MONTH, 1, NotFound, "There is no such organisation"),
        (Scope.TASK, NOBODYS, None, 1, NotFound, "There is no such task"),
        (Scope.RUN, NOBODYS, None, 1, NotFound, "There is no such run"),
        (Scope.AGENT, None, Period.DAY, 1, InputError, "The subject is missing"),
        (Scope.USER, None, None, 1, InputError, "The period is missing"),
        (Scope.USER, None, Period.TASK, 1, InputError, "The period is missing"),
        (Scope.TASK, NOBODYS, Period.DAY, 1, InputError, "A task has no day"),
        (Scope.USER, None, Period.DAY, 0, InputError, "The limit is out of range"),
        (Scope.USER, None, Period.DAY, float("nan"), InputError, "The limit is out of range"),
    ],
)
async def test_what_cannot_be_limited_is_told(
    app: App,
    me: Principal,
    scope: Scope,
    subject: str | None,
    period: Period | None,
    limit: float,
    problem: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(problem, match=sentence):
        await app.budgets.set(me, scope, subject, period, limit)
    assert await app.budgets.list(me) == []


async def test_users_limit_themselves_and_administrators_everyone(app: App, me: Principal) -> None:
    user, viewer = await another(app, "task_executor"), await another(app, "viewer")
    await app.budgets.set(user, Scope.USER, None, Period.DAY, 1)
    await app.budgets.set(me, Scope.USER, user.name, Period.MONTH, 10)
    await app.budgets.set(me, Scope.AGENT, "default", Period.MONTH, 10)

    with pytest.raises(Forbidden, match="somebody else has set it"):
        await app.budgets.set(user, Scope.USER, None, Period.MONTH, 100)
    with pytest.raises(Forbidden, match="its administrators do"):
        await app.budgets.set(user, Scope.ORGANISATION, None, Period.DAY, 100)
    with pytest.raises(Forbidden, match="the role viewer has no budget_write"):
        await app.budgets.remove(viewer, Scope.USER, None, Period.DAY)
    with pytest.raises(NotFound, match="There is no such user"):
        await app.budgets.set(user, Scope.USER, me.name, Period.DAY, 1)
    assert [told.shown()["limit_usd"] for told in await app.budgets.list(user)] == [1, 10]
    assert len(await app.budgets.list(me)) == 3
    assert len(await on_record(app, me, "budget_refused")) == 2
    assert len(await on_record(app, me, "refused")) == 1


async def test_a_spent_budget_refuses_says_which_and_goes_on_when_it_is_raised(app: App, me: Principal) -> None:
    await app.budgets.set(me, Scope.USER, None, Period.DAY, 0.000_001)
    told = await asked(app, me)

    assert told.task.error
    assert told.attempts == []
    assert "The budget of its user, $0.000001 a day (UTC), has $0.000001 left" in told.task.error.message
    assert f"budget set --scope user --subject {me.user_id} --period day --limit USD" in told.task.error.message
    await app.budgets.set(me, Scope.USER, None, Period.DAY, 1)
    await app.tasks.retry(me, told.task.id)
    assert (await app.tasks.follow(me, told.task.id, 30)).task.status is TaskStatus.COMPLETED


async def test_a_tasks_own_budget_can_be_raised(app: App, me: Principal) -> None:
    told = await asked(app, me, max_cost_usd=0.000_001)
    await app.budgets.set(me, Scope.TASK, told.task.id, None, 0.01)
    await app.tasks.retry(me, told.task.id)

    assert (await app.tasks.follow(me, told.task.id, 30)).task.status is TaskStatus.COMPLETED


async def test_a_soft_budget_warns_once_and_lets_work_go_on(app: App, me: Principal) -> None:
    await app.budgets.set(me, Scope.ORGANISATION, None, Period.MONTH, 0.000_001, hard=False)
    told = [await asked(app, me) for _ in range(3)]

    assert [one.task.status for one in told] == [TaskStatus.COMPLETED] * 3
    (warning,) = await on_record(app, me, "budget_warning")
    (exceeded,) = await on_record(app, me, "budget_exceeded")
    assert warning.subject == exceeded.subject == f"task:{told[0].task.id}"
    assert warning.payload["scope"] == "organisation"
    assert [event.kind for event in told[0].history if event.kind.startswith("budget")] == [
        "budget_warning",
        "budget_exceeded",
    ]


@pytest.mark.parametrize("period", [Period.DAY, Period.MONTH])
@pytest.mark.parametrize(
    ("scope", "subject"), [(Scope.AGENT, "default"), (Scope.USER, None), (Scope.ORGANISATION, None)]
)
async def test_an_explained_route_counts_hard_budgets_and_leaves_soft_ones(
    app: App, me: Principal, scope: Scope, subject: str | None, period: Period
) -> None:
    free = await app.routes.explain(me, "Say hello", "default", None, None)
    await app.budgets.set(me, scope, subject, period, 0.000_000_001, hard=False)
    soft = await app.routes.explain(me, "Say hello", "default", None, None)
    await app.budgets.set(me, scope, subject, period, 0.000_000_001)
    hard = await app.routes.explain(me, "Say hello", "default", None, None)
    told = await asked(app, me)

    assert soft.candidates == free.candidates
    assert soft.excluded == free.excluded
    assert hard.candidates == ()
    assert {out.model for out in hard.excluded if out.reason.startswith(OVER_BUDGET)} >= {
        candidate.model for candidate in free.candidates
    }
    assert told.task.status is TaskStatus.FAILED
    assert told.attempts == []


async def test_a_report_tells_how_the_readers_budgets_stand(app: App, me: Principal) -> None:
    other = await another(app, "task_executor")
    await app.budgets.set(me, Scope.USER, other.name, Period.DAY, 1)
    await app.budgets.set(me, Scope.USER, None, Period.DAY, 1)
    await app.budgets.set(me, Scope.AGENT, "default", Period.MONTH, 2)
    told = await asked(app, me)
    report = await app.usage.report(me, "day", "provider")

    spent = told.attempts[0].cost_nanousd
    assert [(row.name, row.standing.spent, row.standing.reserved) for row in report.budgets] == [
        ("default", spent, 0),
        (me.name, spent, 0),
    ]
    assert [row["scope"] for row in report.shown()["budgets"]] == ["agent", "user"]
    assert "Budget of agent default per month (hard): $" in report.text()


async def test_a_kept_sum_is_dropped_where_a_clock_was_set_back(
    app: App, me: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "LONGEST_TAIL", 1)
    await app.budgets.set(me, Scope.USER, None, Period.MONTH, 1)
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    for passed in (0, 1, 2, -3):
        monkeypatch.setattr(record, "now", lambda now=moment + timedelta(hours=passed): now)
        await asked(app, me)

    async with app._parts.database.read(INSTALLATION) as tx:
        rows = (await tx.execute(sa.select(ledger))).all()
        budget = Budget(
            scope=Scope.USER, subject_id=me.user_id, period=Period.MONTH, limit_nanousd=NanoUsd(1_000_000_000)
        )
        standing = await budgets.standing(tx, budget, moment)
        kept = (await tx.execute(sa.select(ledger_sums))).all()
    assert len(rows) == 4
    assert standing.spent == sum(row.settled_nanousd for row in rows) > 0
    assert [row.through for row in kept] == [moment + timedelta(hours=2)]

"""What a page that stays open asks: who one is, what waits for one, how the providers do, and what has changed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from people import Front
from planted import key
from pydantic import SecretStr
from waits import turns

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import FailureKind, Principal, TaskRequest
from vel_tutor_mcp.routing.catalog import ModelRow
from vel_tutor_mcp.routing.health import Breaker
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.areas import Areas
from vel_tutor_mcp.store import breakers
from vel_tutor_mcp.store.areas import AREAS
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.workflows.model import How, RunRequest

pytestmark = pytest.mark.anyio

ASKS = {
    "inputs": {"properties": {"much": {}, "list": {}}},
    "steps": [
        {"id": "ask", "kind": "approval", "prompt": "May I?", "timeout_seconds": 3600, "on_timeout": "approve"},
        {"id": "sure", "kind": "approval", "prompt": "Sure?", "human": True},
        {"id": "do", "kind": "task", "prompt": "Do it", "needs": ["ask"], "when": "inputs.much > 3"},
        {"id": "each", "kind": "map", "over": "inputs.list", "prompt": "Do {{ item }}", "needs": ["do"]},
    ],
}


async def asked(http: httpx2.AsyncClient, path: str, **params: Any) -> Any:
    reply = await http.get(path, params=params)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def started(app: App, who: Principal, **inputs: Any) -> str:
    """The id of a run that asks twice."""
    saved = await app.workflows.save(who, f"asks-{uuid4().hex[:8]}", ASKS)
    return (await app.runs.start(who, RunRequest(workflow=saved.workflow.id, inputs=inputs))).id


async def test_the_local_user_is_told_who_they_are_and_what_they_may(app: App, http: httpx2.AsyncClient) -> None:
    told = await asked(http, "/api/users/me")
    assert (told["id"], told["role"]) == (app.local_principal.user_id, "admin")
    assert told["may"] == sorted(Operation)


async def test_what_waits_for_a_decision_is_listed_until_it_is_decided(app: App, http: httpx2.AsyncClient) -> None:
    me = app.local_principal
    run = await started(app, me, much=5, list=["a", "b"])
    before = (await asked(http, "/api/approvals"))["meta"]["total"]
    rows = [row for row in (await asked(http, "/api/approvals", limit=100))["data"] if row["run"] == run]
    assert [(row["step"], row["prompt"], row["human"]) for row in rows] == [
        ("ask", "May I?", False),
        ("sure", "Sure?", True),
    ]
    assert [(row["on_timeout"], bool(row["due_at"]), bool(row["asked_at"])) for row in rows] == [
        ("approve", True, True),
        (None, False, True),
    ]
    assert len({row["workflow"] for row in rows}) == 1

    await app.runs.decide(me, run, "ask", How.TERMINAL, approve=True)
    left = await asked(http, "/api/approvals", limit=1, offset=before - 2)
    assert left["meta"]["total"] == before - 1
    assert [(row["run"], row["step"]) for row in left["data"]] == [(run, "sure")]
    await app.runs.cancel(me, run)
    assert (await asked(http, "/api/approvals"))["meta"]["total"] == before - 2


async def test_ones_own_approvals_are_listed_and_an_administrators_are_all_of_the_organisation(desk: Front) -> None:
    place = f"approvals {uuid4()}"
    owner, member, chief = [
        (await desk.join(role, place)).principal for role in ("task_executor", "agent_manager", "org_admin")
    ]
    stranger = (await desk.join("org_admin", f"elsewhere {uuid4()}")).principal
    run = await started(desk.app, owner)
    seen = {who.name: (await desk.app.runs.awaiting(who)).rows for who in (owner, member, chief, stranger)}
    assert [row.awaiting.step.run_id for row in seen[owner.name]] == [run, run]
    assert seen[chief.name] == seen[owner.name]
    assert (seen[member.name], seen[stranger.name]) == ((), ())


async def test_a_run_tells_what_its_graph_is_drawn_of(app: App, http: httpx2.AsyncClient) -> None:
    me = app.local_principal
    run = await started(app, me, much=5, list=["a", "b"])
    for step in ("ask", "sure"):
        await app.runs.decide(me, run, step, How.TERMINAL, approve=True)
    await app.runs.follow(me, run, 50, past_approvals=True)
    steps = {step["id"]: step for step in (await asked(http, f"/api/runs/{run}"))["steps"]}
    assert {name: (step["kind"], step["status"], step["needs"]) for name, step in steps.items()} == {
        "ask": ("approval", "completed", []),
        "sure": ("approval", "completed", []),
        "do": ("task", "completed", ["ask"]),
        "each": ("map", "completed", ["do"]),
    }
    assert {name: step["when"] for name, step in steps.items() if "when" in step} == {"do": "inputs.much > 3"}
    assert all(step["started_at"] and step["ended_at"] and step["error"] is None for step in steps.values())
    made = {
        name: [(await asked(http, f"/api/tasks/{task}"))["item"] for task in step["task_ids"]]
        for name, step in steps.items()
    }
    assert made == {"ask": [], "sure": [], "do": [0], "each": [0, 1]}


async def test_providers_are_told_with_their_models_and_how_these_do(app: App, http: httpx2.AsyncClient) -> None:
    rows = (await asked(http, "/api/providers"))["data"]
    assert {row["provider"]: row["configured"] for row in rows} == {
        name: name in {"openai", "groq"} for name in app.catalog.providers
    }
    assert {f"{row['provider']}/{model['model']}" for row in rows for model in row["models"]} == {
        row.name for row in app.catalog.models
    }
    here, elsewhere = [row for row in app.catalog.models if row.provider == "groq" and not row.retired][:2]
    fresh = [await model_of(http, row) for row in (here, elsewhere)]
    assert {model["breaker"]["state"] for model in fresh} == {"closed"}
    assert all(model["priced"] and model["latency_ms"] > 0 for model in fresh)

    at = record.now().timestamp()
    for _ in range(5):
        app.health.record("groq", here.model, FailureKind.SERVER_ERROR, at)
    opened = Breaker((at,) * 5, opened_at=at - 60)  # by another process, which has kept it
    async with app._parts.database.write(INSTALLATION) as tx:
        await breakers.save(tx, "groq", elsewhere.model, asdict(opened), record.now())
    fallen, doubtful = [await model_of(http, row) for row in (here, elsewhere)]
    assert (fallen["breaker"]["state"], fallen["breaker"]["failures"]) == ("open", 5)
    assert fallen["breaker"]["opened_at"] < fallen["breaker"]["retry_at"]
    assert fallen["p_up"] < fresh[0]["p_up"]
    assert (doubtful["breaker"]["state"], doubtful["breaker"]["retry_at"]) == ("half_open", None)


async def model_of(http: httpx2.AsyncClient, sought: ModelRow) -> Any:
    rows = (await asked(http, "/api/providers"))["data"]
    (found,) = [
        model
        for row in rows
        for model in row["models"]
        if (row["provider"], model["model"]) == (sought.provider, sought.model)
    ]
    return found


async def test_a_key_of_ones_own_that_was_not_tested_is_in_the_way_of_its_provider(desk: Front) -> None:
    member = (await desk.join()).principal
    before = await desk.app.routes.providers(member)
    await desk.app.integrations.put(member, "groq", SecretStr(key("gsk")))
    after = await desk.app.routes.providers(member)
    assert [row["configured"] for row in before if row["provider"] == "groq"] == [True]
    assert [row["configured"] for row in after if row["provider"] == "groq"] == [False]


Change = Callable[[App, Principal], Awaitable[object]]


async def gives_a_task(app: App, who: Principal) -> None:
    task = await app.tasks.submit(who, TaskRequest(prompt="Say hello"))
    await app.tasks.follow(who, task.id, 20)


async def starts_a_run(app: App, who: Principal) -> None:
    await started(app, who, much=1, list=[])


async def decides(app: App, who: Principal) -> None:
    first = (await app.runs.awaiting(who)).rows[0].awaiting.step
    await app.runs.decide(who, first.run_id, first.step_id, How.TERMINAL, approve=False)


async def sets_a_budget(app: App, who: Principal) -> None:
    await app.budgets.set(who, Scope.USER, None, Period.DAY, 5.0)


async def only_looks(app: App, who: Principal) -> None:
    await app.tasks.list(who)


async def makes_a_webhook(app: App, who: Principal) -> None:
    await app.webhooks.create(who, "https://8.8.8.8/hook", ["alert.raised"])


# What is spent is read off the trail: "usage" may say that it has changed where it has not.
CHANGES: list[tuple[Change, set[str]]] = [
    (only_looks, set()),
    (gives_a_task, {"tasks", "usage", "audit"}),
    (starts_a_run, {"runs", "approvals", "usage", "audit"}),
    (decides, {"runs", "approvals", "usage", "audit"}),
    (sets_a_budget, {"usage", "audit"}),
    (makes_a_webhook, {"webhooks", "usage", "audit"}),
]


async def test_who_may_see_a_change_is_told_its_areas_and_nobody_else_is(desk: Front) -> None:
    app, place = desk.app, f"changes {uuid4()}"
    who, chief, manager, member = [
        (await desk.join(role, place)).principal
        for role in ("task_executor", "org_admin", "agent_manager", "task_executor")
    ]
    stranger = (await desk.join("org_admin", f"elsewhere {uuid4()}")).principal
    stamps = {each: await app.changes.areas(each, "", 0) for each in (who, chief, manager, member, stranger)}
    assert all(set(first.areas) == AREAS.keys() for first in stamps.values())
    for change, expected in CHANGES:
        await change(app, who)
        now = {each: await app.changes.areas(each, stamp.stamp, 0) for each, stamp in stamps.items()}
        told = [set(found.areas) for found in now.values()]
        # Who manages agents sees what the organisation spends, and nothing else of others.
        assert (change.__name__, told) == (
            change.__name__,
            [expected, expected, expected & {"usage"}, set(), set()],
        )
        stamps = now


async def test_a_role_is_told_of_the_areas_that_it_may_see(desk: Front) -> None:
    viewer = (await desk.join("viewer", f"changes {uuid4()}")).principal
    found = await desk.app.changes.areas(viewer, "", 0)
    assert set(found.areas) == AREAS.keys() - {"approvals", "webhooks"}


async def test_who_waits_is_answered_when_something_changes_and_else_when_the_time_is_over(desk: Front) -> None:
    app, who = desk.app, (await desk.join("task_executor", f"changes {uuid4()}")).principal
    first = await app.changes.areas(who, "", 20)
    async with asyncio.timeout(10):
        nothing = await app.changes.areas(who, first.stamp, 0.3)
        assert (nothing.areas, nothing.stamp) == ((), first.stamp)
        waiting = asyncio.create_task(app.changes.areas(who, first.stamp, 25))
        await sets_a_budget(app, who)
        assert (await waiting).areas == ("usage", "audit")


async def test_nobody_waits_for_changes_of_a_product_that_closes(app: App) -> None:
    areas, who = Areas(app._parts.database), app.local_principal
    first = await areas.changed(who, "", 0)
    waiting = asyncio.create_task(areas.changed(who, first.stamp, 25))
    async with asyncio.timeout(10):
        await turns()
        areas.end()
        await waiting


async def test_a_stamp_is_handed_back_as_it_was_given(http: httpx2.AsyncClient) -> None:
    first = await asked(http, "/api/changes")
    again = await asked(http, "/api/changes", since=first["stamp"])
    assert (set(first["changed"]), again) == (set(AREAS), {"stamp": first["stamp"], "changed": []})
    assert set((await asked(http, "/api/changes", since="another~stamp"))["changed"]) == set(AREAS)

"""What users of other gateways complain about where money is concerned, each as the test that prevents it here.

The complaints: litellm 26672 and 23714 (a cap is passed), 36926, 40050 and 27735 (a false "budget exceeded"), 41344
(a paid fallback behind a free model is not checked), 34887 (spend is lost in deadlocks), pydantic-ai 7133 (what has no
price is free), ruflo 2654 (background work without a limit for all of it).
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from schedules import most_taken
from time_machine import travel
from waits import found
from world import Providers, held

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.models import AgentConfig, AgentType, NanoUsd, Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.ledger import prompt_bytes, usd
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.store.tables import task_events
from vel_tutor_mcp.workflows.model import RunRequest

pytestmark = pytest.mark.anyio

HELLO = "Say hello"
MODEL = "groq/openai/gpt-oss-20b"


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    """No day or month ends in the middle of a test."""
    with travel(datetime.now(UTC).replace(hour=12), tick=True):
        yield


@pytest.fixture
async def agent(app: App, me: Principal) -> str:
    """One that asks one model."""
    config = AgentConfig(model_preferences={"general": MODEL}, fallback=False, max_retries=0)
    return (await app.agents.create(me, "tester", AgentType.RESEARCHER, config)).id


async def asked(app: App, me: Principal, agent: str, times: int) -> list[Told]:
    """So many tasks at once, each followed to its end."""
    made = [await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=agent)) for _ in range(times)]
    return list(await asyncio.gather(*(app.tasks.follow(me, task.id, 50) for task in made)))


async def rows_of(app: App, agent: str) -> list[sa.Row[Any]]:
    async with app._parts.database.read(INSTALLATION) as tx:
        return list(await tx.execute(sa.select(ledger).where(ledger.c.agent_id == agent)))


def worst_case(app: App, max_output_tokens: int = 4096) -> NanoUsd:
    cost = app.prices.worst_case(app.catalog.find(MODEL), prompt_bytes(HELLO), max_output_tokens)
    assert cost
    return cost


async def test_no_cap_is_passed_by_many_tasks_at_once(
    app: App, me: Principal, agent: str, providers: Providers
) -> None:
    """Each task may cost 200 tokens: there is money for three of twelve."""
    providers.groq.answer = lambda _: "word " * 200
    agent = await with_config(app, me, agent, max_output_tokens=200)
    limit = worst_case(app, 200) * 3
    await app.budgets.set(me, Scope.AGENT, agent, Period.DAY, usd(NanoUsd(limit)))
    told = await asked(app, me, agent, 12)

    statuses = [one.task.status for one in told]
    assert 3 <= statuses.count(TaskStatus.COMPLETED) < 12
    assert set(statuses) == {TaskStatus.COMPLETED, TaskStatus.FAILED}
    rows = await rows_of(app, agent)
    assert most_taken(rows) <= limit
    assert len(providers.groq.requests) == len(rows) == statuses.count(TaskStatus.COMPLETED)


async def with_config(app: App, me: Principal, agent: str, **config: Any) -> str:
    return (await app.agents.update(me, agent, config=config)).id


async def test_nothing_is_refused_as_over_budget_that_is_not(
    app: App, me: Principal, agent: str, providers: Providers
) -> None:
    """Each call sets aside nearly the whole budget and gives nearly all of it back: the others wait for it."""
    await app.budgets.set(me, Scope.AGENT, agent, Period.DAY, usd(NanoUsd(worst_case(app) + 100_000)))
    with held(providers.groq):
        asking = asyncio.create_task(asked(app, me, agent, 3))
        await found(lambda: waits_for_money(app))
    told = await asking

    assert [one.task.status for one in told] == [TaskStatus.COMPLETED] * 3
    assert {received.body["max_completion_tokens"] for received in providers.groq.requests} == {4096}


async def waits_for_money(app: App) -> str | None:
    words = task_events.c.message.startswith("waiting until other calls of its agent give money back")
    async with app._parts.database.read(INSTALLATION) as tx:
        return await tx.scalar(sa.select(task_events.c.message).where(words))


async def test_what_counts_against_a_budget_is_what_the_ledger_says_to_the_cent(
    app: App, me: Principal, agent: str
) -> None:
    for scope, subject in ((Scope.AGENT, agent), (Scope.USER, None), (Scope.ORGANISATION, None)):
        await app.budgets.set(me, scope, subject, Period.MONTH, 100)
    before = {told.name: told.standing.spent for told in await app.budgets.list(me)}
    told = await asked(app, me, agent, 10)

    cost = sum(attempt.cost_nanousd or 0 for one in told for attempt in one.attempts)
    assert cost == sum(row.settled_nanousd for row in await rows_of(app, agent)) > 0
    for budget in await app.budgets.list(me):
        if budget.standing.budget.period is Period.MONTH:
            assert budget.standing.spent - before[budget.name] == cost
            assert budget.standing.reserved == 0


async def test_a_paid_fallback_behind_a_free_model_is_checked_too(settings: Settings, providers: Providers) -> None:
    row = {"provider": "local", "model": "mine", "tier": "small", "context_window": 8192}
    at_home = {"local_base_url": providers.groq.base_url, "groq_api_key": None, "catalog": {"models": [row]}}
    providers.groq.always = Fault(kind="status", status=500, message="No.")
    async with open_app(settings.model_copy(update=at_home | {"budget_usd_day": 0.000_001})) as app:
        me = app.local_principal
        config = AgentConfig(model_preferences={"general": "local/mine"}, max_retries=0)
        agent = await app.agents.create(me, "free first", AgentType.RESEARCHER, config)
        (told,) = await asked(app, me, agent.id, 1)

    assert told.task.error
    assert [(attempt.provider, attempt.cost_nanousd) for attempt in told.attempts] == [("local", 0)]
    assert providers.openai.requests == []


async def test_a_fallback_is_checked_against_what_the_call_before_it_has_spent(
    app: App, me: Principal, agent: str, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="cut", after_chunks=1)
    agent = await with_config(app, me, agent, fallback=True)
    await app.budgets.set(me, Scope.AGENT, agent, Period.DAY, usd(worst_case(app, 1000)))
    (told,) = await asked(app, me, agent, 1)

    assert told.task.error
    assert "The budget of its agent, " in told.task.error.message
    assert len(told.attempts) == 1
    assert providers.openai.requests == []


async def test_no_spending_is_lost_where_many_calls_end_at_once(
    app: App, me: Principal, agent: str, providers: Providers
) -> None:
    """Twenty settlements on the same four budgets: nothing is added up in place, so nothing is locked."""
    providers.groq.answer = lambda _: "word " * 50
    for scope, subject in ((Scope.AGENT, agent), (Scope.USER, None), (Scope.ORGANISATION, None)):
        await app.budgets.set(me, scope, subject, Period.DAY, 100)
    told = await asked(app, me, agent, 20)

    row = app.catalog.find(MODEL)
    served = [app.prices.cost(row, 3, attempt.tokens_out or 0) for one in told for attempt in one.attempts]
    assert [told.standing.spent for told in await app.budgets.list(me) if told.standing.budget.subject_id == agent] == [
        sum(cost or 0 for cost in served)
    ]
    assert len(served) == len(providers.groq.requests) == 20


async def test_an_answer_without_a_price_is_refused_or_told_never_silently_free(settings: Settings) -> None:
    row = {"provider": "groq", "model": "mystery", "tier": "frontier", "context_window": 8192}
    told_of = settings.model_copy(update={"catalog": {"models": [row]}})
    config = AgentConfig(model_preferences={"general": "mystery"}, providers=("groq",))
    for allowed in (False, True):
        async with open_app(told_of.model_copy(update={"allow_unpriced": allowed})) as app:
            agent = await app.agents.create(app.local_principal, f"m{allowed}", AgentType.RESEARCHER, config)
            (told,) = await asked(app, app.local_principal, agent.id, 1)
        warned = [event.message for event in told.history if "price is unknown: it counts as $0" in event.message]
        assert (told.task.model == "mystery", len(warned)) == (allowed, allowed)


async def test_work_in_the_background_is_under_one_limit_for_all_of_it(
    settings: Settings, providers: Providers
) -> None:
    """A map over twelve items, with nobody looking: the day's budget holds for the whole installation."""
    providers.groq.answer = providers.openai.answer = lambda _: "word " * 400
    flow = {
        "inputs": {"type": "object", "properties": {"many": {"type": "array"}}},
        "steps": [{"id": "all", "kind": "map", "over": "inputs.many", "prompt": "Say {{ item }}", "parallel": 4}],
    }
    async with open_app(settings.model_copy(update={"budget_usd_day": 0.000_6})) as app:
        me = app.local_principal
        await app.agents.update(me, "default", config={"max_output_tokens": 512})
        await app.workflows.save(me, "background", flow)
        run = await app.runs.start(me, RunRequest(workflow="background", inputs={"many": list(range(12))}))
        ended = await app.runs.follow(me, run.id, 50)
        async with app._parts.database.read(INSTALLATION) as tx:
            rows = list(await tx.execute(sa.select(ledger)))
        (budget,) = await app.budgets.list(me)

    assert ended.status is TaskStatus.COMPLETED
    output = {step.step_id: step for step in ended.steps}["all"].output
    assert 0 < output["succeeded"] < 12
    assert "The budget of the organisation, $0.0006 a day (UTC)" in output["errors"][0]["message"]
    assert most_taken(rows) <= 600_000
    assert (budget.standing.spent, budget.shown()["set_by"]) == (ended.cost_nanousd, "VEL_TUTOR_BUDGET_USD_DAY")

"""What users of other routers complain about, prevented in whole tasks: each test is named after one complaint."""

import asyncio

import pytest
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import AgentConfig, AgentType, Outcome, Policy, Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.reports import Told, full_task

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)]

PROMPT = "Write a Python function that parses CSV files"


async def answered(app: App, me: Principal, prompt: str = PROMPT, agent: str = "default") -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=prompt, agent=agent))
    return await app.tasks.follow(me, task.id, 30)


async def test_24_the_decision_is_stored_with_the_task_and_shown(app: App, me: Principal) -> None:
    told = await answered(app, me)
    assert told.decision
    shown = full_task(told)["decision"]
    assert (shown["task_type"], shown["policy"]) == ("code_generation", "balanced")
    assert shown["candidates"][0]["model"] == told.task.model
    assert shown["candidates"][0].keys() >= {"p_ok", "p_up", "expected_cost_usd", "expected_latency_ms", "utility"}
    assert shown["reasons"]
    assert {out["reason"] for out in shown["excluded"]} >= {"no key: set PERPLEXITY_API_KEY"}
    (entry,) = (await app.audit.search(me, action="route_decided", subject=f"task:{told.task.id}")).rows
    assert entry.payload["candidates"] == [candidate.name for candidate in told.decision.candidates]


async def test_25_which_model_and_why_is_told_without_calling_or_spending(
    app: App, me: Principal, providers: Providers
) -> None:
    before = (await app.usage.report(me, "day", "model")).lines
    for policy in Policy:
        decision = await app.routes.explain(me, PROMPT, "default", None, policy)
        assert decision.policy is policy
        assert decision.reasons
    assert (providers.openai.requests, providers.groq.requests) == ([], [])
    assert (await app.usage.report(me, "day", "model")).lines == before


async def test_25_and_it_is_what_the_task_then_gets(app: App, me: Principal) -> None:
    explained = await app.routes.explain(me, PROMPT, "default", None, None)
    told = await answered(app, me)
    assert told.decision
    assert (told.decision.candidates, told.decision.reasons) == (explained.candidates, explained.reasons)


async def test_28_several_models_are_asked_at_once_and_each_error_is_its_own(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="status", status=401)
    agents = [
        await app.agents.create(me, name, AgentType.RESEARCHER, AgentConfig(providers=(name,), fallback=False))
        for name in ("openai", "groq")
    ]
    good, bad = await asyncio.gather(*(answered(app, me, agent=agent.id) for agent in agents))
    assert (good.task.status, bad.task.status) == (TaskStatus.COMPLETED, TaskStatus.FAILED)
    assert [(attempt.provider, attempt.outcome) for attempt in bad.attempts] == [("groq", Outcome.FAILED)]
    assert "refused the API key" in full_task(bad)["error"]["message"]


async def test_28_no_history_is_sent_again_that_would_eat_the_tokens_of_a_minute(
    app: App, me: Principal, providers: Providers
) -> None:
    for number in range(3):
        await answered(app, me, prompt=f"Say hello {number}")
    sent = [*providers.groq.requests, *providers.openai.requests]
    assert [[message["content"] for message in request.body["messages"]] for request in sent] == [
        ["Say hello 0"],
        ["Say hello 1"],
        ["Say hello 2"],
    ]

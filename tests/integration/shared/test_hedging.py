"""A second request where the first token is late: who answers, what is stopped, what is booked."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from waits import found
from world import Providers, asked_of_two, held

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentType,
    Attempt,
    Candidate,
    NanoUsd,
    Outcome,
    Principal,
    TaskRequest,
    TaskStatus,
)
from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider
from vel_tutor_mcp.routing.hedge import LEAST_TIMES, Hedging
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.store import attempts
from vel_tutor_mcp.store.database import INSTALLATION

pytestmark = pytest.mark.anyio

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
HELLO = "Say hello"
SLOW = Fault(kind="stall", after_chunks=0)


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"hedging": True}


@pytest.fixture(autouse=True)
def used_to_fast_answers(app: App) -> None:
    """Nine of ten of the first model's first tokens came within 50 ms, and a hundred requests were not hedged."""
    hedging = hedging_of(app)
    hedging.__init__()  # type: ignore[misc]
    for _ in range(LEAST_TIMES):
        hedging.heard(first_candidate(), 0.05)
    for _ in range(100):
        hedging.count()


def hedging_of(app: App) -> Hedging:
    hedging = app._answers._router._hedging
    assert hedging is not None
    return hedging


def first_candidate() -> Candidate:
    return Candidate(
        provider="groq",
        model=FIRST,
        p_ok=1,
        p_up=1,
        expected_cost_nanousd=NanoUsd(0),
        expected_latency_ms=0,
        utility=0,
    )


async def asked(app: App, me: Principal, agent: str = "default", **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=agent, **wanted))
    return await app.tasks.follow(me, task.id, 30)


async def until(sim: SimulatedProvider, count: int) -> None:
    async with asyncio.timeout(20):
        await sim.until(lambda sim: sim.open == count)


def outcomes(told: Told) -> list[tuple[str, Outcome]]:
    return [(attempt.provider, attempt.outcome) for attempt in told.attempts]


async def reserved_for(app: App, attempt_id: str) -> int:
    async with app._parts.database.read(INSTALLATION) as tx:
        return await attempts.reserved(tx, attempt_id)


async def test_a_late_first_token_is_hedged_and_the_loser_is_stopped_and_booked(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = SLOW
    told = await asked_of_two(app, me, HELLO, slow=providers.groq, held_back=providers.openai)

    assert (told.task.status, told.task.provider) == (TaskStatus.COMPLETED, "openai")
    assert outcomes(told) == [("groq", Outcome.CANCELLED), ("openai", Outcome.COMPLETED)]
    loser, winner = told.attempts
    assert loser.error == f"lost the race: openai/{winner.model} began to answer first"
    assert loser.cost_nanousd == await reserved_for(app, loser.id)
    assert (loser.partial, loser.failure) == (None, None)
    await until(providers.groq, 0)
    assert providers.groq.requests[0].closed_early
    messages = [event.message for event in told.history]
    assert f"asking openai/{winner.model} too, for groq/{FIRST} is late" in messages
    assert f"openai/{winner.model} began to answer first; groq/{FIRST} is stopped" in messages


async def test_a_first_call_that_wakes_up_before_the_second_goes_on_alone(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.openai.always = SLOW
    told = await asked_of_two(app, me, HELLO, slow=providers.openai, held_back=providers.groq)

    assert (told.task.provider, told.task.model) == ("groq", FIRST)
    assert outcomes(told) == [("groq", Outcome.COMPLETED), ("openai", Outcome.CANCELLED)]
    await until(providers.openai, 0)
    assert providers.openai.requests[0].closed_early


async def test_where_the_first_fails_the_hedge_simply_goes_on(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=500)
    with held(providers.groq) as fail, held(providers.openai) as answer:
        task = await app.tasks.submit(me, TaskRequest(prompt=HELLO))
        await until(providers.openai, 1)
        fail()
        await found(lambda: failed(app, me, task.id))
        answer()
        told = await app.tasks.follow(me, task.id, 30)

    assert outcomes(told) == [("groq", Outcome.FAILED), ("openai", Outcome.COMPLETED)]
    assert len(providers.groq.requests) == len(providers.openai.requests) == 1


async def failed(app: App, me: Principal, task_id: str) -> Attempt | None:
    attempts = (await app.tasks.tell(me, task_id)).attempts
    return next((attempt for attempt in attempts if attempt.outcome is Outcome.FAILED), None)


async def test_where_both_fail_the_next_is_asked(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.latency, providers.groq.always = 0.3, Fault(kind="status", status=500)
    providers.openai.faults = [Fault(kind="status", status=503)]
    told = await asked(app, me)

    assert told.task.status is TaskStatus.COMPLETED
    assert sorted(outcomes(told)[:2]) == [("groq", Outcome.FAILED), ("openai", Outcome.FAILED)]


async def test_a_hedge_that_the_budget_does_not_allow_is_not_made(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.latency = 0.4
    row = app.catalog.find(f"groq/{FIRST}")
    most = app.prices.worst_case(row, len(HELLO), 4096)
    assert most
    told = await asked(app, me, max_cost_usd=most / 1e9)

    assert outcomes(told) == [("groq", Outcome.COMPLETED)]
    assert providers.openai.requests == []


async def test_no_hedge_is_made_beyond_one_request_in_ten(app: App, me: Principal, providers: Providers) -> None:
    hedging = hedging_of(app)
    while hedging.take():
        pass
    providers.groq.latency = 0.3
    told = await asked(app, me)

    assert outcomes(told) == [("groq", Outcome.COMPLETED)]


async def test_an_agent_without_fallback_is_not_hedged(app: App, me: Principal, providers: Providers) -> None:
    config = AgentConfig(fallback=False)
    agent = await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, config)
    providers.groq.latency = 0.3
    told = await asked(app, me, agent.id)

    assert outcomes(told) == [("groq", Outcome.COMPLETED)]


async def test_cancelling_stops_both_calls_and_books_both(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = providers.openai.always = SLOW
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO))
    await until(providers.groq, 1)
    await until(providers.openai, 1)

    await app.tasks.cancel(me, task.id)
    await until(providers.groq, 0)
    await until(providers.openai, 0)
    told = await app.tasks.follow(me, task.id, 30)

    assert outcomes(told) == [("groq", Outcome.CANCELLED), ("openai", Outcome.CANCELLED)]
    for attempt in told.attempts:
        assert attempt.cost_nanousd == await reserved_for(app, attempt.id) > 0

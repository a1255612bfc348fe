"""What users of other routers complain about, each prevented. The numbers in brackets are those of docs/routing.md."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import pytest
from patience import impatient
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentType,
    FailureKind,
    Outcome,
    Principal,
    TaskRequest,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.health import BreakerState
from vel_tutor_mcp.services.reports import Told

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)]

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
HELLO = "Say hello"
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
BURST = Fault(kind="status", status=429, code="rate_limit_exceeded", retry_after=20)


async def asked(app: App, me: Principal, agent: str = "default", prompt: str = HELLO, **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=prompt, agent=agent, **wanted))
    return await app.tasks.follow(me, task.id, 30)


async def agent_with(app: App, me: Principal, **config: Any) -> str:
    return (await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, AgentConfig(**config))).id


def asked_of(told: Told) -> list[tuple[str, Outcome]]:
    return [(attempt.provider, attempt.outcome) for attempt in told.attempts]


FELL_BACK = [("groq", Outcome.FAILED), ("openai", Outcome.COMPLETED)]


@pytest.mark.parametrize("after_chunks", [0, 3])
async def test_14_an_error_inside_a_stream_is_followed_by_a_fallback(
    app: App, me: Principal, providers: Providers, after_chunks: int
) -> None:
    providers.groq.always = Fault(
        kind="error_event", after_chunks=after_chunks, message="Overloaded.", code="overloaded_error"
    )
    told = await asked(app, me)

    assert asked_of(told) == FELL_BACK
    assert (told.task.output or "").startswith("[simulated openai/")


async def test_14_the_text_before_a_break_stays_in_its_attempt_and_the_caller_is_told(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="cut", after_chunks=3)
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO))
    told = await app.tasks.follow(me, task.id, 30)

    broken, answer = told.attempts
    assert broken.partial == f"[simulated groq/{FIRST}] No"
    assert (answer.partial, told.task.partial) == (None, False)
    assert f"[simulated groq/{FIRST}]" not in (told.task.output or "")
    (message,) = [event.message for event in told.history if event.kind == "failed_attempt"]
    assert message.endswith("What had arrived stays in the attempt; whoever is asked next begins anew.")


@pytest.mark.parametrize(
    ("reason", "mark"),
    [("length", " (cut at max_output_tokens)"), ("content_filter", " (cut by the provider's content filter)")],
)
async def test_14_an_answer_that_the_provider_cut_says_by_what(
    app: App, me: Principal, providers: Providers, reason: str, mark: str
) -> None:
    providers.groq.always = Fault(kind="finish", code=reason, after_chunks=3)
    told = await asked(app, me)

    assert (told.task.status, told.task.output) == (TaskStatus.COMPLETED, f"[simulated groq/{FIRST}] No")
    assert told.task.partial
    assert told.history[-1].message == f"answered by groq/{FIRST}{mark}"


async def test_14_an_answer_that_finishes_as_an_error_is_followed_by_a_fallback(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="finish", code="error", after_chunks=3)
    told = await asked(app, me)

    assert asked_of(told) == FELL_BACK


@pytest.mark.parametrize(
    ("status", "falls_back"),
    [(400, False), (422, False), (401, True), (403, True), (404, True), (408, True), (409, True)]
    + [(status, True) for status in (429, 500, 502, 503, 529)],
)
async def test_15_and_22_each_class_of_error_has_its_rule(
    app: App, me: Principal, providers: Providers, status: int, falls_back: bool
) -> None:
    providers.groq.always = Fault(kind="status", status=status)
    told = await asked(app, me)

    assert (told.task.status is TaskStatus.COMPLETED) is falls_back
    assert len(providers.openai.requests) == falls_back


async def test_16_a_rate_limit_is_followed_by_a_fallback_at_once_whatever_it_asks_to_wait(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = BURST
    told = await asked(app, me)

    assert asked_of(told) == FELL_BACK
    assert [event.kind for event in told.history].count("waiting") == 0


async def test_16_a_model_that_asks_to_wait_is_left_alone_by_all_other_tasks(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = BURST
    await asked(app, me)
    told = [await asked(app, me) for _ in range(3)]

    assert [received.model for received in providers.groq.requests].count(FIRST) == 1
    assert {one.task.status for one in told} == {TaskStatus.COMPLETED}


async def test_16_nobody_waits_for_a_preferred_model_that_asks_to_wait_while_another_can_be_asked(
    app: App, me: Principal, providers: Providers
) -> None:
    agent = await agent_with(app, me, model_preferences={"general": f"groq/{FIRST}"})
    providers.groq.faults = [BURST]
    await asked(app, me, agent, task_type=TaskType.GENERAL)
    told = await asked(app, me, agent, task_type=TaskType.GENERAL)

    assert told.decision
    assert told.decision.candidates[0].model == FIRST
    assert [(one.model, one.outcome) for one in told.attempts] == [
        (told.decision.candidates[1].model, Outcome.COMPLETED)
    ]


async def test_18_the_fallback_model_is_given_the_schema(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=503)
    told = await asked(app, me, prompt="Who?", response_schema=PERSON)

    assert asked_of(told) == FELL_BACK
    (received,) = providers.openai.requests
    assert received.body["response_format"]["json_schema"]["schema"] == PERSON


async def test_18_an_answer_that_is_no_match_is_corrected_once_by_the_same_model(
    app: App, me: Principal, providers: Providers
) -> None:
    said = iter(['{"nom": "Ada"}', '{"name": "Ada"}'])
    providers.groq.answer = lambda _: next(said)
    told = await asked(app, me, prompt="Who?", response_schema=PERSON)

    assert told.task.output == '{"name": "Ada"}'
    assert [(attempt.provider, attempt.failure) for attempt in told.attempts] == [
        ("groq", FailureKind.INVALID_OUTPUT),
        ("groq", None),
    ]
    first, second = providers.groq.requests
    assert second.prompt.startswith(first.prompt)
    assert "the answer does not match the schema at its top (required)" in second.prompt
    assert second.prompt.endswith('The answer before:\n{"nom": "Ada"}')
    assert second.body["response_format"] == first.body["response_format"]
    assert f"asking groq/{FIRST} to correct its answer" in [event.message for event in told.history]


async def test_18_an_answer_that_the_vendor_finds_no_match_is_corrected_by_the_same_model(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [Fault(kind="status", status=400, code="json_validate_failed")]
    told = await asked(app, me, prompt="Who?", response_schema=PERSON)

    assert [attempt.failure for attempt in told.attempts] == [FailureKind.INVALID_OUTPUT, None]
    assert {attempt.provider for attempt in told.attempts} == {"groq"}


async def test_20_a_prompt_is_not_sent_to_a_model_whose_window_it_does_not_fit(app: App, me: Principal) -> None:
    config = AgentConfig(system_prompt="x" * 100_000)
    agent = await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, config)
    small = app.catalog.with_found("groq", ["tiny"])
    app.routes._catalog, catalog = small, app.routes._catalog
    decision = await app.routes.explain(me, "y" * 50_000, agent.id, None, None)
    app.routes._catalog = catalog

    (out,) = [out for out in decision.excluded if out.model == "tiny"]
    assert "does not fit its window of 8,192" in out.reason
    assert all(app.catalog.find(candidate.name).context_window > 150_000 // 4 for candidate in decision.candidates)


async def test_21_tasks_of_one_agent_stay_with_the_model_whose_cache_is_warm(app: App, me: Principal) -> None:
    system = "You know the archive by heart. " * 1000
    agent = await agent_with(app, me, providers=("openai",), policy="cheapest", system_prompt=system)
    cold = await app.routes.explain(me, HELLO, agent, TaskType.GENERAL, None)
    dearer = cold.candidates[1]
    preferences = {TaskType.GENERAL: dearer.model}
    loyal = await agent_with(app, me, model_preferences=preferences, system_prompt=system)

    await asked(app, me, loyal, task_type=TaskType.GENERAL)
    warm = await app.routes.explain(me, "And who was it?", agent, TaskType.GENERAL, None)

    known = {candidate.name: candidate.expected_cost_nanousd for candidate in warm.candidates}
    assert known[dearer.name] < dearer.expected_cost_nanousd
    assert min(known, key=lambda name: known[name]) == warm.candidates[0].name


async def test_22_no_field_of_our_own_is_sent_upstream(app: App, me: Principal, providers: Providers) -> None:
    await asked(app, me, prompt="Who?", response_schema=PERSON)

    (received,) = providers.groq.requests
    assert set(received.body) <= {
        "model", "messages", "stream", "stream_options", "temperature", "max_completion_tokens", "response_format",
    }  # fmt: skip


async def test_23_a_task_asks_at_most_five_models_and_in_the_agents_own_order(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = providers.openai.always = Fault(kind="status", status=500)
    agent = await agent_with(app, me, max_retries=0, policy="fixed", providers=("openai", "groq"))
    told = await asked(app, me, agent)

    assert [attempt.provider for attempt in told.attempts][:2] == ["openai", "groq"]
    assert len(told.attempts) == len({(attempt.provider, attempt.model) for attempt in told.attempts}) <= 5


async def test_a_hung_provider_holds_a_task_no_longer_than_its_first_token_time_out(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="heartbeats", after_chunks=0)
    with impatient("first_token", "reasoning"):
        task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, task_type=TaskType.GENERAL))
        async with asyncio.timeout(20):
            await providers.groq.until(lambda groq: bool(groq.requests))
    told = await app.tasks.follow(me, task.id, 30)

    (hung,) = [attempt for attempt in told.attempts if attempt.outcome is Outcome.FAILED]
    assert (hung.failure, told.task.provider) == (FailureKind.TIMEOUT, "openai")
    assert "more than" in (hung.error or "")


async def test_time_outs_of_an_impatient_agent_do_not_open_a_breaker_for_all(
    app: App, me: Principal, providers: Providers
) -> None:
    """Its own limit for the whole call is over; the model sends all the time."""
    row = app.catalog.find(f"groq/{FIRST}")
    agent = await agent_with(app, me, timeout_seconds=1, max_retries=0, fallback=False)
    providers.groq.answer, providers.groq.tokens_per_second = (lambda _: "word " * 50), 5
    told = await asyncio.gather(*(asked(app, me, agent) for _ in range(6)))
    providers.groq.tokens_per_second = 0

    assert {attempt.failure for one in told for attempt in one.attempts} == {FailureKind.TIMEOUT}
    assert app.health.state(row.provider, row.model, time.time()) is BreakerState.CLOSED
    assert app.health.snapshot(row.provider, row.model).failures == ()

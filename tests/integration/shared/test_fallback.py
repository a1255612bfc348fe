"""What becomes of a task when a provider fails: every fault on the wire, and what its caller is told of it."""

import asyncio
import socket
import time
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from patience import impatient
from planted import key
from server import soon
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentType,
    Candidate,
    FailureKind,
    Outcome,
    Principal,
    Task,
    TaskRequest,
    TaskStatus,
)
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.health import OPEN_SECONDS, Breaker, BreakerState
from vel_tutor_mcp.routing.ledger import prompt_bytes
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.tables import attempts

pytestmark = pytest.mark.anyio

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
HELLO = "Say hello"


@pytest.fixture(scope="module", autouse=True)
def no_chance(app: App) -> None:
    app._answers._router._jitter = lambda: 0.0


async def asked(app: App, me: Principal, agent: str = "default", **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=agent, **wanted))
    return await app.tasks.follow(me, task.id, 30)


async def agent_with(app: App, me: Principal, **config: Any) -> str:
    return (await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, AgentConfig(**config))).id


def reservation(app: App) -> int:
    cost = app.prices.worst_case(app.catalog.find(f"groq/{FIRST}"), prompt_bytes(HELLO), 4096)
    assert cost
    return cost


def refused(status: int, code: str | None = None) -> Fault:
    return Fault(kind="status", status=status, code=code)


KIND = FailureKind
FAULTS = [
    (refused(500), KIND.SERVER_ERROR, "it answered 500", 0),
    (refused(503), KIND.SERVER_ERROR, "it answered 503", 0),
    (refused(409), KIND.SERVER_ERROR, "it answered 409", 0),
    (refused(408), KIND.TIMEOUT, "it answered 408", 0),
    (refused(429), KIND.RATE_LIMITED, "it answered 429", 0),
    (refused(429, "insufficient_quota"), KIND.AUTHENTICATION, "add credit", 0),
    (refused(401), KIND.AUTHENTICATION, "check its key", 0),
    (refused(403), KIND.AUTHENTICATION, "check its key", 0),
    (refused(404), KIND.NOT_FOUND, "check the model's name", 0),
    (refused(400, "model_decommissioned"), KIND.NOT_FOUND, "told to fail; do as it says", 0),
    (refused(403, "model_not_found"), KIND.NOT_FOUND, "told to fail; do as it says", 0),
    (Fault(kind="reset"), KIND.CONNECTION, "the connection failed", 1),
    (Fault(kind="reset", after_chunks=3), KIND.CONNECTION, "the connection failed", 1),
    (Fault(kind="cut", after_chunks=0), KIND.CONNECTION, "broke off", 1),
    (Fault(kind="cut", after_chunks=3), KIND.CONNECTION, "broke off", 1),
    (Fault(kind="stall"), KIND.TIMEOUT, "more than 1 s for the first token", 1),
    (Fault(kind="stall", after_chunks=3), KIND.TIMEOUT, "more than 1 s for the next token", 1),
    (Fault(kind="heartbeats", after_chunks=0), KIND.TIMEOUT, "more than 1 s for the first token", 1),
    (Fault(kind="reasoning"), KIND.TIMEOUT, "more than 1 s for the first token", 1),
    (Fault(kind="malformed", after_chunks=3), KIND.MALFORMED, "not what the protocol says", 1),
    (Fault(kind="error_event", after_chunks=3), KIND.SERVER_ERROR, "told to fail", 1),
    (Fault(kind="empty"), KIND.MALFORMED, "its answer is empty", 1),
]


def waits_for(fault: Fault) -> tuple[str, ...]:
    """What never comes of a provider with this fault; of one that does not stall, nothing."""
    if fault.kind not in {"stall", "heartbeats", "reasoning"}:
        return ()
    return ("between_tokens",) if fault.after_chunks else ("first_token", "reasoning")


@pytest.mark.parametrize(
    ("fault", "kind", "words", "reservations"),
    FAULTS,
    ids=[f"{fault.kind}-{fault.status}-{fault.code}-{fault.after_chunks}" for fault, *_ in FAULTS],
)
async def test_another_provider_answers_and_the_caller_is_told_why(
    app: App, me: Principal, providers: Providers, fault: Fault, kind: FailureKind, words: str, reservations: int
) -> None:
    providers.groq.always = fault
    with impatient(*waits_for(fault)):
        task = await app.tasks.submit(me, TaskRequest(prompt=HELLO))
        async with asyncio.timeout(20):
            await providers.groq.until(lambda groq: bool(groq.requests))
    told = await app.tasks.follow(me, task.id, 30)

    failed, answered = told.attempts
    assert (told.task.status, told.task.provider) == (TaskStatus.COMPLETED, "openai")
    assert (failed.outcome, failed.failure, failed.cost_nanousd) == (
        Outcome.FAILED,
        kind,
        reservations * reservation(app),
    )
    assert failed.error
    assert failed.error.startswith(f"groq/{FIRST} failed; ")
    assert words in failed.error
    assert failed.partial == (f"[simulated groq/{FIRST}] No" if fault.after_chunks == 3 else None)
    assert (answered.outcome, answered.number) == (Outcome.COMPLETED, 2)
    assert [event.kind for event in told.history][2:] == ["attempt", "failed_attempt", "attempt", "completed"]
    begun = " What had arrived stays in the attempt; whoever is asked next begins anew." if failed.partial else ""
    assert told.history[3].message == failed.error + begun


async def test_a_provider_that_is_not_there_costs_nothing(app: App, me: Principal, providers: Providers) -> None:
    await providers.groq.__aexit__(None, None, None)
    with socket.socket() as kept:  # or the port may be somebody else's when it is opened again
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", providers.groq.port))
        told = await asked(app, me)
    await providers.groq.__aenter__()

    assert told.task.provider == "openai"
    assert (told.attempts[0].failure, told.attempts[0].cost_nanousd) == (FailureKind.CONNECTION, 0)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_request_that_is_refused_for_itself_fails_without_a_second_call(
    app: App, me: Principal, providers: Providers, status: int
) -> None:
    providers.groq.always = refused(status)
    told = await asked(app, me)

    assert told.task.status is TaskStatus.FAILED
    assert told.task.error
    assert told.task.error.code == "no_answer"
    assert f"groq/{FIRST} refused the request; change the prompt" in told.task.error.message
    assert (len(providers.groq.requests), providers.openai.requests) == (1, [])


async def test_a_refused_key_takes_the_whole_provider_out(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = refused(401)
    providers.openai.always = refused(404)
    told = await asked(app, me)

    assert told.task.error
    assert "refused the API key" in told.task.error.message
    assert "check the provider's API key" in told.task.error.message
    assert len(providers.groq.requests) == 1
    assert len({received.model for received in providers.openai.requests}) == len(providers.openai.requests) == 3


async def test_without_fallback_no_other_model_is_asked(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = refused(500)
    told = await asked(app, me, await agent_with(app, me, fallback=False, max_retries=0))

    assert told.task.error
    assert "retries are switched off" in told.task.error.message
    assert (len(providers.groq.requests), providers.openai.requests) == (1, [])


async def test_without_retries_each_candidate_is_asked_once(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = providers.openai.always = refused(500)
    told = await asked(app, me, await agent_with(app, me, max_retries=0))

    assert told.decision
    assert told.task.status is TaskStatus.FAILED
    assert [(attempt.provider, attempt.model) for attempt in told.attempts] == names(told.decision.candidates)


def names(candidates: tuple[Candidate, ...]) -> list[tuple[str, str]]:
    return [(candidate.provider, candidate.model) for candidate in candidates]


async def test_the_last_one_left_is_asked_again_as_often_as_allowed(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = refused(503)
    told = await asked(app, me, await agent_with(app, me, fallback=False, max_retries=2))

    assert told.task.error
    assert f"groq/{FIRST} (3 times) had an internal error" in told.task.error.message
    assert "limit of 2 retries" in told.task.error.message
    assert [event.kind for event in told.history].count("waiting") == 2


async def test_retry_after_is_honoured(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="status", status=429, retry_after=0.7)]
    told = await asked(app, me, await agent_with(app, me, fallback=False))

    first, second = providers.groq.requests
    assert first.ended
    assert second.started - first.ended >= 0.7
    assert told.task.status is TaskStatus.COMPLETED
    assert f"waiting 0.7 s before asking groq/{FIRST} again" in {event.message for event in told.history}


async def test_a_long_retry_after_ends_the_task_saying_when_to_come_back(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="status", status=429, retry_after=600)
    told = await asked(app, me, await agent_with(app, me, fallback=False))

    assert told.task.error
    assert f"groq/{FIRST} asks to come back in 10 min" in told.task.error.message
    assert len(providers.groq.requests) == 1


async def loyal(app: App, me: Principal, **config: Any) -> str:
    """An agent that asks this model, or another only where this one is excluded."""
    return await agent_with(app, me, model_preferences={"general": f"groq/{FIRST}"}, fallback=False, **config)


def half_open(app: App) -> None:
    app.health.restore("groq", FIRST, Breaker(opened_at=time.time() - OPEN_SECONDS))


async def test_five_failures_open_the_breaker_which_excludes_the_model(
    app: App, me: Principal, providers: Providers
) -> None:
    agent = await loyal(app, me, max_retries=4)
    providers.groq.always = Fault(kind="status", status=500)
    failed = await asked(app, me, agent)
    providers.groq.always = None
    answered = await asked(app, me, agent)

    assert [attempt.model for attempt in failed.attempts] == [FIRST] * 5
    assert FIRST not in {attempt.model for attempt in answered.attempts}
    assert answered.decision
    (excluded,) = [out for out in answered.decision.excluded if out.model == FIRST]
    assert "it failed repeatedly: its circuit is open until" in excluded.reason
    (entry,) = (await app.audit.search(me, action="breaker_open", subject=f"task:{failed.task.id}")).rows
    assert entry.payload == {"provider": "groq", "model": FIRST}


async def test_a_good_probe_closes_a_half_open_breaker(app: App, me: Principal) -> None:
    half_open(app)
    told = await asked(app, me, await loyal(app, me))

    assert told.task.status is TaskStatus.COMPLETED
    assert app.health.state("groq", FIRST, time.time()) is BreakerState.CLOSED
    (entry,) = (await app.audit.search(me, subject=f"task:{told.task.id}", action="breaker_closed")).rows
    assert entry.payload == {"provider": "groq", "model": FIRST}


async def test_a_bad_probe_opens_it_again(app: App, me: Principal, providers: Providers) -> None:
    half_open(app)
    providers.groq.always = Fault(kind="status", status=500)
    await asked(app, me, await loyal(app, me, max_retries=0))

    assert app.health.state("groq", FIRST, time.time()) is BreakerState.OPEN


async def test_a_half_open_breaker_lets_one_probe_through(app: App, me: Principal, providers: Providers) -> None:
    half_open(app)
    providers.groq.always = Fault(kind="stall", after_chunks=1)
    agent = await loyal(app, me)
    probe = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=agent))
    await soon(providers.groq.until(lambda sim: sim.open == 1))

    meanwhile = await app.routes.explain(me, HELLO, agent, None, None)

    assert ("groq", FIRST) not in names(meanwhile.candidates)
    await app.tasks.cancel(me, probe.id)


async def test_a_task_waits_where_its_only_models_breaker_opens_under_it(
    app: App, me: Principal, providers: Providers
) -> None:
    for _ in range(4):
        app.health.record("groq", FIRST, FailureKind.SERVER_ERROR, time.time())
    providers.groq.always = Fault(kind="status", status=500)
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=await loyal(app, me)))

    waits = await waited(app, me, task, 2)

    seconds = float(waits[1].split()[1])
    assert 10 < seconds <= OPEN_SECONDS
    assert len(providers.groq.requests) == 1
    await app.tasks.cancel(me, task.id)


async def waited(app: App, me: Principal, task: Task, times: int) -> list[str]:
    with app._hub.listen(task.id) as listener:
        for _ in range(100):
            history = (await app.tasks.tell(me, task.id)).history
            waits = [event.message for event in history if event.kind == "waiting"]
            if len(waits) == times:
                return waits
            await listener.wait(1)
            listener.take()
    raise AssertionError(history)


async def test_a_model_that_answers_under_another_name_is_recorded_not_refused(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="wrong_model")
    told = await asked(app, me)

    async with app._parts.database.read(INSTALLATION) as tx:
        served = await tx.scalar(sa.select(attempts.c.served_model).where(attempts.c.task_id == told.task.id))
    assert (told.task.model, served) == (FIRST, f"not-{FIRST}")
    assert len(told.attempts) == 1


async def test_an_answer_that_is_not_streamed_is_taken_as_well(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="not_streamed")
    told = await asked(app, me)

    assert told.task.provider == "groq"
    assert told.attempts[0].tokens_out


async def test_the_partial_texts_of_all_attempts_stay(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.answer = providers.openai.answer = lambda body: f"{body['model']} counts: one two"
    providers.groq.faults = [Fault(kind="cut", after_chunks=3)]
    providers.openai.faults = [Fault(kind="cut", after_chunks=2)]
    told = await asked(app, me)

    first, second, third = told.attempts
    assert first.partial == f"{FIRST} counts: one"
    assert second.partial == f"{second.model} counts:"
    assert (third.partial, told.task.output) == (None, f"{third.model} counts: one two")
    assert told.task.partial is False


async def test_an_answer_without_usage_is_booked_at_its_reservation(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.answer = lambda _: "one two"
    providers.groq.always = Fault(kind="cut", after_chunks=3)  # after the finish reason, before the usage
    told = await asked(app, me)

    (attempt,) = told.attempts
    assert (told.task.output, attempt.tokens_out) == ("one two", None)
    assert attempt.cost_nanousd == reservation(app)


async def test_a_failure_says_what_failed_why_and_what_to_do_without_a_key(
    app: App, me: Principal, providers: Providers
) -> None:
    leaked = providers.environment()["GROQ_API_KEY"]
    providers.groq.always = providers.openai.always = Fault(
        kind="status", status=401, message=f"Bad key {leaked} and {key('sk')}\x1b[31m"
    )
    told = await asked(app, me)

    assert told.task.error
    assert told.task.error.message.count(";") == 2
    for text in [told.task.error.message, *(event.message for event in told.history)]:
        assert leaked not in text
        assert "sk-" not in text
        assert text.isprintable()

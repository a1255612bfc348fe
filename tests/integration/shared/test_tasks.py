"""The services with a real database, a real engine and providers that speak the wire: a task's life, from outside."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from server import soon
from world import Providers, cancelled

from vel_tutor_mcp.app import App
from vel_tutor_mcp.bearings import take_up
from vel_tutor_mcp.doors.process import JsonLine
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentStatus,
    AgentType,
    FailureKind,
    Outcome,
    Principal,
    Priority,
    TaskRequest,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.providers.base import Completion
from vel_tutor_mcp.providers.simulated import Fault, Received
from vel_tutor_mcp.routing.health import Breaker
from vel_tutor_mcp.routing.ledger import prompt_bytes
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.booking import Booking
from vel_tutor_mcp.services.reports import Told, full_task
from vel_tutor_mcp.store import tasks
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.tables import ratings
from vel_tutor_mcp.task_lists import TaskFilter

pytestmark = pytest.mark.anyio

AT_ONCE = 3
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"tasks_in_progress": AT_ONCE}


async def groq_first(app: App, me: Principal) -> str:
    """An agent that asks Groq first, whatever the product has learned from the tests before."""
    return await agent_with(app, me, policy="fixed", providers=("groq", "openai"))


async def answered(app: App, me: Principal, prompt: str = "Say hello", **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=prompt, **wanted))
    return await app.tasks.follow(me, task.id, 20)


async def agent_with(app: App, me: Principal, **config: Any) -> str:
    return (await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, AgentConfig(**config))).id


def asked(providers: Providers) -> list[Received]:
    return sorted(providers.openai.requests + providers.groq.requests, key=lambda received: received.started)


async def stalled(app: App, me: Principal, providers: Providers, count: int = 1, **wanted: Any) -> list[str]:
    """Ids of tasks whose calls are open at the providers and say nothing more; tasks after them meet no fault."""
    made = [await app.tasks.submit(me, TaskRequest(prompt=f"Stall {n}", **wanted)) for n in range(count)]
    await soon(providers.groq.until(lambda sim: sim.open == count))
    return [task.id for task in made]


async def test_a_task_is_answered_by_a_model_and_recorded(app: App, me: Principal) -> None:
    told = await answered(app, me)

    assert told.task.status is TaskStatus.COMPLETED
    assert told.task.output is not None
    assert "simulated" in told.task.output
    assert [attempt.outcome for attempt in told.attempts] == [Outcome.COMPLETED]
    assert [event.kind for event in told.history] == ["submitted", "route", "attempt", "completed"]
    assert told.task.ended_at
    assert told.task.started_at
    assert told.task.created_at <= told.task.started_at <= told.task.ended_at


async def test_what_a_task_used_is_summed_over_its_attempts(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="bad_schema")]
    told = await answered(app, me, response_schema=PERSON, agent=await groq_first(app, me))

    shown = full_task(told)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["failed", "completed"]
    for column in ("tokens_in", "tokens_out", "cost_usd"):
        assert shown[column] == pytest.approx(sum(attempt[column] for attempt in shown["attempts"]))
        assert shown[column] > 0


@pytest.mark.parametrize(
    ("given", "routed"), [(None, TaskType.CODE_GENERATION), (TaskType.TRANSLATION, TaskType.TRANSLATION)]
)
async def test_the_task_type_is_taken_as_given_or_inferred(
    app: App, me: Principal, given: TaskType | None, routed: TaskType
) -> None:
    told = await answered(app, me, "Write a Python function that parses CSV files", task_type=given)

    assert told.decision
    assert told.decision.task_type is routed


async def test_the_result_carries_the_inferred_task_type(app: App, me: Principal) -> None:
    told = await answered(app, me, "Write a Python function that parses CSV files")

    assert full_task(told)["task_type"] == "code_generation"


async def test_parameters_reach_the_model_under_the_prompt(app: App, me: Principal, providers: Providers) -> None:
    await answered(app, me, "Translate it.", parameters={"text": "Grüße", "into": ["en", "fr"]})

    (received,) = asked(providers)
    assert received.prompt == 'Translate it.\n\nParameters (JSON):\n{"into":["en","fr"],"text":"Grüße"}'


async def test_what_the_agent_is_configured_with_reaches_the_model(
    app: App, me: Principal, providers: Providers
) -> None:
    agent = await agent_with(
        app, me, providers=("groq",), system_prompt="Be brief.", temperature=0.3, max_output_tokens=200
    )
    await answered(app, me, agent=agent)

    (received,) = providers.groq.requests
    assert received.body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert received.body["temperature"] == 0.3
    assert received.body["max_completion_tokens"] == 200


async def test_a_model_that_takes_no_temperature_is_sent_none(app: App, me: Principal, providers: Providers) -> None:
    agent = await agent_with(app, me, model_preferences={"general": "gpt-6-luna"}, temperature=0.3)
    await answered(app, me, agent=agent)

    (received,) = providers.openai.requests
    assert received.model == "gpt-6-luna"
    assert "temperature" not in received.body


async def test_the_same_request_under_the_same_key_is_the_same_task(
    app: App, me: Principal, providers: Providers
) -> None:
    request = TaskRequest(prompt="Once", idempotency_key=str(uuid4()))
    first = await app.tasks.submit(me, request)
    await app.tasks.follow(me, first.id, 20)
    again = await app.tasks.submit(me, request)

    assert again.id == first.id
    assert again.status is TaskStatus.COMPLETED
    assert len(asked(providers)) == 1


async def test_another_request_under_the_same_key_is_refused(app: App, me: Principal) -> None:
    key = str(uuid4())
    first = await answered(app, me, "One", idempotency_key=key)

    with pytest.raises(Conflict, match=first.task.id):
        await app.tasks.submit(me, TaskRequest(prompt="Two", idempotency_key=key))


async def test_the_same_key_at_the_same_time_makes_one_task(app: App, me: Principal, providers: Providers) -> None:
    request = TaskRequest(prompt="Once", idempotency_key=str(uuid4()))
    made = await asyncio.gather(*(app.tasks.submit(me, request) for _ in range(4)))
    await app.tasks.follow(me, made[0].id, 20)

    assert len({task.id for task in made}) == 1
    assert len(asked(providers)) == 1


async def test_a_key_is_its_owners_alone(app: App, me: Principal) -> None:
    key = str(uuid4())
    mine = await answered(app, me, idempotency_key=key)

    async with app._parts.database.read(INSTALLATION) as tx:
        assert await tasks.by_key(tx, stranger(me), key) is None
        assert (await tasks.by_key(tx, me, key) or [None])[0] == mine.task.id


async def test_lists_are_filtered_by_status_agent_and_text_in_the_prompt(
    app: App, me: Principal, providers: Providers
) -> None:
    agent = await agent_with(app, me, providers=("groq",))
    made = {
        prompt: (await answered(app, me, prompt, agent=agent)).task.status for prompt in ("100% sure", "100 of them")
    }
    providers.groq.always = Fault(kind="status", status=400)
    failing = "Write a Python function that sorts"
    made[failing] = (await answered(app, me, failing, agent=agent)).task.status

    async def found(**wanted: Any) -> list[str]:
        return [task.prompt for task in (await app.tasks.list(me, TaskFilter(agent=agent, **wanted))).rows]

    assert list(made.values()) == [TaskStatus.COMPLETED, TaskStatus.COMPLETED, TaskStatus.FAILED]
    assert await found() == list(reversed(made))
    assert await found(status=TaskStatus.FAILED) == [failing]
    assert await found(query="100%") == ["100% sure"]
    assert await found(query="PYTHON") == [failing]


async def made_long_ago(app: App, me: Principal, agent_id: str, count: int) -> list[str]:
    """Stored tasks that ended, some of them made at the same moment."""
    sample = (await answered(app, me, agent=agent_id)).task
    ids = [str(uuid4()) for _ in range(count)]
    async with app._parts.database.write(INSTALLATION) as tx:
        for number, made in enumerate(ids):
            at = record.now() - timedelta(days=1, seconds=number // 2)
            await tasks.insert(tx, replace(sample, id=made, prompt=f"{number}", created_at=at, updated_at=at))
    return [sample.id, *ids]


async def test_paging_shows_each_of_more_than_100_tasks_once_newest_first(app: App, me: Principal) -> None:
    agent = await agent_with(app, me)
    made = await made_long_ago(app, me, agent, 105)

    page = await app.tasks.list(me, TaskFilter(agent=agent), limit=20)
    seen = list(page.rows)
    while page.cursor:
        page = await app.tasks.list(me, TaskFilter(agent=agent), limit=20, cursor=page.cursor)
        seen += page.rows
        await answered(app, me, agent=agent)  # new ones shift nothing

    assert {task.id for task in seen} == set(made)
    assert len(seen) == len(made)
    assert [task.created_at for task in seen] == sorted((task.created_at for task in seen), reverse=True)


@pytest.mark.parametrize("cursor", ["", "no cursor", "é", "W10", "WzFd"])
async def test_a_cursor_of_no_list_is_refused(app: App, me: Principal, cursor: str) -> None:
    with pytest.raises(InputError, match="cursor is not one of this list"):
        await app.tasks.list(me, cursor=cursor)


async def test_no_more_tasks_run_at_once_than_is_set(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.latency = 0.02
    made = await asyncio.gather(*(app.tasks.submit(me, TaskRequest(prompt=f"{n}")) for n in range(4 * AT_ONCE)))
    ended = await asyncio.gather(*(app.tasks.follow(me, task.id, 30) for task in made))
    providers.groq.latency = 0

    assert {told.task.status for told in ended} == {TaskStatus.COMPLETED}
    calls = asked(providers)
    assert len(calls) == 4 * AT_ONCE
    peak = max(sum(c.started <= call.started < (c.ended or c.started) for c in calls) for call in calls)
    assert 1 <= peak <= AT_ONCE


async def test_tasks_beyond_the_limit_wait_their_turn_by_priority_then_age(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.faults = [Fault(kind="stall")] * AT_ONCE
    busy = await stalled(app, me, providers, AT_ONCE)
    waiting = [
        await app.tasks.submit(me, TaskRequest(prompt=prompt, priority=priority))
        for prompt, priority in [
            ("low", Priority.LOW),
            ("older", Priority.MEDIUM),
            ("newer", Priority.MEDIUM),
            ("high", Priority.HIGH),
        ]
    ]
    assert {(await app.tasks.get(me, task.id)).status for task in waiting} == {TaskStatus.PENDING}

    await app.tasks.cancel(me, busy[0])
    for task in waiting:
        await app.tasks.follow(me, task.id, 20)

    assert [received.prompt for received in asked(providers)[AT_ONCE:]] == ["high", "older", "newer", "low"]
    for task_id in busy[1:]:
        await app.tasks.cancel(me, task_id)


async def test_a_pending_task_is_cancelled_without_a_call(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="stall")] * AT_ONCE
    busy = await stalled(app, me, providers, AT_ONCE)
    waiting = await app.tasks.submit(me, TaskRequest(prompt="Never asked"))

    told = await app.tasks.cancel(me, waiting.id)

    assert (told.task.status, told.attempts) == (TaskStatus.CANCELLED, [])
    for task_id in busy:
        await app.tasks.cancel(me, task_id)
    assert "Never asked" not in {received.prompt for received in asked(providers)}


async def test_cancelling_in_mid_stream_closes_the_call_and_keeps_its_text(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=3)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await soon(providers.groq.until(lambda sim: bool(sim.requests) and sim.requests[0].chunks_sent == 3))

    told = await cancelled(app, me, task.id)

    assert (told.task.status, told.task.partial) == (TaskStatus.CANCELLED, True)
    assert told.task.output == "[simulated groq/openai/gpt-oss-20b] No"
    await soon(providers.groq.until(lambda sim: sim.open == 0), 10)
    assert providers.groq.requests[0].closed_early
    (attempt,) = told.attempts
    row = app.catalog.find("groq/openai/gpt-oss-20b")
    assert attempt.outcome is Outcome.CANCELLED
    assert attempt.cost_nanousd == app.prices.worst_case(row, prompt_bytes("Say hello"), 4096)


async def test_cancelling_between_two_tries_ends_the_task_at_once(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="status", status=429, retry_after=50)
    agent = await agent_with(app, me, providers=("groq",), fallback=False)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent=agent))
    await until_told(app, me, task.id, "waiting")

    told = await cancelled(app, me, task.id)

    assert (told.task.status, told.task.output) == (TaskStatus.CANCELLED, None)
    assert [attempt.failure for attempt in told.attempts] == [FailureKind.RATE_LIMITED]


async def until_told(app: App, me: Principal, task_id: str, kind: str) -> None:
    with app._hub.listen(task_id) as listener:
        async with asyncio.timeout(10):
            while kind not in {event.kind for event in (await app.tasks.tell(me, task_id)).history}:
                await listener.wait(10)
                listener.take()


async def test_what_is_logged_of_a_task_has_its_ids(app: App, me: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    def accepted(*_: object) -> Completion:
        log.warning("at the attempt")
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Booking, "accepted", accepted)
    log, written = logging.getLogger("vel_tutor_mcp"), StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLine())
    log.addHandler(handler)
    take_up(request="of whoever submits it")
    try:
        told = await answered(app, me)
    finally:
        log.removeHandler(handler)

    (attempt,) = told.attempts
    lines = {line["message"]: line for line in map(json.loads, written.getvalue().splitlines())}
    assert lines["at the attempt"].items() >= {"task": told.task.id, "attempt": attempt.id}.items()
    assert "RuntimeError: a fault of ours" in lines["A task met an unexpected fault."]["exception"]
    assert lines["A task met an unexpected fault."]["task"] == told.task.id
    assert not any("request" in line for line in lines.values())


async def test_a_task_that_has_ended_cannot_be_cancelled(app: App, me: Principal) -> None:
    told = await answered(app, me)

    with pytest.raises(Conflict, match="completed already"):
        await app.tasks.cancel(me, told.task.id)
    assert (await app.tasks.tell(me, told.task.id)).history == told.history


async def test_retrying_a_failed_task_opens_a_new_set_with_a_fresh_route(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="status", status=400)
    failed = await answered(app, me)
    providers.groq.always = None
    app.health.restore("groq", "openai/gpt-oss-20b", Breaker(opened_at=record.now().timestamp()))

    await app.tasks.retry(me, failed.task.id)
    told = await app.tasks.follow(me, failed.task.id, 20)

    assert (failed.task.status, told.task.status) == (TaskStatus.FAILED, TaskStatus.COMPLETED)
    assert (told.task.attempt_set, told.task.error) == (2, None)
    assert [(attempt.attempt_set, attempt.number) for attempt in told.attempts] == [(1, 1), (2, 1)]
    assert failed.decision
    assert told.decision
    assert failed.decision.candidates[0].model == "openai/gpt-oss-20b"
    assert "openai/gpt-oss-20b" not in {candidate.model for candidate in told.decision.candidates}
    assert told.history[: len(failed.history)] == failed.history


async def test_a_cancelled_task_can_be_retried(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=2)
    (task_id,) = await stalled(app, me, providers)
    await cancelled(app, me, task_id)
    providers.groq.always = None

    reopened = await app.tasks.retry(me, task_id)
    told = await app.tasks.follow(me, task_id, 20)

    assert (reopened.output, reopened.partial) == (None, False)
    assert told.task.status is TaskStatus.COMPLETED
    assert [attempt.outcome for attempt in told.attempts] == [Outcome.CANCELLED, Outcome.COMPLETED]


async def test_a_retry_is_timed_from_its_own_beginning(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=400)
    failed = await answered(app, me)
    providers.groq.always = None

    await app.tasks.retry(me, failed.task.id)
    task = (await app.tasks.follow(me, failed.task.id, 20)).task

    assert failed.task.ended_at
    assert task.retried_at
    assert task.started_at
    assert failed.task.ended_at <= task.retried_at <= task.started_at


async def test_a_task_of_an_agent_that_is_gone_cannot_be_retried(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=400)
    agent = await agent_with(app, me)
    failed = await answered(app, me, agent=agent)
    await app.agents.delete(me, agent)

    with pytest.raises(NotFound, match="no such agent"):
        await app.tasks.retry(me, failed.task.id)


async def test_a_task_that_went_well_cannot_be_retried(app: App, me: Principal) -> None:
    told = await answered(app, me)

    with pytest.raises(Conflict, match="only a failed or cancelled one"):
        await app.tasks.retry(me, told.task.id)


async def test_a_rating_is_kept_and_a_later_one_replaces_it(app: App, me: Principal) -> None:
    told = await answered(app, me)
    await app.tasks.rate(me, told.task.id, 2, "dull")
    await app.tasks.rate(me, told.task.id, 5)

    async with app._parts.database.read(INSTALLATION) as tx:
        kept = (await tx.execute(sa.select(ratings).where(ratings.c.task_id == told.task.id))).all()
    assert [(row.rating, row.comment) for row in kept] == [(5, None)]


@pytest.mark.parametrize("rating", [0, 6, -1])
async def test_a_rating_is_one_to_five(app: App, me: Principal, rating: int) -> None:
    with pytest.raises(InputError, match=r"from 1 .* to 5"):
        await app.tasks.rate(me, str(uuid4()), rating)


async def test_only_an_answer_can_be_rated(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=400)
    told = await answered(app, me)

    with pytest.raises(Conflict, match="is failed; only a completed task"):
        await app.tasks.rate(me, told.task.id, 1)


def stranger(me: Principal) -> Principal:
    return replace(me, user_id=str(uuid4()), name="stranger", role="task_executor")


@pytest.mark.parametrize("task_id", ["", "no-id", "917e6895-66c8-445f-b6d6-6f615c07879c"])
async def test_an_unknown_task_is_not_found(app: App, me: Principal, task_id: str) -> None:
    for act in (app.tasks.get, app.tasks.tell, app.tasks.cancel, app.tasks.retry):
        with pytest.raises(NotFound, match="no such task"):
            await act(me, task_id)
    with pytest.raises(NotFound):
        await app.tasks.rate(me, task_id, 3)


async def test_anothers_task_is_not_found_nor_listed(app: App, me: Principal) -> None:
    mine = (await answered(app, me)).task

    for other in (stranger(me), replace(me, organisation_id=str(uuid4()))):
        for act in (app.tasks.get, app.tasks.tell, app.tasks.cancel, app.tasks.retry):
            with pytest.raises(NotFound):
                await act(other, mine.id)
        assert (await app.tasks.list(other)).rows == ()
        with pytest.raises(NotFound):
            await app.tasks.submit(other, TaskRequest(prompt="Yours?", agent=mine.agent_id))


async def test_an_unknown_agent_is_not_found(app: App, me: Principal) -> None:
    with pytest.raises(NotFound, match="no such agent"):
        await app.tasks.submit(me, TaskRequest(prompt="Hello", agent="nobody"))


async def test_an_inactive_agent_takes_no_tasks(app: App, me: Principal) -> None:
    agent = await agent_with(app, me)
    await app.agents.update(me, agent, status=AgentStatus.INACTIVE)

    with pytest.raises(Conflict, match="is inactive; only an active agent takes tasks"):
        await app.tasks.submit(me, TaskRequest(prompt="Hello", agent=agent))


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": " \n"}, "The prompt is empty"),
        ({"prompt": "x" * 100_001}, "has 100,001 characters; at most 100,000"),
        ({"max_cost_usd": 0}, "max_cost_usd is out of range"),
        ({"max_cost_usd": float("nan")}, "max_cost_usd is out of range"),
        ({"max_cost_usd": float("inf")}, "max_cost_usd is out of range"),
        ({"idempotency_key": ""}, "idempotency key is out of bounds"),
        ({"idempotency_key": "k" * 201}, "idempotency key is out of bounds"),
        ({"parameters": {"text": "x" * 100_000}}, "at most 100,000 are taken"),
        ({"parameters": {"at": record.now()}}, "The parameters are not JSON"),
        ({"parameters": {"n": float("nan")}}, "The parameters are not JSON"),
        ({"response_schema": {"type": "banana"}}, "the fault is at type"),
        ({"response_schema": {"properties": {"a": {"minimum": "0"}}}}, "the fault is at properties/a/minimum"),
        ({"response_schema": {"type": "string", "pattern": "("}}, "the fault is at pattern"),
        ({"response_schema": {"$ref": "https://example.org/schema.json"}}, "refers to another document"),
        ({"response_schema": {"enum": ["x" * 50_000]}}, "too large; at most 50,000"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_reason(
    app: App, me: Principal, wanted: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        await app.tasks.submit(me, TaskRequest(**{"prompt": "Hello"} | wanted))


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "wanted",
    [
        {"prompt": "half a letter: \ud83d"},
        {"parameters": nested(3000)},
        {"response_schema": nested(3000)},
        {"response_schema": {"$ref": "#/$defs/missing"}},
        {"response_schema": {"$ref": "#"}},
    ],
    ids=["surrogate", "deep parameters", "deep schema", "reference to nothing", "reference to itself"],
)
async def test_what_would_only_fail_later_is_refused_too(
    app: App, me: Principal, providers: Providers, wanted: dict[str, Any]
) -> None:
    providers.groq.answer = providers.openai.answer = lambda _: "{}"

    with pytest.raises(InputError):
        await answered(app, me, **{"prompt": "Hello"} | wanted)


async def test_an_answer_that_matches_the_schema_is_an_object(app: App, me: Principal, providers: Providers) -> None:
    told = await answered(app, me, "Who?", response_schema=PERSON)

    (received,) = asked(providers)
    assert received.body["response_format"]["json_schema"]["schema"] == PERSON
    assert full_task(told)["output"] == {"name": "simulated"}


@pytest.mark.parametrize("said", ['["simulated"]', "Sure! Here it is.", '{"name": 7}', "```json\n{}\n```"])
async def test_an_answer_that_does_not_match_and_is_not_corrected_is_replaced_by_another_models(
    app: App, me: Principal, providers: Providers, said: str
) -> None:
    providers.groq.answer = lambda _: said
    told = await answered(app, me, "Who?", response_schema=PERSON, agent=await groq_first(app, me))

    assert [(attempt.provider, attempt.failure) for attempt in told.attempts] == [
        ("groq", FailureKind.INVALID_OUTPUT),
        ("groq", FailureKind.INVALID_OUTPUT),
        ("openai", None),
    ]
    assert told.attempts[0].partial == said
    assert told.attempts[0].tokens_out
    assert full_task(told)["output"] == {"name": "simulated"}


async def test_json_in_a_markdown_fence_is_taken_out_of_it(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.answer = lambda _: '```json\n{"name": "Ada"}\n```\n'
    told = await answered(app, me, "Who?", response_schema=PERSON)

    assert full_task(told)["output"] == {"name": "Ada"}
    assert len(told.attempts) == 1


@pytest.mark.parametrize("said", ['{"name": "Ada", "age": NaN}', "[" * 20_000], ids=["NaN", "deep"])
async def test_what_only_python_takes_for_json_is_replaced_by_another_models(
    app: App, me: Principal, providers: Providers, said: str
) -> None:
    providers.groq.answer = lambda _: said
    told = await answered(app, me, "Who?", response_schema=PERSON, agent=await groq_first(app, me))

    assert [attempt.failure for attempt in told.attempts] == [FailureKind.INVALID_OUTPUT] * 2 + [None]


async def test_an_answer_nested_too_deep_to_be_checked_is_replaced(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.answer = lambda _: '{"a":' * 400 + "1" + "}" * 400
    schema = {"properties": {"a": {"$ref": "#"}}}
    told = await answered(app, me, "Who?", response_schema=schema, agent=await groq_first(app, me))

    assert [attempt.failure for attempt in told.attempts] == [FailureKind.INVALID_OUTPUT] * 2 + [None]


async def test_an_answer_cut_at_the_limit_says_so(app: App, me: Principal) -> None:
    agent = await agent_with(app, me, max_output_tokens=3)
    told = await answered(app, me, agent=agent)

    assert told.task.output
    assert len(told.task.output.split()) == 3
    assert "cut at max_output_tokens" in told.history[-1].message


async def test_following_an_ended_task_does_not_wait(app: App, me: Principal) -> None:
    ended = await answered(app, me)

    async with asyncio.timeout(20):
        assert await app.tasks.follow(me, ended.task.id, 50) == ended


async def test_following_returns_at_its_limit_where_the_task_goes_on(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=1)
    (task_id,) = await stalled(app, me, providers)

    told = await app.tasks.follow(me, task_id, 0.1)

    assert told.task.status is TaskStatus.IN_PROGRESS
    await app.tasks.cancel(me, task_id)

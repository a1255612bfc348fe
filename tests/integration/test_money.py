"""Money: what a task may cost, what is set aside, what is booked, and that no sum passes a limit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import empty
from times import examples
from world import Providers

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import ProviderError, Unavailable
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentType,
    Candidate,
    FailureKind,
    NanoUsd,
    Outcome,
    Principal,
    Priority,
    Task,
    TaskRequest,
    TaskStatus,
)
from vel_tutor_mcp.providers.base import ChatRequest, Completion
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.book import Ended
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, nano_usd, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.agents import insert
from vel_tutor_mcp.services.booking import Booking, Tools
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.reports import Told, full_task
from vel_tutor_mcp.services.settling import Call
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import budgets, people, tasks
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.places import database_of
from vel_tutor_mcp.store.standing import Budget, Period, Scope, available

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
HELLO = "Say hello"


async def asked(app: App, me: Principal, agent: str = "default", **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=agent, **wanted))
    return await app.tasks.follow(me, task.id, 30)


async def agent_with(app: App, me: Principal, **config: Any) -> str:
    return (await app.agents.create(me, "tester", AgentType.RESEARCHER, AgentConfig(**config))).id


def worst_case(app: App, max_output_tokens: int, model: str = FIRST) -> int | None:
    return app.prices.worst_case(app.catalog.find(f"groq/{model}"), prompt_bytes(HELLO), max_output_tokens)


def affordable(app: App, available: int, model: str = FIRST) -> int:
    row = app.catalog.find(f"groq/{model}")
    return app.prices.affordable_output_tokens(row, prompt_bytes(HELLO), 4096, NanoUsd(available))


async def left_of(tx: Transaction, task: Task) -> NanoUsd | None:
    return available(await budgets.standings(tx, Payer.of(task), record.now()))


@pytest.mark.anyio
async def test_without_a_budget_the_agents_own_limit_is_sent(app: App, me: Principal, providers: Providers) -> None:
    await asked(app, me)

    (received,) = providers.groq.requests
    assert received.body["max_completion_tokens"] == 4096


@pytest.mark.anyio
@pytest.mark.parametrize(("task", "agent"), [(0.0003, None), (None, 0.0003), (0.0003, 0.0009), (0.0009, 0.0003)])
async def test_the_smaller_budget_holds_and_shortens_the_answer_to_what_it_affords(
    app: App, me: Principal, providers: Providers, task: float | None, agent: float | None
) -> None:
    told = await asked(app, me, await agent_with(app, me, budget_usd_per_task=agent), max_cost_usd=task)

    (received,) = providers.groq.requests
    assert received.body["max_completion_tokens"] == affordable(app, 300_000)
    assert 512 <= received.body["max_completion_tokens"] < 4096
    assert told.task.max_cost_nanousd == 300_000
    assert told.task.status is TaskStatus.COMPLETED


@pytest.mark.anyio
async def test_a_budget_too_small_for_any_answer_makes_no_call_and_says_so(
    app: App, me: Principal, providers: Providers
) -> None:
    told = await asked(app, me, max_cost_usd=0.000_001)

    assert told.task.error
    assert told.task.error.code == "no_candidate"
    assert "over budget: even its shortest answer could cost" in told.task.error.message
    assert "raise the budget or shorten the prompt" in told.task.error.message
    assert (told.attempts, providers.groq.requests, providers.openai.requests) == ([], [], [])


@pytest.mark.anyio
async def test_a_fallback_that_is_not_affordable_any_more_is_not_called(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="cut", after_chunks=1)
    told = await asked(app, me, max_cost_usd=0.0003)

    (attempt,) = told.attempts
    assert (attempt.provider, attempt.cost_nanousd) == ("groq", worst_case(app, affordable(app, 300_000)))
    assert told.task.error
    assert "could have cost more than the budget allows" in told.task.error.message
    assert "; raise the budget" in told.task.error.message
    assert "The budget of this task, $0.0003, has " in told.task.error.message
    assert providers.openai.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("provider", "model"), [("groq", "openai/gpt-oss-120b"), ("openai", "gpt-6-luna"), ("openai", "gpt-4o")]
)
async def test_the_cost_is_genai_prices_for_the_tokens_that_were_reported(
    app: App, me: Principal, providers: Providers, provider: str, model: str
) -> None:
    getattr(providers, provider).answer = lambda _: "word " * 777
    told = await asked(app, me, await agent_with(app, me, model_preferences={"general": f"{provider}/{model}"}))

    (attempt,) = told.attempts
    assert (attempt.provider, attempt.model, attempt.tokens_in) == (provider, model, 3)
    used = Usage(input_tokens=3, output_tokens=attempt.tokens_out)
    exact = calc_price(used, model, provider_id=provider).total_price
    assert attempt.cost_nanousd == nano_usd(exact) > 0
    assert full_task(told)["cost_usd"] == pytest.approx(float(exact))


@pytest.mark.anyio
async def test_what_was_set_aside_and_not_used_is_given_back(app: App, me: Principal) -> None:
    told = await asked(app, me, max_cost_usd=0.01)

    async with app._parts.database.read(INSTALLATION) as tx:
        (row,) = (await tx.execute(sa.select(ledger).where(ledger.c.task_id == told.task.id))).all()
        left = await left_of(tx, told.task)
    assert row.reserved_nanousd > row.settled_nanousd == told.attempts[0].cost_nanousd
    assert left == 10_000_000 - row.settled_nanousd


@pytest.mark.anyio
async def test_a_retry_goes_on_with_what_is_left_of_the_budget(app: App, me: Principal, providers: Providers) -> None:
    loyal = {"model_preferences": {"general": f"groq/{FIRST}"}, "fallback": False, "max_retries": 0}
    agent = await agent_with(app, me, budget_usd_per_task=0.002, **loyal)
    providers.groq.faults = [Fault(kind="cut", after_chunks=1)]
    failed = await asked(app, me, agent)
    spent = worst_case(app, 4096)
    assert spent
    assert failed.attempts[0].cost_nanousd == spent

    await app.tasks.retry(me, failed.task.id)
    told = await app.tasks.follow(me, failed.task.id, 30)

    assert told.task.status is TaskStatus.COMPLETED
    assert [received.body["max_completion_tokens"] for received in providers.groq.requests] == [
        4096,
        affordable(app, 2_000_000 - spent),
    ]


@pytest.mark.anyio
async def test_a_retry_with_nothing_left_makes_no_call(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="cut", after_chunks=1)]
    failed = await asked(app, me, max_cost_usd=0.0003)

    await app.tasks.retry(me, failed.task.id)
    told = await app.tasks.follow(me, failed.task.id, 30)

    assert told.task.error
    assert told.task.error.code == "no_candidate"
    assert (len(told.attempts), len(providers.groq.requests)) == (1, 1)


@pytest.fixture
def broken_opening(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection breaks in the very commit that opens the first call: it is made, and nobody hears of it."""
    database = app._parts.database
    write, heard = database.write, [""]

    @asynccontextmanager
    async def breaking(acts_for: str) -> AsyncIterator[Transaction]:
        async with write(acts_for) as tx:
            yield tx
            opened = await tx.scalar(sa.select(sa.func.count()).select_from(ledger))
        if opened and heard:
            heard.clear()
            raise Unavailable("The connection broke.")

    monkeypatch.setattr(database, "write", breaking)


@pytest.mark.anyio
@pytest.mark.usefixtures("broken_opening")
@pytest.mark.parametrize(("model", "limit"), [(FIRST, 0.0003), (FIRST, 0.002), ("openai/gpt-oss-120b", 0.00265)])
async def test_a_call_whose_opening_nobody_heard_of_is_made_once_with_what_was_set_aside_for_it(
    app: App, me: Principal, providers: Providers, model: str, limit: float
) -> None:
    agent = await agent_with(app, me, model_preferences={"general": f"groq/{model}"})
    told = await asked(app, me, agent, max_cost_usd=limit)

    assert [(attempt.model, attempt.outcome) for attempt in told.attempts] == [(model, Outcome.COMPLETED)]
    (received,) = providers.groq.requests
    longest = affordable(app, nano_usd(limit), model)
    assert received.body["max_completion_tokens"] == longest
    async with app._parts.database.read(INSTALLATION) as tx:
        (row,) = (await tx.execute(sa.select(ledger))).all()
    assert row.reserved_nanousd == worst_case(app, longest, model)
    assert row.settled_nanousd == told.attempts[0].cost_nanousd


MYSTERY = {"models": [{"provider": "groq", "model": "mystery", "tier": "frontier", "context_window": 8192}]}


@pytest.mark.anyio
@pytest.mark.parametrize("allowed", [False, True])
async def test_a_model_without_a_price_is_used_only_where_that_is_allowed(settings: Settings, allowed: bool) -> None:
    told_of = settings.model_copy(update={"catalog": MYSTERY, "allow_unpriced": allowed})
    async with open_app(told_of) as app:
        me = app.local_principal
        told = await asked(app, me, await agent_with(app, me, model_preferences={"general": "mystery"}))

    assert (told.task.model == "mystery") is allowed
    assert told.decision
    refused = {out.model: out.reason for out in told.decision.excluded}
    assert ("no known price" in refused.get("mystery", "")) is not allowed
    assert full_task(told)["cost_usd"] == (0 if allowed else pytest.approx(0.000_003_225))


@pytest.mark.anyio
@pytest.mark.parametrize(("price", "cost"), [(None, 0), (2, 3 * 2 + 10 * 2)])
async def test_local_models_cost_nothing_unless_they_are_priced(
    settings: Settings, providers: Providers, price: int | None, cost: int
) -> None:
    priced = {"price": {"input_usd_per_mtok": price, "output_usd_per_mtok": price}} if price else {}
    row = {"provider": "local", "model": "mine", "tier": "small", "context_window": 8192, **priced}
    at_home = {"local_base_url": providers.groq.base_url, "catalog": {"models": [row]}}
    async with open_app(settings.model_copy(update=at_home)) as app:
        me = app.local_principal
        told = await asked(app, me, await agent_with(app, me, providers=("local",)), max_cost_usd=0.5)

    assert (told.task.provider, told.task.model) == ("local", "mine")
    assert told.attempts[0].cost_nanousd == cost * 1000


# The property: `Booking` is driven as the router drives it, several at once, on a database with nothing else in it.

CATALOG = Catalog.load()
PRICES = Prices(CATALOG)
MODELS = [row for row in CATALOG.models if row.provider in {"openai", "groq"} and not row.retired]

shares = st.floats(0, 1) | st.none()
moves = st.tuples(st.lists(st.sampled_from(MODELS), max_size=3), st.lists(shares, max_size=3))


@settings(max_examples=examples(10), deadline=None)
@given(limit=st.integers(1, 30_000_000), script=st.lists(moves, max_size=5))
def test_no_interleaving_of_calls_takes_more_than_the_limit(stored_in: Settings, limit: int, script: Any) -> None:
    asyncio.run(played(stored_in, NanoUsd(limit), script))


async def played(stored_in: Settings, limit: NanoUsd, script: Any) -> None:
    database = database_of(stored_in)
    await empty(database)
    book = await booked(database, limit)
    waiting: list[tuple[Call, ChatRequest]] = []
    for models, settled in script:
        opened = await asyncio.gather(*(opening(book, row) for row in models))
        waiting += [call for call in opened if call]
        await balanced(database, book.subject.task.id, limit)
        for share in settled:
            if waiting:
                await settling(database, book, *waiting.pop(0), share)
                await balanced(database, book.subject.task.id, limit)
    async with database.write(INSTALLATION) as tx:
        await book.close_open(tx, Outcome.CUT)
    await balanced(database, book.subject.task.id, limit)
    await database.close()


async def booked(database: Database, limit: NanoUsd) -> Booking:
    at = record.now()
    async with database.write(INSTALLATION) as tx:
        me = await people.local_principal(tx, "tester", at)
        agent = await insert(tx, me, "default", AgentType.RESEARCHER, AgentConfig())
        task = Task(
            id=str(uuid4()),
            owner_id=me.user_id,
            organisation_id=me.organisation_id,
            agent_id=agent.id,
            agent_name=agent.name,
            agent_version=1,
            status=TaskStatus.IN_PROGRESS,
            prompt=HELLO,
            task_type=None,
            priority=Priority.MEDIUM,
            created_at=at,
            updated_at=at,
        )
        await tasks.insert(tx, task)
        await tasks.change(tx, task.id, at, executor="this process")
        budget = Budget(scope=Scope.TASK, subject_id=task.id, period=Period.TASK, limit_nanousd=limit)
        await budgets.put(tx, budget, me.organisation_id, me.user_id, at)
    request = RouteRequest(features=features(HELLO), prompt_bytes=prompt_bytes(HELLO), configured=frozenset())
    tools = Tools(database, Hub(relay=lambda *_: None), CATALOG, PRICES, Health(), Settings(), "this process")
    return Booking(tools, Subject(task, me), AgentConfig(), request)


async def opening(book: Booking, row: Any) -> tuple[Call, ChatRequest] | None:
    candidate = Candidate(
        provider=row.provider,
        model=row.model,
        p_ok=1,
        p_up=1,
        expected_cost_nanousd=NanoUsd(0),
        expected_latency_ms=0,
        utility=0,
    )
    try:
        call, request, _ = await book.open(candidate)
    except ProviderError as refusal:
        if refusal.kind is not FailureKind.OVER_BUDGET:
            raise
        return None
    return call, request


async def settling(database: Database, book: Booking, call: Call, request: ChatRequest, share: float | None) -> None:
    """The call ends, having used this share of the tokens it could have used (None: nobody knows)."""
    completion = Completion(
        text="",
        finish_reason="stop",
        served_model=None,
        tokens_in=None if share is None else round(share * prompt_bytes(HELLO)),
        tokens_out=None if share is None else round(share * request.max_output_tokens),
        tokens_cached=None,
        tokens_written=None,
        first_token_ms=None,
        total_ms=0,
    )
    ended = Ended(completion=completion, failure=None, total_ms=0, breaker=None)
    async with database.write(INSTALLATION) as tx:
        await book.settle(tx, call, Outcome.COMPLETED, ended)


async def balanced(database: Database, task_id: str, limit: NanoUsd) -> None:
    async with database.read(INSTALLATION) as tx:
        rows = (await tx.execute(sa.select(ledger.c.reserved_nanousd, ledger.c.settled_nanousd))).all()
        task = await tasks.get(tx, task_id)
        assert task is not None
        left = await left_of(tx, task)
    taken = sum(row.reserved_nanousd if row.settled_nanousd is None else row.settled_nanousd for row in rows)
    assert taken <= limit
    assert left == limit - taken

"""Texts and numbers that no database holds: a vendor's are made to fit, a caller's are refused or found nowhere."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from server import soon
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import InputError, NotFound
from vel_tutor_mcp.models import AgentConfig, AgentType, Outcome, Principal, TaskError, TaskRequest, TaskStatus, Work
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.money_tables import ledger
from vel_tutor_mcp.store.tables import attempts
from vel_tutor_mcp.task_lists import TaskFilter

pytestmark = pytest.mark.anyio

# As long as a name may be, so that a vendor can make more of it.
LONG = "m" * 160
NO_TEXTS = ("a\0b", "half a letter: \ud83d")


@pytest.fixture(scope="module")
def values(providers: Providers) -> dict[str, Any]:
    row = {"provider": "local", "model": LONG, "tier": "small", "context_window": 8192}
    return {"local_base_url": providers.groq.base_url, "catalog": {"models": [row]}}


async def agent_with(app: App, me: Principal, **config: Any) -> str:
    return (await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, AgentConfig(**config))).id


async def answered(app: App, me: Principal, **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", **wanted))
    return await app.tasks.follow(me, task.id, 20)


@pytest.mark.parametrize("fault", [[], [Fault(kind="not_streamed")]], ids=["streamed", "whole"])
async def test_a_nul_in_an_answer_becomes_a_replacement_character(
    app: App, me: Principal, providers: Providers, fault: list[Fault]
) -> None:
    providers.groq.answer = lambda _: r"one \0two \u0000 three".replace(r"\0", "\0")
    providers.groq.faults = fault
    told = await answered(app, me)

    assert told.task.output == "one \ufffdtwo \\u0000 three"
    assert (await app.tasks.get(me, told.task.id)).output == told.task.output


async def test_a_nul_in_a_partial_answer_and_in_a_complaint_is_kept_as_text(
    app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.answer = lambda _: "one\0 two\0 three"
    providers.groq.faults = [Fault(kind="cut", after_chunks=2)]
    providers.openai.faults = [Fault(kind="status", status=400, message="no\0way")]
    told = await answered(app, me, agent=await agent_with(app, me, providers=("groq", "openai"), max_retries=0))

    cut, refused = told.attempts
    assert (cut.partial, cut.provider) == ("one\ufffd two\ufffd", "groq")
    assert refused.error
    assert "no\ufffdway" in refused.error


async def test_the_name_of_the_model_that_answered_is_cut(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="wrong_model")]
    told = await answered(app, me, agent=await agent_with(app, me, providers=("local",)))

    async with app._parts.database.read(INSTALLATION) as tx:
        served = await tx.scalar(sa.select(attempts.c.served_model).where(attempts.c.task_id == told.task.id))
    assert told.task.model == LONG
    assert served == f"not-{LONG}"[:160]


async def test_what_a_fault_of_ours_leaves_open_is_settled(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=1)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", max_cost_usd=0.01))
    await soon(providers.groq.until(lambda sim: sim.open == 1))

    reason = TaskError(code="internal", message="A fault.")
    await app._answers._give_up(Work(task.id, 1), reason, {app._parts.engine.executor})

    async with app._parts.database.read(INSTALLATION) as tx:
        (booked,) = (await tx.execute(sa.select(ledger).where(ledger.c.task_id == task.id))).all()
    (attempt,) = (await app.tasks.tell(me, task.id)).attempts
    assert attempt.outcome is Outcome.FAILED
    assert attempt.cost_nanousd == booked.settled_nanousd == booked.reserved_nanousd
    app._calls.cancel(Work(task.id, 1))
    assert (await app.tasks.follow(me, task.id, 10)).task.status is TaskStatus.FAILED


Use = Callable[[App, Principal, str], Awaitable[object]]


async def rated(app: App, me: Principal, comment: str) -> None:
    await app.tasks.rate(me, (await answered(app, me)).task.id, 5, comment)


async def instructed(app: App, me: Principal, text: str) -> None:
    await app.agents.create(me, "x", AgentType.RESEARCHER, AgentConfig.model_construct(system_prompt=text))


async def renamed(app: App, me: Principal, name: str) -> None:
    await app.agents.update(me, await agent_with(app, me), name=name)


@pytest.mark.parametrize("text", NO_TEXTS, ids=["nul", "surrogate"])
@pytest.mark.parametrize(
    ("what", "use"),
    [
        ("prompt", lambda app, me, text: app.tasks.submit(me, TaskRequest(prompt=text))),
        ("idempotency key", lambda app, me, text: app.tasks.submit(me, TaskRequest(prompt="x", idempotency_key=text))),
        ("comment", rated),
        ("name", lambda app, me, text: app.agents.create(me, text, AgentType.RESEARCHER, AgentConfig())),
        ("name", renamed),
        ("system_prompt", instructed),
    ],
)
async def test_what_would_be_stored_and_is_no_text_is_refused(
    app: App, me: Principal, what: str, use: Use, text: str
) -> None:
    with pytest.raises(InputError, match=f"The {what} is no text; it holds a NUL or half of a character"):
        await use(app, me, text)


@pytest.mark.parametrize("text", NO_TEXTS, ids=["nul", "surrogate"])
async def test_what_is_looked_for_and_is_no_text_is_nowhere(app: App, me: Principal, text: str) -> None:
    for missing in (
        app.agents.get(me, text),
        app.agents.update(me, text, name="other"),
        app.agents.delete(me, text),
        app.tasks.submit(me, TaskRequest(prompt="x", agent=text)),
        app.tasks.list(me, TaskFilter(agent=text)),
        app.tasks.get(me, text),
        app.routes.explain(me, "x", text, None, None),
    ):
        with pytest.raises(NotFound):
            await missing
    for found in (
        await app.tasks.list(me, TaskFilter(query=text)),
        await app.audit.search(me, action=text),
        await app.audit.search(me, principal=text),
        await app.audit.search(me, subject=text),
    ):
        assert found.rows == ()


async def test_json_keeps_a_nul_as_an_escape(app: App, me: Principal, providers: Providers) -> None:
    schema = {"type": "object", "description": "a\0b"}
    told = await answered(app, me, parameters={"key\0": "a\0b"}, response_schema=schema)

    assert (told.task.parameters, told.task.response_schema) == ({"key\0": "a\0b"}, schema)
    assert told.task.status is TaskStatus.COMPLETED
    assert r'{"key\u0000":"a\u0000b"}' in [*providers.groq.requests, *providers.openai.requests][0].prompt


@pytest.mark.parametrize("usd", [0, -1, 1_000_001, 1e30, float("inf"), float("nan")])
async def test_a_limit_that_is_none_is_refused(app: App, me: Principal, usd: float) -> None:
    sentence = "is out of range; it must be more than 0 and at most 1,000,000 US dollars"
    budget = AgentConfig.model_construct(budget_usd_per_task=usd)
    with pytest.raises(InputError, match=f"max_cost_usd {sentence}"):
        await app.tasks.submit(me, TaskRequest(prompt="x", max_cost_usd=usd))
    with pytest.raises(InputError, match=f"budget_usd_per_task {sentence}"):
        await app.agents.create(me, "rich", AgentType.RESEARCHER, budget)
    with pytest.raises(InputError, match="budget_usd_per_task"):
        await app.agents.update(me, await agent_with(app, me), config={"budget_usd_per_task": usd})


async def test_a_million_is_not_too_much(app: App, me: Principal) -> None:
    told = await answered(app, me, agent=await agent_with(app, me, budget_usd_per_task=1_000_000))

    assert told.task.status is TaskStatus.COMPLETED
    assert told.task.max_cost_nanousd == 10**15

"""What a restart finds again. Each test opens a product of its own, twice: no other may be open beside it."""

from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from server import soon
from stores import NewDatabase
from world import Providers, settings_for

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.models import AgentConfig, AgentType, Candidate, NanoUsd, Outcome, TaskRequest
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.health import BreakerState
from vel_tutor_mcp.routing.hedge import LEAST_TIMES
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import attempts
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.people_tables import users

pytestmark = pytest.mark.anyio

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
HELLO = "Say hello"
SLOW = Fault(kind="stall", after_chunks=0)
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


async def test_a_users_name_may_be_anything(
    tmp_path_factory: pytest.TempPathFactory,
    new_database: NewDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "ann \udcff" + "n" * 200)
    home = tmp_path_factory.mktemp("home")
    with new_database() as url:
        settings = Settings.model_validate({"home": home, "database_url": url})
        for _ in range(2):
            async with open_app(settings) as app:
                assert app.local_principal.name == "ann ?" + "n" * 155
        async with open_app(settings) as app, app._parts.database.read(INSTALLATION) as tx:
            assert await tx.scalar(sa.select(sa.func.count()).select_from(users)) == 1


async def test_a_restart_remembers_which_circuits_are_open(providers: Providers, tmp_path: Path) -> None:
    settings = settings_for(providers, tmp_path / "home")
    providers.groq.always = Fault(kind="status", status=500)
    async with open_app(settings) as app:
        app._answers._router._jitter = lambda: 0.0
        me = app.local_principal
        config = AgentConfig(max_retries=4, fallback=False, model_preferences={"general": f"groq/{FIRST}"})
        agent = await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, config)
        task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=agent.id))
        assert len((await app.tasks.follow(me, task.id, 30)).attempts) == 5
        opened = app.health.snapshot("groq", FIRST)

    async with open_app(settings) as again:
        decision = await again.routes.explain(again.local_principal, HELLO, "default", None, None)
        now = opened.opened_at or 0.0

        assert again.health.state("groq", FIRST, now + 29) is BreakerState.OPEN
        assert again.health.state("groq", FIRST, now + 31) is BreakerState.HALF_OPEN
        assert again.health.start("groq", FIRST, now + 31)
        assert not again.health.start("groq", FIRST, now + 32)
        assert ("groq", FIRST) not in [(one.provider, one.model) for one in decision.candidates]


async def test_18_a_correction_that_was_cut_is_asked_for_again_after_a_restart(
    providers: Providers, tmp_path: Path
) -> None:
    settings = settings_for(providers, tmp_path / "home")
    said = iter(['{"nom": "Ada"}', '{"name": "Ada"}', '{"name": "Ada"}'])
    providers.groq.answer = lambda _: next(said)
    providers.groq.faults = [Fault(kind="not_streamed"), Fault(kind="stall", after_chunks=0)]
    async with open_app(settings) as app:
        task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Who?", response_schema=PERSON))
        await soon(providers.groq.until(lambda sim: len(sim.requests) == 2))

    async with open_app(settings) as again:
        told = await again.tasks.follow(again.local_principal, task.id, 30)

    assert [attempt.outcome for attempt in told.attempts] == [Outcome.FAILED, Outcome.CUT, Outcome.COMPLETED]
    assert told.task.output == '{"name": "Ada"}'
    assert providers.groq.requests[2].prompt == providers.groq.requests[1].prompt != providers.groq.requests[0].prompt


async def test_a_restart_in_a_race_books_both_calls_and_asks_again(providers: Providers, tmp_path: Path) -> None:
    settings = settings_for(providers, tmp_path / "home", hedging=True)
    providers.groq.always = providers.openai.always = SLOW
    async with open_app(settings) as app:
        hedging = app._answers._router._hedging
        assert hedging is not None
        for _ in range(LEAST_TIMES):
            hedging.count()
            hedging.heard(Candidate("groq", FIRST, 1, 1, NanoUsd(0), 0, 0), 0.05)
        task = await app.tasks.submit(app.local_principal, TaskRequest(prompt=HELLO))
        await soon(providers.openai.until(lambda sim: sim.open == 1))
    providers.groq.always = providers.openai.always = None

    async with open_app(settings) as again:
        told = await again.tasks.follow(again.local_principal, task.id, 30)
        async with again._parts.database.read(INSTALLATION) as tx:
            costs = [await attempts.reserved(tx, attempt.id) for attempt in told.attempts[:2]]

    outcomes = [(attempt.provider, attempt.outcome) for attempt in told.attempts]
    assert outcomes == [("groq", Outcome.CUT), ("openai", Outcome.CUT), ("groq", Outcome.COMPLETED)]
    assert [attempt.cost_nanousd for attempt in told.attempts[:2]] == costs

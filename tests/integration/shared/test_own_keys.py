"""An owner's own key is what their tasks are answered with, and it is in nobody else's way."""

import base64
import logging
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from planted import key
from pydantic import SecretStr
from world import Providers, asked_of_two

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.sealing import SecretKeys
from vel_tutor_mcp.errors import NoCandidate
from vel_tutor_mcp.models import AgentConfig, AgentType, Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.base import ChatRequest, Timeouts
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.hedge import LEAST_TIMES, Hedging
from vel_tutor_mcp.services import lines, record
from vel_tutor_mcp.services.integrations import Integrations, line_of
from vel_tutor_mcp.services.reports import Told, full_task
from vel_tutor_mcp.store import people
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.integrations import Status
from vel_tutor_mcp.store.tables import breakers, metadata

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_integrations")]

FIRST = "openai/gpt-oss-20b"  # Groq's, which is chosen for a greeting
OURS, KEY, OTHER = key("gsk"), key("gsk-own"), key("gsk-other")


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"hedging": True, "private_networks": "127.0.0.0/8"}


@pytest.fixture(autouse=True)
def no_pauses(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app._answers._router, "_jitter", lambda: 0.0)


@pytest.fixture
async def other(app: App) -> Principal:
    async with app._parts.database.write(INSTALLATION) as tx:
        return replace(await people.local_principal(tx, "somebody else", record.now()), role="task_executor")


async def active(app: App, owner: Principal, key: str = KEY, provider: str = "groq", **where: Any) -> None:
    await app.integrations.put(owner, provider, SecretStr(key), **where)
    assert (await app.integrations.test(owner, provider)).status is Status.ACTIVE


async def asked(app: App, owner: Principal, agent: str = "default", **wanted: Any) -> Told:
    task = await app.tasks.submit(owner, TaskRequest(prompt="Say hello", agent=agent, **wanted))
    return await app.tasks.follow(owner, task.id, 30)


async def agent_of(app: App, owner: Principal, **config: Any) -> str:
    return (await app.agents.create(owner, f"agent {uuid4()}", AgentType.RESEARCHER, AgentConfig(**config))).id


def keys_at(provider: SimulatedProvider) -> list[str]:
    """With which keys it was called, in order."""
    return [received.headers["authorization"].removeprefix("Bearer ") for received in provider.requests]


async def test_an_owners_tasks_are_answered_with_their_own_key(
    app: App, me: Principal, other: Principal, providers: Providers
) -> None:
    await active(app, me)
    agent = await agent_of(app, other)
    for owner, name in ((me, "default"), (other, agent), (me, "default")):
        assert (await asked(app, owner, name)).task.status is TaskStatus.COMPLETED
    assert keys_at(providers.groq) == [KEY, OURS, KEY]
    await app.integrations.delete(me, "groq")
    await asked(app, me)
    assert keys_at(providers.groq)[3:] == [OURS]


async def test_a_vendor_that_refuses_to_be_asked_for_usage_is_not_asked_with_an_owners_key_either(
    app: App, me: Principal, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"providers": {"groq": {"stream_usage": False}}}
    monkeypatch.setattr(app._lines, "_catalog", Catalog.load(rows))
    await active(app, me)
    assert (await asked(app, me)).task.status is TaskStatus.COMPLETED
    assert [keys_at(providers.groq), "stream_options" in providers.groq.requests[0].body] == [[KEY], False]


async def test_a_key_makes_its_provider_a_candidate_for_its_owner_alone(
    app: App, me: Principal, other: Principal, providers: Providers
) -> None:
    await active(app, me, provider="perplexity", base_url=providers.groq.base_url)
    mine = await agent_of(app, me, providers=("perplexity",))
    assert (await asked(app, me, mine)).task.provider == "perplexity"
    assert keys_at(providers.groq) == [KEY]
    told = {name: said for name, _, said in (await app.agents.test(me, mine, "Say hello")).checks}
    assert told["keys"] == "providers with a key: groq, openai, perplexity"

    refused = (await asked(app, other, await agent_of(app, other, providers=("perplexity",)))).task
    assert refused.error is not None
    assert "perplexity: no key: set PERPLEXITY_API_KEY" in refused.error.message


async def test_a_process_without_any_key_works_for_who_has_one(
    app: App, me: Principal, other: Principal, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = app._answers._router
    monkeypatch.setattr(router, "_caller", replace(router._caller, providers={}))
    monkeypatch.setattr(app.routes, "configured", frozenset())
    monkeypatch.setattr(app._answers._admission, "_configured", frozenset())
    agent = await agent_of(app, other)
    with pytest.raises(NoCandidate, match="no provider has a key"):
        await app.tasks.submit(other, TaskRequest(prompt="Say hello", agent=agent))
    await active(app, me)
    assert (await asked(app, me)).task.status is TaskStatus.COMPLETED
    assert keys_at(providers.groq) == [KEY]


async def test_a_refused_key_is_not_used_again_and_never_replaced_by_the_servers(
    app: App, me: Principal, other: Principal, providers: Providers
) -> None:
    await active(app, me)
    providers.groq.keys = {OURS}
    told = await asked(app, me)
    assert [(attempt.provider, attempt.outcome.value) for attempt in told.attempts] == [
        ("groq", "failed"),
        ("openai", "completed"),
    ]
    seen = await app.integrations.get(me, "groq")
    assert (seen.status, seen.error) == (
        Status.ERROR,
        "groq refused the key in use (401); look at its account there, or store another key, and test it.",
    )
    (entry,) = (await app.audit.search(me, action="integration_refused", subject=f"integration:{seen.id}")).rows
    assert entry.payload["status"] == "error"

    decision = await app.routes.explain(me, "Say hello", "default", None, None)
    why = "your own key of it is not active (error): test it, or delete it to use this server's own"
    assert why in {out.reason for out in decision.excluded if out.model == FIRST}
    assert "groq" not in {candidate.provider for candidate in decision.candidates}
    assert (await asked(app, me)).task.provider == "openai"
    assert keys_at(providers.groq) == []
    assert (await asked(app, other, await agent_of(app, other))).task.provider == "groq"
    assert keys_at(providers.groq) == [OURS]


async def test_a_key_that_is_not_tested_yet_is_not_used_nor_is_the_servers(
    app: App, me: Principal, providers: Providers
) -> None:
    await app.integrations.put(me, "groq", SecretStr(KEY))
    told = (await asked(app, me, await agent_of(app, me, providers=("groq",)))).task
    assert told.error is not None
    assert "your own key of it is not active (pending)" in told.error.message
    assert "test your key, store another one, or delete it" in told.error.message
    assert not providers.groq.requests


async def test_a_decision_from_before_is_not_carried_out_with_the_servers_key(
    app: App, me: Principal, providers: Providers
) -> None:
    stored = await app.integrations.put(me, "groq", SecretStr(KEY))
    request = ChatRequest(
        model="x",
        system="",
        prompt="x",
        max_output_tokens=1,
        timeouts=Timeouts(connect=1, first_token=1, between_tokens=1, total=1),
    )
    async with app._lines.held([stored]) as own:
        with pytest.raises(Exception, match=r"groq/x was not called; your own key of it is not active \(pending\)"):
            await own["groq"].provider.complete(request, lambda _: None)
    assert not providers.groq.requests


async def test_an_exhausted_key_slows_nobody_else(
    app: App, me: Principal, other: Principal, providers: Providers
) -> None:
    await active(app, me)
    providers.groq.always = Fault(kind="status", status=429, retry_after=50)
    for _ in range(6):
        assert (await asked(app, me)).task.provider == "openai"
    providers.groq.always = None
    mine = await app.routes.explain(me, "Say hello", "default", None, None)
    assert mine.candidates[0].provider == "openai"

    agent = await agent_of(app, other, providers=("groq",))
    theirs = await app.routes.explain(other, "Say hello", agent, None, None)
    assert {candidate.p_up for candidate in theirs.candidates} == {0.99}
    assert (await asked(app, other, agent)).task.status is TaskStatus.COMPLETED
    async with app._parts.database.read(INSTALLATION) as tx:
        assert (await tx.execute(sa.select(breakers).where(breakers.c.provider.contains("@")))).all() == []


async def test_a_circuit_opens_for_the_owner_alone_and_is_told(
    app: App, me: Principal, other: Principal, providers: Providers
) -> None:
    await active(app, me)
    providers.groq.always = Fault(kind="status", status=500)
    agent = await agent_of(app, me, providers=("groq",), max_retries=10)
    assert (await asked(app, me, agent)).task.status is TaskStatus.FAILED
    providers.groq.always = None
    opened = (await app.audit.search(me, action="breaker_open")).rows
    assert opened
    assert all(entry.payload["own_key"] for entry in opened)
    assert app.routes.health_status()["circuits_open"] == []
    assert (await app.routes.explain(other, "Say hello", await agent_of(app, other), None, None)).candidates[
        0
    ].p_up == 0.99
    async with app._parts.database.read(INSTALLATION) as tx:
        assert (await tx.execute(sa.select(breakers))).all() == []


async def test_a_hedge_is_called_with_the_owners_key_too(app: App, me: Principal, providers: Providers) -> None:
    await active(app, me)
    await active(app, me, OTHER, "openai")
    first = line_of(await app.integrations.get(me, "groq"))
    hedging = app._answers._router._hedging
    assert isinstance(hedging, Hedging)
    decision = await app.routes.explain(me, "Say hello", "default", None, None)
    for _ in range(LEAST_TIMES):
        hedging.heard(decision.candidates[0]._replace(provider=first), 0.05)
        hedging.count()
    providers.groq.faults = [Fault(kind="stall", after_chunks=0)]
    told = await asked_of_two(app, me, "Say hello", slow=providers.groq, held_back=providers.openai)
    assert [attempt.provider for attempt in told.attempts] == ["groq", "openai"]
    assert (keys_at(providers.groq), keys_at(providers.openai)) == ([KEY], [OTHER])


async def test_a_key_that_cannot_be_opened_here_is_told_and_others_are_asked(app: App, me: Principal) -> None:
    elsewhere = SecretKeys(base64.b64encode(secrets.token_bytes(32)).decode(), Path("nowhere"))
    there = Integrations(app._parts.database, elsewhere, app.integrations._base_urls, Outbound())
    await there.put(me, "groq", SecretStr(KEY))
    await there.test(me, "groq")
    told = await asked(app, me)
    assert (told.task.provider, told.attempts[0].provider) == ("openai", "groq")
    assert f"the secret key {elsewhere.ids()[0]}, which is not here" in (told.attempts[0].error or "")
    assert (await app.integrations.get(me, "groq")).status is Status.ACTIVE


async def test_clients_are_kept_while_they_are_used_and_few_others(
    app: App, me: Principal, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_IDLE", 1)
    await active(app, me)
    old = await app.integrations.get(me, "groq")
    async with app._lines.held([old]) as held, app._lines.held([old]) as again:
        assert held["groq"] == again["groq"]
        await active(app, me, OTHER)
        async with app._lines.held([await app.integrations.get(me, "groq")]):
            pass
        assert line_of(old) in app._lines._clients  # replaced, but in use
    assert line_of(old) not in app._lines._clients
    await asked(app, me)
    assert keys_at(providers.groq) == [OTHER]
    await active(app, me, provider="openai")
    async with app._lines.held([await app.integrations.get(me, "openai")]):
        pass
    assert len(app._lines._clients) == 1
    assert not [key for key in app.health._records if key[0] == line_of(await app.integrations.get(me, "groq"))]


async def test_no_part_of_a_key_is_in_anything_that_a_task_leaves(
    app: App, me: Principal, providers: Providers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await active(app, me)
    done = await asked(app, me)
    providers.groq.keys = {OURS}  # its refusal repeats the whole key
    failed = await asked(app, me, await agent_of(app, me, providers=("groq",)))
    assert failed.task.status is TaskStatus.FAILED
    async with app._parts.database.read(INSTALLATION) as tx:
        stored = [tuple(row) for table in metadata.sorted_tables for row in (await tx.execute(sa.select(table))).all()]
    answers = [full_task(told) for told in (done, failed)]
    words = "\n".join(map(repr, (stored, answers, done, failed, app._lines._clients)))
    for part in (KEY, KEY.removeprefix("gsk-"), "0123456789abcdef", base64.b64encode(KEY.encode()).decode()):
        assert part not in words
        assert part not in caplog.text

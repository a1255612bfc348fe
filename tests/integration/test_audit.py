"""The trail that a task leaves: every action once, nothing private in it, and a chain that anybody can recompute."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from server import soon
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import AgentConfig, AgentStatus, AgentType, Principal, TaskRequest
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.store.audit_chain import GENESIS, entry_hash
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION

pytestmark = pytest.mark.anyio

PROMPT, SYSTEM, OUTPUT, COMMENT, PARAMETER = "a-prompt", "a-system-prompt", "an-output", "a-comment", "a-parameter"


async def answered(app: App, me: Principal, **wanted: Any) -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=PROMPT, **wanted))
    return await app.tasks.follow(me, task.id, 20)


async def a_whole_life(app: App, me: Principal, providers: Providers) -> tuple[str, str]:
    """An agent's and its task's: refused, cancelled in mid-stream, tried again with a fallback, answered, rated."""
    providers.openai.answer = providers.groq.answer = lambda _: f"{OUTPUT} and more of it"
    agent = await app.agents.create(me, "tester", AgentType.RESEARCHER, AgentConfig(system_prompt=SYSTEM))
    providers.groq.faults = [Fault(kind="status", status=400, message=f"{PROMPT} is bad, {OUTPUT}")]
    task = (await answered(app, me, agent=agent.id, parameters={"key": PARAMETER})).task
    providers.groq.faults = [Fault(kind="stall", after_chunks=1)]
    await app.tasks.retry(me, task.id)
    await soon(providers.groq.until(lambda sim: sim.open == 1))
    await app.tasks.cancel(me, task.id)
    await app.tasks.follow(me, task.id, 20)
    providers.groq.faults = [Fault(kind="cut", after_chunks=1)]
    await app.tasks.retry(me, task.id)
    await app.tasks.follow(me, task.id, 20)
    await app.tasks.rate(me, task.id, 5, COMMENT)
    await app.agents.update(me, agent.id, status=AgentStatus.INACTIVE)
    await app.agents.delete(me, agent.id)
    return agent.id, task.id


async def recorded(app: App, me: Principal, subject: str) -> list[str]:
    """The actions on this subject, oldest first."""
    page = await app.audit.search(me, subject=subject, limit=100)
    return [entry.action for entry in reversed(page.rows)]


async def test_every_action_of_a_whole_life_is_recorded_once(app: App, me: Principal, providers: Providers) -> None:
    agent_id, task_id = await a_whole_life(app, me, providers)

    assert await recorded(app, me, f"agent:{agent_id}") == ["agent_created", "agent_updated", "agent_deleted"]
    assert await recorded(app, me, f"task:{task_id}") == [
        *("task_submitted", "route_decided", "provider_called", "task_failed"),
        *("task_retried", "route_decided", "provider_called", "task_cancelled"),
        *("task_retried", "route_decided", "provider_called", "provider_called", "task_completed"),
        "task_rated",
    ]


async def test_no_prompt_output_comment_or_key_is_in_the_trail(app: App, me: Principal, providers: Providers) -> None:
    await a_whole_life(app, me, providers)
    async with app._parts.database.read(INSTALLATION) as tx:
        payloads = "\n".join((await tx.execute(sa.select(audit_logs.c.payload))).scalars())

    assert '"outcome":"cancelled"' in payloads
    keys = [value for name, value in providers.environment().items() if name.endswith("KEY")]
    for private in (PROMPT, SYSTEM, OUTPUT, COMMENT, PARAMETER, *keys):
        assert private not in payloads


async def test_the_chain_recomputes(app: App, me: Principal, providers: Providers) -> None:
    await a_whole_life(app, me, providers)
    await asyncio.gather(*(answered(app, me) for _ in range(5)))

    async with app._parts.database.read(INSTALLATION) as tx:
        rows = (await tx.execute(sa.select(audit_logs).order_by(audit_logs.c.sequence))).mappings().all()
    previous = GENESIS
    for number, row in enumerate(rows, 1):
        entry = {name: value for name, value in row.items() if name != "hash" and value is not None}
        assert (entry["sequence"], entry["previous_hash"]) == (number, previous)
        previous = entry_hash(entry | {"payload": json.loads(entry["payload"])})
        assert row["hash"] == previous
    assert len(rows) > 30


async def test_a_call_is_recorded_with_its_model_tokens_and_cost(app: App, me: Principal) -> None:
    (attempt,) = (await answered(app, me)).attempts

    (entry,) = (await app.audit.search(me, action="provider_called")).rows
    assert entry.payload == {
        "provider": "groq",
        "model": "openai/gpt-oss-20b",
        "outcome": "completed",
        "failure": None,
        "tokens_in": attempt.tokens_in,
        "tokens_out": attempt.tokens_out,
        "cost_usd": (attempt.cost_nanousd or 0) / 1e9,
    }
    assert entry.principal == me.name


async def test_a_trail_is_its_owners_and_their_administrators(app: App, me: Principal) -> None:
    task = (await answered(app, me)).task
    admin = replace(me, user_id=str(uuid4()), name="admin", role="org_admin")

    for other in (replace(admin, role="viewer"), replace(admin, organisation_id=str(uuid4()))):
        assert await recorded(app, other, f"task:{task.id}") == []
    assert await recorded(app, admin, f"task:{task.id}") == await recorded(app, me, f"task:{task.id}") != []


async def test_what_is_no_time_is_refused(app: App, me: Principal) -> None:
    for moment in ("yesterday", "", "2026-13-01", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(InputError, match="`since` is not a time"):
            await app.audit.search(me, since=moment)

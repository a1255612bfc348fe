"""Agents: saved, changed with every version kept, taken away softly, and tried."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from server import soon
from world import Providers, cancelled

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import Agent, AgentConfig, AgentStatus, AgentType, Principal, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.reports import full_task

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return {"tasks_in_progress": 1}


def new_name() -> str:
    return f"agent {uuid4()}"


async def created(app: App, me: Principal, **config: Any) -> Agent:
    return await app.agents.create(me, new_name(), AgentType.CODE_GENERATOR, AgentConfig(**config))


async def test_a_new_agent_is_active_and_found_by_id_and_name(app: App, me: Principal) -> None:
    made = await created(app, me, system_prompt="Be brief.", temperature=0.5)

    assert (made.status, made.version, made.type) == (AgentStatus.ACTIVE, 1, AgentType.CODE_GENERATOR)
    for reference in (made.id, made.name):
        found, versions = await app.agents.get(me, reference)
        assert (found, list(versions)) == (made, [1])


async def test_a_name_that_looks_like_an_id_is_found(app: App, me: Principal) -> None:
    made = await app.agents.create(me, str(uuid4()), AgentType.RESEARCHER, AgentConfig())

    assert (await app.agents.get(me, made.name))[0] == made


async def test_an_id_is_known_in_capitals_too(app: App, me: Principal) -> None:
    made = await created(app, me)

    assert (await app.agents.get(me, made.id.upper()))[0] == made


async def test_a_change_makes_a_new_version_and_keeps_the_earlier_ones(app: App, me: Principal) -> None:
    made = await created(app, me, system_prompt="One", max_retries=1)
    changed = await app.agents.update(me, made.id, config={"system_prompt": "Two"})

    found, versions = await app.agents.get(me, made.id)
    assert found == changed
    assert (found.version, found.config.system_prompt, found.config.max_retries) == (2, "Two", 1)
    assert list(versions) == [1, 2]
    assert versions[1] == made.created_at < versions[2]


async def test_what_changes_no_configuration_makes_no_version(app: App, me: Principal) -> None:
    made = await created(app, me, max_retries=1)
    name = new_name()

    same = await app.agents.update(me, made.id, config={"max_retries": 1})
    renamed = await app.agents.update(me, made.id, name=name, status=AgentStatus.INACTIVE)

    assert (same.version, renamed.version) == (1, 1)
    assert (renamed.name, renamed.status) == (name, AgentStatus.INACTIVE)


async def test_a_submitted_task_runs_with_the_version_it_was_given(
    app: App, me: Principal, providers: Providers
) -> None:
    made = await created(app, me, system_prompt="One")
    blocking = await stalled(app, me, providers)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent=made.id))
    await app.agents.update(me, made.id, config={"system_prompt": "Two"})

    await cancelled(app, me, blocking)
    told = await app.tasks.follow(me, task.id, 20)
    after = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent=made.id))
    await app.tasks.follow(me, after.id, 20)

    assert (told.task.agent_version, after.agent_version) == (1, 2)
    assert [received.body["messages"][0]["content"] for received in providers.groq.requests[1:]] == ["One", "Two"]


async def stalled(app: App, me: Principal, providers: Providers) -> str:
    """The id of a task in progress, the one that may be; those after it wait."""
    providers.groq.faults = [Fault(kind="stall")]
    task = await app.tasks.submit(me, TaskRequest(prompt="Stall"))
    await soon(providers.groq.until(lambda sim: sim.open == 1))
    return task.id


async def test_a_renamed_agent_is_found_by_its_new_name_only(app: App, me: Principal) -> None:
    made = await created(app, me)
    renamed = await app.agents.update(me, made.id, name=new_name())

    assert (await app.agents.get(me, renamed.name))[0].id == made.id
    with pytest.raises(NotFound):
        await app.agents.get(me, made.name)


async def test_a_name_is_its_owners_once(app: App, me: Principal) -> None:
    made, other = await created(app, me), await created(app, me)

    with pytest.raises(Conflict, match="names are unique"):
        await app.agents.create(me, made.name, AgentType.RESEARCHER, AgentConfig())
    with pytest.raises(Conflict, match="names are unique"):
        await app.agents.update(me, other.id, name=made.name)


async def test_agents_made_at_once_under_one_name_are_one(app: App, me: Principal) -> None:
    name = new_name()
    made = await asyncio.gather(
        *(app.agents.create(me, name, AgentType.RESEARCHER, AgentConfig()) for _ in range(3)), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in made) == ["Agent", "Conflict", "Conflict"]


async def test_anothers_agent_is_not_found(app: App, me: Principal) -> None:
    made = await created(app, me)
    other = replace(me, user_id=str(uuid4()), role="task_executor")

    assert (await app.agents.list(other)).rows == ()
    for act in (app.agents.get, app.agents.delete, app.agents.update):
        with pytest.raises(NotFound, match="no such agent"):
            await act(other, made.id)


async def test_a_deleted_agent_is_gone_and_its_name_free(app: App, me: Principal) -> None:
    made = await created(app, me)
    assert await app.agents.delete(me, made.id) == (made, 0)

    for act in (app.agents.get, app.agents.delete, app.agents.update):
        with pytest.raises(NotFound):
            await act(me, made.name)
    again = await app.agents.create(me, made.name, AgentType.RESEARCHER, AgentConfig())
    assert again.id != made.id


async def test_deleting_an_agent_cancels_its_pending_tasks_and_keeps_the_finished(
    app: App, me: Principal, providers: Providers
) -> None:
    made = await created(app, me)
    finished = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent=made.id))
    await app.tasks.follow(me, finished.id, 20)
    blocking = await stalled(app, me, providers)
    pending = [await app.tasks.submit(me, TaskRequest(prompt=f"{n}", agent=made.id)) for n in range(2)]

    _, ended = await app.agents.delete(me, made.id)

    assert ended == 2
    assert {(await app.tasks.get(me, task.id)).status for task in pending} == {TaskStatus.CANCELLED}
    told = await app.tasks.tell(me, finished.id)
    assert (told.task.status, told.task.agent_name) == (TaskStatus.COMPLETED, made.name)
    await cancelled(app, me, blocking)


async def test_a_running_task_outlives_its_agent(app: App, me: Principal, providers: Providers) -> None:
    made = await created(app, me)
    providers.groq.latency = 0.05
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent=made.id))
    await soon(providers.groq.until(lambda groq: groq.open == 1))
    await app.agents.delete(me, made.id)
    told = await app.tasks.follow(me, task.id, 20)
    providers.groq.latency = 0

    assert told.task.status is TaskStatus.COMPLETED


async def test_the_default_agent_is_there_stays_and_keeps_its_name(app: App, me: Principal) -> None:
    found, _ = await app.agents.get(me, "default")

    assert (found.status, found.config) == (AgentStatus.ACTIVE, AgentConfig())
    with pytest.raises(Conflict, match="The agent default stays"):
        await app.agents.delete(me, "default")
    with pytest.raises(Conflict, match="keeps its name"):
        await app.agents.update(me, found.id, name="other")


async def test_lists_are_filtered_by_status_and_paged(app: App, me: Principal) -> None:
    made = [await created(app, me) for _ in range(5)]
    for agent in made:
        await app.agents.update(me, agent.id, status=AgentStatus.INACTIVE)

    first = await app.agents.list(me, status=AgentStatus.INACTIVE, limit=3)
    rest = await app.agents.list(me, status=AgentStatus.INACTIVE, limit=100, cursor=first.cursor)

    ids = [agent.id for agent in (*first.rows, *rest.rows)]
    assert ids[:5] == [agent.id for agent in reversed(made)]
    assert (len(first.rows), rest.cursor) == (3, None)
    assert not set(ids) & {agent.id for agent in (await app.agents.list(me, status=AgentStatus.ACTIVE)).rows}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"providers": ("nobody",)}, "No such provider; .* use one of openai, groq"),
        ({"model_preferences": {"general": "gpt-4oo-mini"}}, "No such model; .* did you mean openai/gpt-4o-mini"),
        ({"response_schema": {"type": "banana"}}, "The response_schema is no JSON Schema"),
    ],
)
async def test_a_configuration_that_names_what_there_is_not_is_refused(
    app: App, me: Principal, config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        await created(app, me, **config)
    made = await created(app, me)
    with pytest.raises(InputError, match=sentence):
        await app.agents.update(me, made.id, config=config)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"temperature": 2.1}, "config.temperature"),
        ({"max_retries": 11}, "config.max_retries"),
        ({"timeout_seconds": 601}, "config.timeout_seconds"),
        ({"max_output_tokens": 0}, "config.max_output_tokens"),
        ({"budget_usd_per_task": 0}, "config.budget_usd_per_task"),
        ({"policy": "best"}, "config.policy"),
        ({"model_preferences": {"poetry": "gpt-4o"}}, "config.model_preferences.poetry"),
        ({"tempreature": 1}, "config.tempreature"),
    ],
)
async def test_a_bad_value_is_refused_with_its_place_and_changes_nothing(
    app: App, me: Principal, config: dict[str, Any], place: str
) -> None:
    made = await created(app, me)

    with pytest.raises(InputError, match=f"Bad value for {place}"):
        await app.agents.update(me, made.id, config=config)
    assert (await app.agents.get(me, made.id))[0] == made


@pytest.mark.parametrize("name", ["", "   ", "x" * 101])
async def test_a_name_has_1_to_100_characters(app: App, me: Principal, name: str) -> None:
    with pytest.raises(InputError, match="1 to 100 characters"):
        await app.agents.create(me, name, AgentType.RESEARCHER, AgentConfig())


async def test_a_dry_test_says_what_would_happen_and_calls_nobody(
    app: App, me: Principal, providers: Providers
) -> None:
    made = await created(app, me, providers=("groq",))
    test = await app.agents.test(me, made.id, "Say hello")

    assert test.ok
    assert [name for name, _, _ in test.checks] == ["configuration", "status", "keys", "route"]
    assert test.estimated_cost_nanousd
    assert test.decision.candidates[0].provider == "groq"
    assert (test.told, providers.groq.requests) == (None, [])


async def test_a_live_test_makes_one_call_with_its_time_and_cost(app: App, me: Principal, providers: Providers) -> None:
    made = await created(app, me)
    test = await app.agents.test(me, made.id, "Say hello", live=True)

    assert test.ok
    assert test.told
    assert len(providers.groq.requests) == len(test.told.attempts) == 1
    assert test.told.attempts[0].cost_nanousd
    assert test.told.attempts[0].total_ms is not None


async def test_a_live_test_that_fails_says_why(app: App, me: Principal, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=400)
    test = await app.agents.test(me, (await created(app, me)).id, "Say hello", live=True)

    assert not test.ok
    assert test.checks[-1][0] == "live call"
    assert "refused the request" in test.checks[-1][2]


@pytest.mark.parametrize(
    ("config", "status", "failing"),
    [
        ({"providers": ("perplexity",)}, AgentStatus.ACTIVE, "route"),
        ({"budget_usd_per_task": 0.000_001}, AgentStatus.ACTIVE, "route"),
        ({}, AgentStatus.INACTIVE, "status"),
    ],
)
async def test_a_test_finds_what_is_not_well(
    app: App, me: Principal, config: dict[str, Any], status: AgentStatus, failing: str
) -> None:
    made = await created(app, me, **config)
    await app.agents.update(me, made.id, status=status)
    test = await app.agents.test(me, made.id, "Say hello")

    assert [name for name, passed, _ in test.checks if not passed] == [failing]


async def test_the_agents_schema_holds_unless_the_task_has_its_own(app: App, me: Principal) -> None:
    def has(name: str) -> dict[str, Any]:
        return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}

    made = await created(app, me, response_schema=has("agents"))
    outputs = []
    for schema in (None, has("tasks")):
        request = TaskRequest(prompt="Answer", agent=made.id, response_schema=schema)
        task = await app.tasks.submit(me, request)
        outputs.append(full_task(await app.tasks.follow(me, task.id, 20))["output"])

    assert outputs == [{"agents": "simulated"}, {"tasks": "simulated"}]

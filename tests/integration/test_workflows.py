"""Workflows: what is saved, in which version, and what never is."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from malformed import FAULTS, malformed
from world import Providers, settings_for

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.errors import InputError, NotFound
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.workflows import ensure_templates
from vel_tutor_mcp.store import people
from vel_tutor_mcp.store.audit_tables import audit_logs
from vel_tutor_mcp.store.database import INSTALLATION
from vel_tutor_mcp.store.run_tables import workflow_versions, workflows
from vel_tutor_mcp.workflows.graph import read
from vel_tutor_mcp.workflows.model import RunRequest

pytestmark = pytest.mark.anyio

SHIPPED = {"write-review-revise", "research-then-answer", "plan-implement-test"}


def asking(prompt: str = "Do you?", **more: Any) -> dict[str, Any]:
    """A workflow that asks a person, and so waits as long as the test likes."""
    return {"steps": [{"id": "ask", "kind": "approval", "prompt": prompt}]} | more


async def rows(app: App) -> dict[str, int]:
    tables = (workflows, workflow_versions, audit_logs)
    async with app._parts.database.read(INSTALLATION) as tx:
        return {table.name: await tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables}


async def neighbour(app: App, me: Principal) -> Principal:
    """Another user of my organisation, who sees their own things only."""
    async with app._parts.database.write(INSTALLATION) as tx:
        made = await people.local_principal(tx, "neighbour", record.now())
    assert made.organisation_id == me.organisation_id
    return replace(made, role="task_executor")


async def names(app: App, principal: Principal) -> set[str]:
    return {workflow.name for workflow in (await app.workflows.list(principal)).rows}


async def test_none_of_200_malformed_definitions_is_stored(app: App, me: Principal) -> None:
    assert len(FAULTS) <= 200  # each has its turn
    before = await rows(app)
    for seed in range(200):
        whole, spoilt, place = malformed(seed)
        read(whole)
        with pytest.raises(InputError) as refused:
            await app.workflows.save(me, f"it-{seed}", spoilt)
        told = str(refused.value)
        assert told.startswith(f"The definition is not valid; {place}"), (seed, told)
        assert ": " in told.removeprefix(f"The definition is not valid; {place}"), (seed, told)
        assert "; " in told.partition(": ")[2] or " should " in told, (seed, told)
    assert await rows(app) == before


@pytest.mark.parametrize(
    "definition",
    [
        {"steps": [{"id": "a", "kind": "task", "prompt": "x", "max_cost_usd": float("nan")}]},
        {"steps": [{"id": "a", "kind": "task", "prompt": "x"}], "description": "\ud83d"},
        {"steps": [{"id": "a", "kind": "task", "prompt": "x"}], "inputs": {"default": {1, 2}}},
    ],
)
async def test_what_is_no_json_is_refused(app: App, me: Principal, definition: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not valid; its top: it is no JSON that can be kept; send an object"):
        await app.workflows.save(me, "it", definition)


async def test_what_is_too_large_is_refused(app: App, me: Principal) -> None:
    steps = [{"id": f"s{number}", "kind": "task", "prompt": "x" * 60_000} for number in range(9)]
    with pytest.raises(InputError, match=r"its top: it is too large, 54\d,\d+ bytes; at most 500,000 are taken"):
        await app.workflows.save(me, "it", {"steps": steps})


async def test_a_valid_definition_is_kept_as_it_was_sent(app: App, me: Principal) -> None:
    for seed in range(5):
        whole, _, _ = malformed(seed)
        await app.workflows.save(me, f"it-{seed}", whole)
        assert (await app.workflows.get(me, f"it-{seed}")).definition == whole


@pytest.mark.parametrize("agent", ["nobody", "", "\0", "917e6895-66c8-445f-b6d6-6f615c07879c"])
async def test_an_agent_must_exist(app: App, me: Principal, agent: str) -> None:
    steps = [{"id": "a", "kind": "task", "prompt": "x"}, {"id": "b", "kind": "task", "prompt": "x", "agent": agent}]
    with pytest.raises(InputError, match=r"The definition is not valid; steps\.b\.agent: "):
        await app.workflows.save(me, "it", {"steps": steps})


async def test_the_same_definition_makes_no_version_and_another_the_next(app: App, me: Principal) -> None:
    first = await app.workflows.save(me, "it", asking())
    before = await rows(app)
    again = await app.workflows.save(me, "it", {**asking()})
    assert again.workflow == first.workflow
    assert await rows(app) == before

    changed = await app.workflows.save(me, "it", asking("Would you?"))
    back = await app.workflows.save(me, "it", asking())

    assert (changed.workflow.id, changed.workflow.version) == (first.workflow.id, 2)
    assert (back.workflow.version, list(back.versions), back.definition) == (3, [1, 2, 3], asking())
    assert await app.workflows.get(me, first.workflow.id) == await app.workflows.get(me, "it")


async def test_a_run_keeps_the_version_it_began_with(app: App, me: Principal) -> None:
    await app.workflows.save(me, "it", asking("Do you?"))
    early = await app.runs.start(me, RunRequest(workflow="it", inputs={}))
    await app.workflows.save(me, "it", asking("Would you?"))
    late = await app.runs.start(me, RunRequest(workflow="it", inputs={}))

    assert [run.workflow_version for run in (early, late)] == [1, 2]
    assert [await question(app, me, run.id) for run in (early, late)] == ["Do you?", "Would you?"]
    assert (await app.runs.tell(me, early.id)).graph.texts["ask"].render({}) == "Do you?"


async def question(app: App, me: Principal, run_id: str) -> str:
    _, step = await app.runs.asked(me, run_id, "ask")
    assert step.seen is not None
    return str(step.seen["prompt"])


async def test_a_run_is_saved_as_a_template(app: App, me: Principal) -> None:
    await app.workflows.save(me, "it", asking(description="First"))
    run = await app.runs.start(me, RunRequest(workflow="it", inputs={}))
    await app.workflows.save(me, "it", asking("Would you?"))

    made = await app.workflows.save(me, "kept", {"run": run.id, "template": True})

    assert made.definition == asking(description="First", template=True)
    assert (made.workflow.version, made.workflow.template) == (1, True)
    assert set(await app.workflows.templates(me)) == SHIPPED | {"kept"}
    assert (await app.workflows.save(me, "kept", {"run": run.id, "template": True})).workflow.version == 1


async def test_what_replaces_a_field_of_a_run_is_checked(app: App, me: Principal) -> None:
    await app.workflows.save(me, "it", asking())
    run = await app.runs.start(me, RunRequest(workflow="it", inputs={}))
    with pytest.raises(InputError, match="not valid; steps: it is no list"):
        await app.workflows.save(me, "kept", {"run": run.id, "steps": "ask"})


@pytest.mark.parametrize("run", ["", "nothing", 5, None, {"id": 1}, "917e6895-66c8-445f-b6d6-6f615c07879c"])
async def test_an_unknown_run_is_not_found(app: App, me: Principal, run: Any) -> None:
    with pytest.raises(NotFound, match="There is no such run"):
        await app.workflows.save(me, "kept", {"run": run})


async def test_the_shipped_templates_are_there_at_the_first_start(app: App, me: Principal) -> None:
    templates = await app.workflows.templates(me)
    assert set(templates) == SHIPPED == await names(app, me)
    for name in SHIPPED:
        told = await app.workflows.get(me, name)
        assert (told.workflow.version, told.workflow.template) == (1, True)
        assert read(told.definition) == templates[name]
        assert told.graph.given(dict.fromkeys(told.definition["inputs"]["required"], "x"))


async def test_a_template_that_was_changed_is_left_alone(app: App, me: Principal) -> None:
    await app.workflows.save(me, "write-review-revise", asking())
    async with app._parts.database.write(INSTALLATION) as tx:
        await ensure_templates(tx, me)

    assert (await app.workflows.get(me, "write-review-revise")).definition == asking()
    assert set(await app.workflows.templates(me)) == SHIPPED - {"write-review-revise"}


async def test_a_second_start_makes_no_further_templates(
    providers: Providers, tmp_path: Path, database_url: str | None
) -> None:
    settings = settings_for(providers, tmp_path, database_url=database_url)
    async with open_app(settings) as app:
        before = await rows(app)
    async with open_app(settings) as app:
        assert await rows(app) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "The name is out of bounds; it has 1 to 100 characters on one line; choose another."),
        (" ", "The name is out of bounds; it has 1 to 100 characters on one line; choose another."),
        ("two\nlines", "The name is out of bounds; it has 1 to 100 characters on one line; choose another."),
        ("x" * 101, "The name is out of bounds; it has 1 to 100 characters on one line; choose another."),
        ("a\0", "The name is no text; it holds a NUL or half of a character (a lone surrogate); send it without."),
        ("\ud83d", "The name is no text; it holds a NUL or half of a character (a lone surrogate); send it without."),
    ],
)
async def test_a_name_out_of_bounds_is_refused(app: App, me: Principal, name: str, why: str) -> None:
    with pytest.raises(InputError) as refused:
        await app.workflows.save(me, name, asking())
    assert str(refused.value) == why


@pytest.mark.parametrize("name", ["x" * 100, "Écrire & réviser", "a/b", "5"])
async def test_a_name_is_any_text(app: App, me: Principal, name: str) -> None:
    await app.workflows.save(me, name, asking())
    assert (await app.workflows.get(me, name)).workflow.name == name


@pytest.mark.parametrize("name", ["nothing", "", "\0", "\ud83d", "917e6895-66c8-445f-b6d6-6f615c07879c"])
async def test_an_unknown_workflow_is_not_found(app: App, me: Principal, name: str) -> None:
    with pytest.raises(NotFound, match="There is no such workflow"):
        await app.workflows.get(me, name)
    with pytest.raises(NotFound, match="There is no such workflow"):
        await app.runs.start(me, RunRequest(workflow=name, inputs={}))


async def test_others_neither_see_a_workflow_nor_save_over_it(app: App, me: Principal) -> None:
    mine = await app.workflows.save(me, "it", asking())
    run = await app.runs.start(me, RunRequest(workflow="it", inputs={}))
    other = await neighbour(app, me)

    for id_or_name in ("it", mine.workflow.id):
        with pytest.raises(NotFound):
            await app.workflows.get(other, id_or_name)
    with pytest.raises(NotFound):
        await app.workflows.save(other, "stolen", {"run": run.id})
    theirs = await app.workflows.save(other, "it", asking("Mine?"))

    assert theirs.workflow.id != mine.workflow.id
    assert await names(app, other) == {"it"}
    assert await app.workflows.templates(other) == {}
    assert (await app.workflows.get(me, "it")).definition == asking()
    assert (await app.workflows.get(other, "it")).definition == asking("Mine?")


async def test_a_saved_version_is_on_record(app: App, me: Principal) -> None:
    made = await app.workflows.save(me, "it", asking())
    await app.workflows.save(me, "it", asking("Would you?"))
    assert list(await said_of(app, made.workflow.id)) == [
        ("workflow_saved", {"name": "it", "version": 1}),
        ("workflow_saved", {"name": "it", "version": 2}),
    ]


async def said_of(app: App, workflow_id: str) -> Iterable[tuple[str, Any]]:
    import json

    query = sa.select(audit_logs).where(audit_logs.c.subject == f"workflow:{workflow_id}")
    async with app._parts.database.read(INSTALLATION) as tx:
        found = (await tx.execute(query.order_by(audit_logs.c.sequence))).all()
    return [(row.action, json.loads(row.payload) if isinstance(row.payload, str) else row.payload) for row in found]

"""Steps that work on Task Master projects, where there is no Task Master: what is refused, and what waits."""

from pathlib import Path
from typing import Any

import pytest
from people import front
from task_master import new_project

from vel_tutor_mcp.app import App
from vel_tutor_mcp.errors import ConfigurationError, NotFound
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services.run_reports import ToldRun
from vel_tutor_mcp.store.sqlite import SqliteDatabase
from vel_tutor_mcp.taskmaster.wishes import Wishes
from vel_tutor_mcp.workflows.model import RunRequest, StepStatus

pytestmark = pytest.mark.anyio

DEFINITION: dict[str, Any] = {
    "inputs": {"type": "object", "properties": {"project": {"type": "string"}, "ids": {"type": "array"}}},
    "steps": [{"id": "go", "kind": "taskmaster", "project": "{{ inputs.project }}", "ids": "inputs.ids"}],
}
SETTLED = [{"id": 1, "status": "done"}]


async def begun(app: App, who: Principal, project: Path | str, **inputs: Any) -> str:
    await app.workflows.save(who, "work", DEFINITION)
    run = await app.runs.start(who, RunRequest(workflow="work", inputs={"project": str(project)} | inputs))
    return run.id


async def ended(app: App, who: Principal, run_id: str) -> ToldRun:
    told = await app.runs.follow(who, run_id, 20)
    assert told.status.ended
    return told


async def test_a_run_of_who_may_not_work_on_projects_fails_and_touches_nothing(app: App, tmp_path: Path) -> None:
    member = (await front(app).join("agent_manager")).principal
    told = await ended(app, member, await begun(app, member, new_project(tmp_path / "p", master=[{"id": 1}])))

    assert told.run.error is not None
    assert (told.run.error.code, told.errands) == ("forbidden", [])
    assert told.steps[0].home is None


async def test_a_project_without_anything_to_do_is_done(app: App, me: Principal, tmp_path: Path) -> None:
    root = new_project(tmp_path / "p", master=SETTLED)
    await app.projects.list(me, str(root))
    told = await ended(app, me, await begun(app, me, root))

    nothing = {"items": [], "done": 0, "review": 0, "failed": 0, "left": []}
    assert (told.steps[0].status, told.steps[0].output) == (StepStatus.COMPLETED, nothing)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"ids": ["7"]}, "Step go: There is no item 7 in this tag; "),
        (
            {"ids": ["1", 1.5]},
            "Step go: There are no items to do; inputs.ids must be a list of ids such as 1 and 1.2, ",
        ),
    ],
)
async def test_what_is_no_item_fails_the_step(
    app: App, me: Principal, tmp_path: Path, inputs: dict[str, Any], sentence: str
) -> None:
    root = new_project(tmp_path / "p", master=SETTLED)
    await app.projects.list(me, str(root))
    told = await ended(app, me, await begun(app, me, root, **inputs))
    assert told.run.error is not None
    assert told.run.error.message.startswith(sentence)


async def test_a_project_whose_path_becomes_too_long_fails_the_step(app: App, me: Principal) -> None:
    told = await ended(app, me, await begun(app, me, "x" * 100_001))
    assert told.run.error is not None
    assert told.run.error.message.startswith("Step go: A text of the step is too long; ")


async def test_on_a_shared_database_a_project_waits_for_a_home_that_knows_it(
    app: App, me: Principal, tmp_path: Path
) -> None:
    unknown = await begun(app, me, new_project(tmp_path / "unknown", master=SETTLED))
    known = new_project(tmp_path / "known", master=SETTLED)
    await app.projects.list(me, str(known))
    await ended(app, me, await begun(app, me, known))
    if not isinstance(app._parts.database, SqliteDatabase):
        waiting = (await app.runs.tell(me, unknown)).steps[0]
        assert (waiting.status, waiting.home) == (StepStatus.RUNNING, "")
        assert (await app.runs.cancel(me, unknown)).steps[0].home is None
        await app.runs.retry(me, unknown)
    await app.projects.list(me, str(tmp_path / "unknown"))
    told = await ended(app, me, unknown)

    assert told.steps[0].status is StepStatus.COMPLETED


async def test_without_task_master_nothing_is_begun(app: App, me: Principal, tmp_path: Path) -> None:
    root = new_project(tmp_path / "p", master=[{"id": 1}])
    before = len((await app.runs.list(me, limit=100)).rows)
    with pytest.raises(ConfigurationError, match="npm install -g task-master-ai"):
        await app.projects.start(me, str(root), Wishes())
    with pytest.raises(NotFound, match="There is no item 7"):
        await app.projects.start(me, str(root), Wishes(ids=["7"]))
    assert len((await app.runs.list(me, limit=100)).rows) == before


async def test_work_without_task_master_is_given_up_and_says_how_to_install_it(
    app: App, me: Principal, tmp_path: Path
) -> None:
    root = new_project(tmp_path / "p", master=[{"id": 1}])
    before = (root / ".taskmaster" / "tasks" / "tasks.json").read_bytes()
    await app.projects.list(me, str(root))
    run_id = await begun(app, me, root)
    told = await ended(app, me, run_id)

    assert told.run.error is not None
    assert "npm install -g task-master-ai" in told.run.error.message
    assert (root / ".taskmaster" / "tasks" / "tasks.json").read_bytes() == before

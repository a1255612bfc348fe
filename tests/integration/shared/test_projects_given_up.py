"""Projects that cannot be gone on with: after some tries what was begun there is given up, told, and can be retried.

By the real Task Master. The tries follow one another at once here; else they take minutes.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from task_master import command, file_of, new_project
from waits import found, until
from world import Providers, held

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal, TaskStatus
from vel_tutor_mcp.services import bridge
from vel_tutor_mcp.services.run_reports import ToldRun
from vel_tutor_mcp.taskmaster import child
from vel_tutor_mcp.taskmaster.errands import State
from vel_tutor_mcp.taskmaster.wishes import Wishes

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One task at a time: what is claimed beside it waits for its turn."""
    return {"task_master_command": command(tmp_path_factory.mktemp("watched")), "concurrency": 1}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_LONGEST_PAUSE", 0.0)
    monkeypatch.setattr(child, "_LONGEST_PAUSE", 0.0)


async def ended(app: App, who: Principal, run_id: str) -> ToldRun:
    told = await app.runs.follow(who, run_id, 60)
    assert told.status.ended
    return told


async def states(app: App, who: Principal, run_id: str) -> list[State]:
    return [errand.state for errand in (await app.runs.tell(who, run_id)).errands]


def statuses(root: Path) -> list[str]:
    return [task["status"] for task in json.loads(file_of(root).read_text(encoding="utf-8"))["master"]["tasks"]]


def given_up(told: ToldRun) -> list[tuple[State, str | None, str | None]]:
    """How each errand was left: nobody knows what became of its item, for this reason."""
    return [(one.state, one.outcome, one.error.code if one.error else None) for one in told.errands]


async def test_what_was_begun_in_a_folder_that_is_gone_is_given_up_and_begun_again_by_a_retry(
    app: App, me: Principal, providers: Providers, tmp_path: Path
) -> None:
    root = new_project(tmp_path / "project", master=[{"id": 1}, {"id": 2}])
    with held(providers.openai, providers.groq):
        run = await app.projects.start(me, str(root), Wishes(all_ready=True))

        async def both_begun() -> bool | None:
            return (await states(app, me, run.id)) == [State.WORKING, State.WORKING] or None

        await found(both_begun, 60)
        await until(lambda: providers.openai.open + providers.groq.open == 1)
        root.rename(tmp_path / "away")
        gone = await ended(app, me, run.id)
    (tmp_path / "away").rename(root)
    left = statuses(root)
    await app.runs.retry(me, run.id)
    done = await ended(app, me, run.id)

    assert gone.run.error is not None
    assert gone.run.error.message.endswith("There is no such folder; the project's path leads nowhere; correct it.")
    assert given_up(gone) == [(State.ENDED, None, "invalid_input")] * 2
    assert left == ["in-progress", "in-progress"]
    assert (done.status, statuses(root)) == (TaskStatus.COMPLETED, ["done", "done"])


async def test_a_result_that_cannot_be_written_stays_with_its_task(
    app: App, me: Principal, providers: Providers, tmp_path: Path
) -> None:
    root = new_project(tmp_path / "project", master=[{"id": 1}])
    with held(providers.openai, providers.groq) as answer:
        run = await app.projects.start(me, str(root), Wishes())
        await until(lambda: providers.openai.open + providers.groq.open == 1, 60)
        file_of(root).write_text("{", encoding="utf-8")
        answer()
        told = await ended(app, me, run.id)

    assert told.status is TaskStatus.FAILED
    assert given_up(told) == [(State.ENDED, None, "invalid_input")]
    task = await app.tasks.get(me, told.tasks["tasks"].first)
    assert (task.status, bool(task.output)) == (TaskStatus.COMPLETED, True)
    assert file_of(root).read_text(encoding="utf-8") == "{"


async def test_nothing_is_begun_where_task_master_does_not_start(
    app: App, me: Principal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.projects._children, "_command", "false")
    root = new_project(tmp_path / "project", master=[{"id": 1}])
    before = file_of(root).read_bytes()
    run = await app.projects.start(me, str(root), Wishes())
    told = await ended(app, me, run.id)

    assert told.run.error is not None
    assert "Task Master cannot be used; it does not start" in told.run.error.message
    assert (told.tasks, file_of(root).read_bytes()) == ({}, before)

"""What is asked of Task Master, and what of its outcome is put into a project: decisions, as tables."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from vel_tutor_mcp.errors import Conflict, InputError, VelError
from vel_tutor_mcp.taskmaster import copying, merging
from vel_tutor_mcp.taskmaster.benches import Benches, bench_of, run_of
from vel_tutor_mcp.taskmaster.merging import PlanRequest
from vel_tutor_mcp.taskmaster.planning import Action, Plan, check, marked, merged
from vel_tutor_mcp.taskmaster.project import Project
from vel_tutor_mcp.taskmaster.reading import Corrupt, read

RUN = "917e6895-66c8-445f-b6d6-6f615c07879c"
BEGUN = datetime(2026, 11, 27, 7, 30, 0, 123457, tzinfo=UTC)
BENCH = bench_of(RUN, BEGUN)
PLANS = {
    "parse": Plan(action=Action.PARSE_PRD, tag="sky", target="prd.txt", count=3, mark=RUN),
    "expand": Plan(action=Action.EXPAND, tag="sky", target="2", count=3, mark=RUN),
    "bare": Plan(action=Action.EXPAND, tag="master", target="2", count=None, mark=RUN),
    "analyze": Plan(action=Action.ANALYZE, tag="sky", target=None, count=None, mark=RUN),
}


def file(**tags: Any) -> bytes:
    return json.dumps({name: {"tasks": tasks} for name, tasks in tags.items()}).encode()


TWO = [{"id": "1", "title": "One"}, {"id": 2, "title": "Two", "dependencies": [1]}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".taskmaster" / "tasks").mkdir(parents=True)
    (tmp_path / ".taskmaster" / "tasks" / "tasks.json").write_bytes(file(sky=TWO, bare=[]))
    (tmp_path / "prd.txt").write_text("Build it.")
    return tmp_path


@pytest.mark.parametrize(
    ("plan", "content", "why"),
    [
        ("parse", file(sky=TWO), "has tasks already"),
        ("parse", b'{"tasks": [], "metadata": {}}', "of before there were tags"),
        ("parse", b'{"sky": "mine", "sea": {"tasks": []}}', "sky is no tag"),
        ("parse", b'{"sky": null, "sea": {"tasks": []}}', "sky is no tag"),
        ("parse", b'{"sky": [], "sea": {"tasks": []}}', "sky is no tag"),
        ("expand", file(sky=[{"id": 2, "subtasks": [{"id": 1}]}]), "has subtasks already"),
        ("expand", file(sky=[{"id": 1}]), "no such task"),
        ("expand", file(sky=[*TWO, {"id": "2"}]), "more than one item has the id 2"),
        ("expand", file(sea=TWO), "has no tasks"),
        ("analyze", file(sky=[]), "has no tasks"),
    ],
)
def test_what_would_destroy_or_comes_to_nothing_is_refused(plan: str, content: bytes, why: str) -> None:
    with pytest.raises(InputError, match=why):
        check(content, PLANS[plan])


@pytest.mark.parametrize(
    ("plan", "now", "made", "ids"),
    [
        ("parse", None, file(sky=TWO), ("1", "2")),
        ("parse", file(sea=TWO), file(sky=TWO, sea=[]), ("1", "2")),
        ("parse", file(sea=TWO, sky=[]), file(sky=TWO), ("1", "2")),
        ("parse", b'{"sea": {"tasks": []}, "sky": {}}', file(sky=TWO), ("1", "2")),
        ("expand", file(sky=TWO), file(sky=[{"id": 2, "subtasks": [{"id": 1}]}, {"id": 1}]), ("2.1",)),
        ("bare", json.dumps({"tasks": TWO}).encode(), file(master=[{"id": 2, "subtasks": [{"id": 1}]}]), ("2.1",)),
    ],
    ids=["no file", "a new tag", "an empty tag", "an empty object", "a task", "before tags"],
)
def test_what_was_made_goes_where_it_belongs(plan: str, now: bytes | None, made: bytes, ids: tuple[str, ...]) -> None:
    wanted = PLANS[plan]
    content, found = merged(now, made, wanted)
    assert (found, marked(read(content), wanted)) == (ids, ids)
    before, after = read(now or b"{}"), read(content)
    assert {name: before[name] for name in before.keys() - {wanted.tag}} == {
        name: after[name] for name in after.keys() - {wanted.tag}
    }


@pytest.mark.parametrize(
    ("plan", "made", "why"),
    [
        ("parse", file(sky=[{"id": 1, "dependencies": [2]}, {"id": 2, "dependencies": [1]}]), "a cycle: 1 -> 2 -> 1"),
        ("parse", file(sky=[{"id": 1, "dependencies": [7]}]), "1 depends on 7, which does not exist"),
        ("parse", file(sky=[{"id": 1}, {"id": "1"}]), "more than one item has the id 1"),
        ("parse", file(sky=[]), "it made nothing"),
        ("parse", file(sea=TWO), "it made nothing"),
        ("parse", file(sky=[3]), "no list of tasks"),
        ("expand", file(sky=[{"id": 1}]), "the task is gone"),
        ("expand", file(sky=[{"id": 2, "subtasks": []}]), "it made nothing"),
        ("expand", file(sky=[{"id": 2, "subtasks": [{"id": 1, "dependencies": ["2"]}]}]), "a cycle"),
    ],
)
def test_what_is_not_sound_is_not_taken(plan: str, made: bytes, why: str) -> None:
    now = file(sky=TWO) if plan == "expand" else file(sea=TWO)
    with pytest.raises(InputError, match=why):
        merged(now, made, PLANS[plan])


def test_what_is_made_is_pending_and_marked_whatever_the_model_said() -> None:
    made = file(sky=[{"id": 1, "status": "bogus", "metadata": {"vel": {"run_id": "x"}, "more": 1}}])
    content, _ = merged(None, made, PLANS["parse"])
    item = read(content)["sky"].items["1"]
    assert (item.status, item.metadata) == ("pending", {"vel": {"plan": RUN}})


def test_a_fault_that_was_there_before_keeps_nothing_out() -> None:
    now = file(sky=[{"id": 1, "dependencies": [9]}, {"id": 2}])
    _, ids = merged(now, file(sky=[{"id": 2, "subtasks": [{"id": 1}]}]), PLANS["expand"])
    assert ids == ("2.1",)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"action": Action.PARSE_PRD, "target": "../prd.txt", "tag": "new"}, "no PRD to parse"),
        ({"action": Action.PARSE_PRD, "target": "/etc/hostname", "tag": "new"}, "no PRD to parse"),
        ({"action": Action.PARSE_PRD, "target": ".taskmaster", "tag": "new"}, "no PRD to parse"),
        ({"action": Action.PARSE_PRD, "tag": "new"}, "no PRD to parse; there is none at .taskmaster/docs/prd.txt"),
        ({"action": Action.PARSE_PRD, "target": "prd.txt", "tag": "a b"}, "tag's name cannot be used"),
        ({"action": Action.EXPAND, "target": "2", "tag": "sky", "count": 0}, "count is out of range"),
        ({"action": Action.EXPAND, "tag": "sky"}, "no such task"),
        ({"action": Action.EXPAND, "target": "2.1", "tag": "sky"}, "no such task"),
        ({"action": Action.ANALYZE, "target": "2", "tag": "sky"}, "leave it out"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_it_begins(root: Path, wanted: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        merging.checked(PlanRequest(project=str(root), **wanted))


@pytest.mark.parametrize("link", ["tasks/tasks.json", "tasks"])
@pytest.mark.parametrize("leads", ["nowhere", "out"])
def test_a_plan_is_not_made_where_a_link_leads_out_of_the_project_or_nowhere(
    root: Path, tmp_path_factory: pytest.TempPathFactory, link: str, leads: str
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    place = root / ".taskmaster" / link
    place.rename(root / "before")
    place.symlink_to(outside if leads == "out" else outside / "new")
    with pytest.raises(Corrupt, match="a link"):
        merging.checked(PlanRequest(project=str(root), action=Action.PARSE_PRD, target="prd.txt", tag="new"))
    with pytest.raises(Corrupt, match="a link"):
        merging.merge(Project(root), Project(root), PLANS["parse"])
    assert list(outside.iterdir()) == []


def test_a_plan_goes_where_a_link_leads_within_the_project(root: Path, tmp_path: Path) -> None:
    (root / ".taskmaster" / "tasks").rename(root / "kept")
    (root / ".taskmaster" / "tasks").symlink_to(root / "kept")
    (root / "kept" / "tasks.json").unlink()
    copy = merging.copied(tmp_path / "copy", Project(root), PLANS["parse"], "http://127.0.0.1:1")
    copy.tasks_file.write_bytes(file(sky=TWO))
    assert merging.merge(Project(root), copy, PLANS["parse"])["made"] == ["1", "2"]
    assert set(read((root / "kept" / "tasks.json").read_bytes())) == {"sky"}


@pytest.mark.parametrize("prd", ["", "x" * 80_001, "\udcff"], ids=["empty", "too long", "no text"])
def test_a_prd_is_a_text_of_some_length(root: Path, prd: str) -> None:
    (root / "prd.txt").write_bytes(prd.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="There is no PRD"):
        copying.prd_in(Project(root), "prd.txt")


def test_the_copy_holds_one_tag_and_nobodys_configuration(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / ".taskmaster" / "config.json").write_text('{"secret": 1}')
    place = tmp_path_factory.mktemp("bench") / "copy"
    copy = merging.copied(place, Project(root), PLANS["expand"], "http://127.0.0.1:1/x/v1")
    assert copy.tags() == {"sky": Project(root).tags()["sky"]}
    assert copy.current_tag() == "sky"
    config = json.loads((place / ".taskmaster" / "config.json").read_text())
    assert {role["baseURL"] for role in config["models"].values()} == {"http://127.0.0.1:1/x/v1"}
    assert config["global"]["anonymousTelemetry"] is False
    assert (place / ".git").is_dir()


def test_a_plan_that_was_merged_is_not_merged_again(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    project, plan = Project(root), PLANS["expand"]
    copy = merging.copied(tmp_path_factory.mktemp("bench") / "copy", project, plan, "http://127.0.0.1:1")
    copy.tasks_file.write_bytes(file(sky=[{"id": 2, "subtasks": [{"id": 1}, {"id": 2, "dependencies": [1]}]}]))
    assert merging.merged_before(project, plan) is None
    told = merging.merge(project, copy, plan)
    content = project.content()

    assert told["made"] == ["2.1", "2.2"]
    assert json.loads((root / told["backup"]).read_bytes())["sky"]["tasks"] == TWO
    assert merging.merged_before(project, plan) == {name: told[name] for name in ("action", "tag", "target", "made")}
    with pytest.raises(Conflict, match="has subtasks already"):
        merging.merge(project, copy, plan)
    assert project.content() == content


@pytest.mark.parametrize(
    ("reports", "why"),
    [
        ({}, "there is no report"),
        ({"a": {"complexityAnalysis": []}}, "not of these tasks"),
        ({"a": {"complexityAnalysis": [{"taskId": 9, "complexityScore": 3}]}}, "not of these tasks"),
        ({"a": {"complexityAnalysis": [{"taskId": 1}]}}, "cannot be read"),
        ({"a": []}, "cannot be read"),
    ],
)
def test_a_report_is_one_of_these_tasks(root: Path, tmp_path: Path, reports: dict[str, Any], why: str) -> None:
    copy = merging.copied(tmp_path / "copy", Project(root), PLANS["analyze"], "http://127.0.0.1:1")
    for name, report in reports.items():
        (copy.root / ".taskmaster" / "reports" / f"{name}.json").write_text(json.dumps(report))
    with pytest.raises(VelError, match=why):
        merging.merge(Project(root), copy, PLANS["analyze"])
    assert not (root / ".taskmaster" / "reports").exists()


def test_a_bench_is_held_by_one_alone_until_its_plan_is_made(tmp_path: Path) -> None:
    mine, theirs = Benches(tmp_path / "plans"), Benches(tmp_path / "plans")
    assert mine.wanted() == []
    mine.want(BENCH)
    with mine.held(BENCH) as folder, theirs.held(BENCH) as other:
        assert folder == tmp_path / "plans" / BENCH
        assert other is None
    assert theirs.wanted() == [BENCH]
    mine.done(BENCH)
    with theirs.held(BENCH) as gone:
        assert gone is None
    assert theirs.wanted() == []


def test_a_later_try_has_a_bench_of_its_own_that_the_earlier_one_leaves(tmp_path: Path) -> None:
    benches, later = Benches(tmp_path / "plans"), bench_of(RUN, BEGUN + timedelta(microseconds=1))
    benches.want(BENCH)
    benches.want(later)
    benches.done(BENCH)
    assert benches.wanted() == [later]
    assert run_of(BENCH) == run_of(later) == RUN
    assert bench_of(RUN, BEGUN.astimezone(timezone(timedelta(hours=2)))) == BENCH  # as a database may tell the time

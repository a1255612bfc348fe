"""What a tasks.json says, in every form that Task Master has left behind, and what is refused and why."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.errors import InputError, NotFound
from vel_tutor_mcp.taskmaster import project, reading
from vel_tutor_mcp.taskmaster.items import Importance, Item, Status, natural
from vel_tutor_mcp.taskmaster.reading import Corrupt, normal


def items_of(*tasks: Any) -> dict[str, Item]:
    return dict(reading.read(json.dumps({"master": {"tasks": tasks}}).encode())["master"].items)


def folder_with(root: Path, content: str = '{"master": {"tasks": []}}') -> Path:
    (root / ".taskmaster" / "tasks").mkdir(parents=True)
    (root / ".taskmaster" / "tasks" / "tasks.json").write_text(content, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "1"),
        ("1", "1"),
        (" 01 ", "1"),
        ("1.0", "1"),
        ("1.2", "1.2"),
        ("1.10", "1.10"),
        ("HAM-7", "HAM-7"),
        ("HAM-7.3", "HAM-7.3"),
        (True, None),
        (None, None),
        ("", None),
        ("1,2", None),
        ("1.2.3", None),
        ("../1", None),
        ([1], None),
        ("x" * 61, None),
    ],
)
def test_an_id_has_one_form(value: Any, expected: str | None) -> None:
    assert normal(value) == expected


@settings(max_examples=examples(50))
@given(
    st.one_of(st.integers(0, 10**20), st.text(), st.from_regex(r"[A-Za-z0-9_-]{1,9}(\.[0-9]{1,4})?", fullmatch=True))
)
def test_the_form_of_an_id_is_final(value: Any) -> None:
    once = normal(value)
    if once is not None:
        assert normal(once) == once


def test_ids_count_as_people_do() -> None:
    assert sorted(["10", "1.10", "2", "b", "1", "1.9"], key=natural) == ["1", "1.9", "1.10", "2", "10", "b"]


def test_a_task_and_its_subtask_are_read_whole() -> None:
    found = items_of(
        {
            "id": 1,
            "title": "Build",
            "description": "What",
            "details": "How",
            "testStrategy": "Try it",
            "status": "in-progress",
            "priority": "critical",
            "dependencies": [2, "3"],
            "metadata": {"vel": {"cost": 0.25}},
            "subtasks": [{"id": 1, "title": "First", "status": "done", "parentId": "undefined", "parentTaskId": 1}],
        }
    )

    assert found["1"] == Item(
        id="1",
        title="Build",
        description="What",
        details="How",
        test_strategy="Try it",
        status=Status.IN_PROGRESS,
        importance=Importance.CRITICAL,
        dependencies=("2", "3"),
        subtasks=("1.1",),
        metadata={"vel": {"cost": "0.25"}},
    )
    assert found["1.1"] == Item(id="1.1", title="First", status=Status.DONE, parent="1")


ODD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"status": Status.PENDING, "title": "", "importance": Importance.MEDIUM}),
    ({"status": "completed"}, {"status": None}),
    ({"status": ["done"]}, {"status": None}),
    ({"priority": "urgent"}, {"importance": Importance.MEDIUM}),
    ({"priority": {}}, {"importance": Importance.MEDIUM}),
    ({"title": 7, "details": None}, {"title": "", "details": ""}),
    ({"title": "half \ud800 and \0"}, {"title": "half ? and \ufffd"}),
    ({"dependencies": None, "subtasks": None, "metadata": None}, {"dependencies": (), "subtasks": ()}),
    ({"dependencies": [1, "1", 1.0]}, {"dependencies": ("1",)}),
    ({"velCustom": {"kept": 1}}, {"metadata": {}}),
]


@pytest.mark.parametrize(("raw", "expected"), ODD, ids=[str(number) for number in range(len(ODD))])
def test_what_is_odd_is_read_as_task_master_would_mean_it(raw: dict[str, Any], expected: dict[str, Any]) -> None:
    item = items_of({"id": 5, **raw})["5"]
    assert {name: getattr(item, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([1], ("3.1",)),
        (["1"], ("3.1",)),
        (["3.1"], ("3.1",)),
        ([4], ("4",)),
        (["4"], ("4",)),
        ([1, "3.1", 4, "9.9"], ("3.1", "4", "9.9")),
    ],
)
def test_a_subtask_names_siblings_by_number_and_else_tasks(written: list[Any], expected: tuple[str, ...]) -> None:
    subtasks = [{"id": 1}, {"id": "3.2", "dependencies": written}]
    assert items_of({"id": "3", "subtasks": subtasks}, {"id": 4}, {"id": 1})["3.2"].dependencies == expected


def test_a_number_with_a_fraction_names_a_subtask() -> None:
    content = b'{"master": {"tasks": [{"id": 2.0, "dependencies": [1.10, 1.1]}]}}'
    assert reading.read(content)["master"].items["2"].dependencies == ("1.10", "1.1")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, {}),
        ({"tasks": [{"id": 1}], "metadata": {"projectName": "old"}}, {"master": ["1"]}),
        ({"master": {"tasks": []}}, {"master": []}),
        ({"feat-x": {"tasks": [{"id": "1"}]}, "master": {"tasks": []}, "odd": 5}, {"feat-x": ["1"], "master": []}),
        ({"tasks": {"tasks": [{"id": 1}]}}, {"tasks": ["1"]}),
    ],
)
def test_tags_are_read_and_so_is_the_form_of_before_them(raw: Any, expected: dict[str, list[str]]) -> None:
    assert {name: list(tag.items) for name, tag in reading.read(json.dumps(raw).encode()).items()} == expected


def test_a_byte_order_mark_does_no_harm() -> None:
    assert list(reading.read(b'\xef\xbb\xbf{"master": {"tasks": []}}')) == ["master"]


def test_of_two_items_with_one_id_the_first_is_kept_and_the_id_is_told_of() -> None:
    content = json.dumps({"master": {"tasks": [{"id": 1, "title": "a"}, {"id": "1", "title": "b"}]}}).encode()
    tag = reading.read(content)["master"]
    assert (tag.items["1"].title, list(tag.twice)) == ("a", ["1"])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no JSON from line 1, column 1"),
        (b'{"master": {"tasks": [', "no JSON from line 1"),
        (b'<<<<<<< HEAD\n{"master": {}}', "no JSON from line 1, column 1"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"master": {"tasks": [{"id": NaN}]}}', "a number that is none"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number that is none"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[]", "no object"),
        (b'{"master": {"tasks": {}}}', "the tasks of the tag master are no list"),
        (b'{"master": 5}', "no tag with a list of tasks"),
        (b'{"tasks": [], "master": {"tasks": []}}', "beside it a list of before there were tags"),
        (b'{"master": {"tasks": [5]}}', r"master\.tasks\[0\] is no object"),
        (b'{"master": {"tasks": [{"title": "x"}]}}', r"master\.tasks\[0\] has no id"),
        (b'{"master": {"tasks": [{"id": 1, "subtasks": {"a": 1}}]}}', r"tasks\[0\]\.subtasks is no list"),
        (b'{"master": {"tasks": [{"id": 1, "subtasks": [{}]}]}}', r"tasks\[0\]\.subtasks\[0\] has no id"),
        (b'{"master": {"tasks": [{"id": 1, "dependencies": "2"}]}}', r"tasks\[0\]\.dependencies is no list"),
        (b'{"master": {"tasks": [{"id": 1, "dependencies": [null]}]}}', r"tasks\[0\]\.dependencies\[0\] is no id"),
        (b" " * (reading.MAX_BYTES + 1), "larger than 20,000,000 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused_with_its_place(content: bytes, why: str) -> None:
    with pytest.raises(Corrupt, match=rf"cannot be read; .*{why}.*; correct it, or restore a backup"):
        reading.read(content)


@settings(max_examples=examples(100))
@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda part: (
            st.lists(part)
            | st.dictionaries(st.sampled_from(["id", "tasks", "subtasks", "dependencies", "master", "status"]), part)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        tags = reading.read(content)
    except Corrupt:
        return
    for tag in tags.values():
        assert all(item.id == item_id == normal(item_id) for item_id, item in tag.items.items())
        assert all(item.parent is None or item.id in tag.items[item.parent].subtasks for item in tag.items.values())


def test_a_project_is_read_from_its_folder(tmp_path: Path) -> None:
    found = project.at(str(folder_with(tmp_path)))
    assert (found.root, list(found.tags()), found.current_tag()) == (tmp_path.resolve(), ["master"], None)
    (tmp_path / ".taskmaster" / "state.json").write_text('{"currentTag": "feat-x"}')
    assert found.current_tag() == "feat-x"


@pytest.mark.parametrize("state", ["", "[]", '{"currentTag": 5}', "{}"])
def test_a_state_that_says_nothing_is_no_state(tmp_path: Path, state: str) -> None:
    found = project.at(str(folder_with(tmp_path)))
    (tmp_path / ".taskmaster" / "state.json").write_text(state)
    assert found.current_tag() is None


@pytest.mark.parametrize(
    ("path", "problem", "sentence"),
    [
        ("here", InputError, "is relative"),
        ("", InputError, "is relative"),
        ("/no/such/folder", InputError, "no such folder"),
        ("/\0", InputError, "no such folder"),
        ("{tmp}/file", InputError, "leads to a file"),
        ("{tmp}", NotFound, "no Task Master project in this folder"),
    ],
    ids=["relative", "empty", "nowhere", "nul", "file", "no project"],
)
def test_a_path_that_leads_to_no_project_is_refused(
    tmp_path: Path, path: str, problem: type[InputError], sentence: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(problem, match=sentence):
        project.at(path.replace("{tmp}", str(tmp_path)))


@pytest.mark.parametrize("linked", [".taskmaster", ".taskmaster/tasks", ".taskmaster/tasks/tasks.json"])
def test_no_link_is_followed_out_of_the_project(tmp_path: Path, linked: str) -> None:
    outside, inside = folder_with(tmp_path / "outside"), tmp_path / "inside"
    (inside / linked).parent.mkdir(parents=True)
    (inside / linked).symlink_to(outside / linked)
    with pytest.raises(Corrupt, match="a link that leads out of the project"):
        project.at(str(inside)).content()


def test_a_project_that_is_reached_by_a_link_is_read(tmp_path: Path) -> None:
    folder_with(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert project.at(str(tmp_path / "link")).root == (tmp_path / "real").resolve()


def test_a_tasks_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".taskmaster" / "tasks" / "tasks.json").mkdir(parents=True)
    with pytest.raises(Corrupt, match="it is no file"):
        project.at(str(tmp_path)).content()


def test_a_project_without_a_tasks_file_says_so(tmp_path: Path) -> None:
    (tmp_path / ".taskmaster").mkdir()
    with pytest.raises(NotFound, match=r"has no tasks\.json"):
        project.at(str(tmp_path)).content()


@pytest.mark.parametrize(
    ("name", "current", "expected"),
    [(None, None, "master"), (None, "b", "b"), (None, "gone", "master"), ("a", "b", "a")],
)
def test_without_a_tag_the_current_one_is_meant(name: str | None, current: str | None, expected: str) -> None:
    tags = reading.read(b'{"a": {"tasks": []}, "b": {"tasks": []}, "master": {"tasks": []}}')
    assert project.chosen(tags, name, current).name == expected


def test_a_tag_that_is_not_there_is_refused_with_those_that_are() -> None:
    tags = reading.read(b'{"a": {"tasks": []}, "b": {"tasks": []}}')
    with pytest.raises(NotFound, match="it has a, b; name one of these"):
        project.chosen(tags, "c", None)
    assert project.chosen(tags, None, None).name == "a"
    with pytest.raises(NotFound, match="has no tasks yet"):
        project.chosen({}, None, None)

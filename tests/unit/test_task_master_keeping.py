"""What keeps a project's file from harm: our lock, the copies, the report of losses, and starts that are refused."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from full import full_disk
from server import soon
from waits import turns

from vel_tutor_mcp.errors import ConfigurationError, Conflict, InputError, Unavailable
from vel_tutor_mcp.taskmaster import keeping, reading
from vel_tutor_mcp.taskmaster.child import Child, _check_version, command_of
from vel_tutor_mcp.taskmaster.items import Tag
from vel_tutor_mcp.taskmaster.project import Project
from vel_tutor_mcp.taskmaster.writing import Writer

pytestmark = pytest.mark.anyio


@pytest.fixture
def made(tmp_path: Path) -> Project:
    (tmp_path / ".taskmaster" / "tasks").mkdir(parents=True)
    return Project(tmp_path.resolve())


def tags(**written: Any) -> dict[str, Tag]:
    return reading.read(json.dumps({name: {"tasks": tasks} for name, tasks in written.items()}).encode())


async def test_the_lock_keeps_out_whoever_else_writes(made: Project) -> None:
    async with keeping.alone(made):
        with pytest.raises(Unavailable, match="another process of vel-tutor-mcp is at it; try again"):
            async with keeping.alone(made, seconds=0):
                pass
    async with keeping.alone(made, seconds=0):
        pass


async def test_the_lock_of_a_process_that_was_killed_is_free(made: Project) -> None:
    holds = (
        "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=1); input()"
    )
    lock, pipe = str(made.root / ".taskmaster" / ".vel-bridge.lock"), asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", holds, lock, stdout=pipe, stdin=pipe)
    assert holder.stdout is not None
    assert await soon(holder.stdout.readline()) == b"held\n"
    with pytest.raises(Unavailable):
        async with keeping.alone(made, seconds=0):
            pass
    holder.kill()
    await soon(holder.wait())
    async with keeping.alone(made, seconds=0):
        pass


async def test_waiting_for_the_lock_lets_others_go_on(made: Project) -> None:
    order: list[str] = []

    async def write(name: str) -> None:
        async with keeping.alone(made):
            order.append(f"{name} begins")
            await turns()
            order.append(f"{name} ends")

    await asyncio.gather(write("a"), write("b"))
    assert [line.partition(" ")[2] for line in order] == ["begins", "ends", "begins", "ends"]


def test_the_newest_copies_are_kept_and_the_same_content_once(made: Project) -> None:
    paths = [keeping.back_up(made, b"%d" % (number // 2)) for number in range(60)]
    kept = sorted(paths[0].parent.iterdir())
    assert [path.read_bytes() for path in kept] == [b"%d" % number for number in range(10, 30)]
    assert paths[-1] == paths[-2] == kept[-1]


def test_a_copy_that_had_what_was_lost_is_kept_for_good(made: Project) -> None:
    path = keeping.keep_for_good(keeping.back_up(made, b"first"), b"first")
    newer = [keeping.back_up(made, b"%d" % number) for number in range(30)]
    assert sorted(path.parent.iterdir()) == [path, *newer[10:]]
    assert path.read_bytes() == b"first"


def test_a_long_output_goes_to_a_file_of_its_run(made: Project) -> None:
    assert keeping.keep_output(made, "run-1", "short") == {"output": "short"}
    assert keeping.keep_output(made, "run-1", "long" * 1000) == {"output_file": ".taskmaster/vel/run-1.md"}
    assert (made.root / ".taskmaster" / "vel" / "run-1.md").read_text() == "long" * 1000


def test_nothing_is_written_through_a_link_out_of_the_project(made: Project, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (made.root / ".taskmaster" / "vel").symlink_to(outside)
    with pytest.raises(InputError, match="a link in it leads out of the project"):
        keeping.keep_output(made, "run-1", "long" * 1000)


def test_a_part_that_somebody_left_is_not_written_through(made: Project, tmp_path_factory: Any) -> None:
    outside = tmp_path_factory.mktemp("outside") / "theirs"
    outside.write_text("theirs")
    (made.root / ".taskmaster" / "tasks" / ".tasks.json.part").symlink_to(outside)
    keeping.write(made.tasks_file, b"{}")
    assert (outside.read_text(), made.tasks_file.read_bytes(), made.tasks_file.is_symlink()) == ("theirs", b"{}", False)


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ({"a": [{"id": 1, "metadata": {"x": 1}}, {"id": 2}], "b": []}, ()),
        ({"a": [{"id": 1, "metadata": {"x": 2, "y": 1}}, {"id": 2}, {"id": 3}], "b": [], "c": []}, ()),
        ({"a": [{"id": 1, "metadata": {"x": 1}}], "b": []}, ("2 of a",)),
        ({"a": [{"id": 1}, {"id": 2}], "b": []}, ('metadata "x" of 1 of a',)),
        ({"b": []}, ("the tag a",)),
    ],
    ids=["nothing", "only more", "an item", "metadata", "a tag"],
)
def test_what_is_gone_is_told_of(after: dict[str, Any], lost: tuple[str, ...]) -> None:
    before = tags(a=[{"id": 1, "metadata": {"x": 1}}, {"id": 2}], b=[])
    assert keeping.losses(before, tags(**after)) == lost


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ([{"id": 1, "dependencies": [2]}, {"id": 2, "dependencies": [1]}], "it waits for 2"),
        ([{"id": 1, "dependencies": [9]}], "it waits for 9"),
        ([{"id": 1, "status": "odd"}], "it is blocked"),
        ([{"id": 1}, {"id": 1}], "it is blocked"),
        ([{"id": 1, "status": "done"}], "it is done"),
        ([{"id": 1, "status": "in-progress"}], "it is active"),
    ],
    ids=["cycle", "missing", "unknown status", "twice", "done", "another's"],
)
async def test_what_cannot_be_begun_is_refused_before_task_master_is_asked(
    made: Project, tasks: list[dict[str, Any]], why: str
) -> None:
    made.tasks_file.write_text(json.dumps({"master": {"tasks": tasks}}))
    child = Child("no-such-command", made, made.root / "home")
    with pytest.raises(Conflict, match=f"The item 1 cannot be begun; {why}; "):
        await Writer(made, child).claim("master", "1", "run-1")
    assert child.starts == 0


@pytest.mark.parametrize("command", ["no-such-command", "", "   ", "'half"])
async def test_without_task_master_it_is_said_how_to_get_it(made: Project, command: str) -> None:
    made.tasks_file.write_text('{"master": {"tasks": [{"id": 1}]}}')
    with pytest.raises(ConfigurationError, match=r"not found; install it with `npm install -g task-master-ai@[0-9.]+`"):
        await Writer(made, Child(command, made, made.root / "home")).claim("master", "1", "run-1")


def test_without_node_it_is_said_to_be_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ("task-master-mcp.exe" if os.name == "nt" else "task-master-mcp")
    program.touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"it needs Node\.js"):
        command_of("task-master-mcp --flag")


def test_an_untested_version_is_not_written_through() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Task Master 9\.9 is not written through; .* 0\.43\.1 alone; install"
    ):
        _check_version("9.9")


def test_a_file_for_which_there_is_no_room_is_as_it_was_and_nothing_lies_beside_it(made: Project) -> None:
    file = made.tasks_file
    file.write_bytes(b"{}")
    with full_disk(), pytest.raises(ConfigurationError, match="cannot be written; File too large; make room"):
        keeping.write(file, b'{"master": {}}')
    assert (file.read_bytes(), list(file.parent.iterdir())) == (b"{}", [file])

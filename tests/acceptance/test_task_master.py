"""Writing to projects through the real Task Master: what arrives, what is refused, and what is survived."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from server import soon
from task_master import command, connections, file_of, new_project

from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.taskmaster import project
from vel_tutor_mcp.taskmaster.child import Child
from vel_tutor_mcp.taskmaster.items import Item, Status
from vel_tutor_mcp.taskmaster.reading import Corrupt
from vel_tutor_mcp.taskmaster.writing import Writer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(500)]

OTHERS: list[dict[str, Any]] = [{"id": 1, "title": "Theirs", "metadata": {"kept": True}, "velCustom": 1}]
MANY: list[dict[str, Any]] = [{"id": number} for number in range(10, 20)]
TASKS: list[dict[str, Any]] = [
    {"id": 1, "subtasks": [{"id": 1}, {"id": 2, "dependencies": [1]}]},
    {"id": 2, "dependencies": [1]},
    *({"id": number} for number in range(3, 8)),
    *MANY,
]

SERVES = """
import asyncio, sys
from pathlib import Path
from vel_tutor_mcp.taskmaster import project
from vel_tutor_mcp.taskmaster.child import Child

async def main():
    child = Child(sys.argv[1], project.at(sys.argv[2]), Path(sys.argv[3]))
    await child.call("set_task_status", id="7", status="pending", tag="master")
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("task-master")


@pytest.fixture(scope="module")
def root(folder: Path) -> Path:
    return new_project(folder / "project", master=TASKS, other=OTHERS)


@pytest.fixture(scope="module")
async def child(folder: Path, root: Path) -> AsyncIterator[Child]:
    child = Child(command(folder), project.at(str(root)), folder / "home")
    yield child
    await child.close()
    assert connections(folder) <= {"127.0.0.1:9"}


@pytest.fixture
def writer(root: Path, child: Child) -> Writer:
    return Writer(project.at(str(root)), child)


def item(root: Path, item_id: str) -> Item:
    return project.at(str(root)).tags()["master"].items[item_id]


def other_tag(root: Path) -> Any:
    return json.loads(file_of(root).read_text())["other"]


def processes(of: Path) -> list[int]:
    """The children that were started with the watch of this folder."""
    found = subprocess.run(
        ["pgrep", "-f", f"node --import {of}/watch.mjs"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)


async def test_a_result_and_its_status_arrive_and_nothing_else_changes(root: Path, writer: Writer) -> None:
    before = other_tag(root)
    await writer.claim("master", "1.1", "run-1")
    claimed = item(root, "1.1")
    written = await writer.finish("master", "1.1", Status.DONE, {"run_id": "run-1", "output": "Done: ünïcödé"})

    assert (claimed.status, claimed.metadata) == (Status.IN_PROGRESS, {"vel": {"run_id": "run-1"}})
    done = item(root, "1.1")
    assert (done.status, done.metadata["vel"]["output"]) == (Status.DONE, "Done: ünïcödé")
    assert (written.tries, written.lost, other_tag(root)) == (1, (), before)
    assert json.loads(written.backup.read_bytes())["other"] == before


def test_a_connection_would_be_seen(tmp_path: Path) -> None:
    node = command(tmp_path).split()[:3]
    subprocess.run([*node, "-e", "require('https').get('https://127.0.0.1:1').on('error', () => {})"], check=True)
    assert connections(tmp_path) == {"127.0.0.1:1"}


async def test_what_is_not_ready_is_not_claimed(root: Path, writer: Writer) -> None:
    before = file_of(root).read_bytes()
    with pytest.raises(Conflict, match="The item 2 cannot be begun; it waits for 1; "):
        await writer.claim("master", "2", "run-2")
    assert file_of(root).read_bytes() == before


async def test_an_item_goes_to_one_run_alone(root: Path, writer: Writer) -> None:
    runs = [f"run-{number}" for number in range(3)]
    outcomes = await asyncio.gather(*(writer.claim("master", "3", run) for run in runs), return_exceptions=True)

    (winner,) = [run for run, outcome in zip(runs, outcomes, strict=True) if not isinstance(outcome, Exception)]
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 2
    assert item(root, "3").metadata == {"vel": {"run_id": winner}}
    (loser, *_) = [run for run in runs if run != winner]
    with pytest.raises(Conflict, match="is not this run's"):
        await writer.finish("master", "3", Status.DONE, {"run_id": loser})


async def test_a_result_arrives_although_the_task_was_done_before_it(root: Path, writer: Writer, child: Child) -> None:
    await writer.claim("master", "4", "run-4")
    await child.call("set_task_status", id="4", tag="master", status="done")
    refused = await child.call("update_task", id="4", tag="master", metadata='{"vel": {"run_id": "lost"}}')
    await writer.finish("master", "4", Status.DONE, {"run_id": "run-4", "output": "here"})

    assert refused["updated"] is False
    assert (item(root, "4").status, item(root, "4").metadata["vel"]["output"]) == (Status.DONE, "here")


async def test_writes_that_come_together_all_arrive(root: Path, writer: Writer) -> None:
    ids = [str(task["id"]) for task in MANY]

    async def work(item_id: str) -> None:
        await writer.claim("master", item_id, f"run-{item_id}")
        await writer.finish("master", item_id, Status.REVIEW, {"run_id": f"run-{item_id}", "output": item_id})

    await asyncio.gather(*map(work, ids))
    assert {item(root, item_id).status for item_id in ids} == {Status.REVIEW}
    assert [item(root, item_id).metadata["vel"]["output"] for item_id in ids] == ids


async def test_a_corrupt_file_is_left_as_it_is(root: Path, writer: Writer) -> None:
    whole = file_of(root).read_bytes()
    file_of(root).write_bytes(whole[:-20])
    try:
        with pytest.raises(Corrupt, match="no JSON"):
            await writer.claim("master", "5", "run-5")
        assert file_of(root).read_bytes() == whole[:-20]
    finally:
        file_of(root).write_bytes(whole)


async def test_a_lock_that_another_task_master_left_is_waited_for(root: Path, writer: Writer) -> None:
    lock = file_of(root).with_name("tasks.json.lock")
    lock.write_text(json.dumps({"pid": 1, "timestamp": int(time.time() * 1000)}))
    os.utime(lock, (time.time() - 8, time.time() - 8))  # taken for abandoned after ten seconds
    await writer.claim("master", "5", "run-5")
    assert item(root, "5").status is Status.IN_PROGRESS


async def test_a_child_that_was_killed_is_started_again_and_the_write_arrives(
    folder: Path, root: Path, writer: Writer, child: Child
) -> None:
    starts = child.starts
    for pid in processes(folder):
        os.kill(pid, signal.SIGKILL)
    await writer.claim("master", "6", "run-6")
    assert (item(root, "6").status, child.starts - starts) == (Status.IN_PROGRESS, 1)


async def test_the_child_ends_with_us_however_we_end(root: Path, tmp_path: Path) -> None:
    arguments = ["-c", SERVES, command(tmp_path), str(root), str(tmp_path / "home")]
    pipe = asyncio.subprocess.PIPE
    ours = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe)
    assert ours.stdout is not None
    assert await soon(ours.stdout.readline(), 90) == b"up\n"
    children = processes(tmp_path)
    assert children
    ours.kill()
    await soon(ours.wait())
    await asyncio.to_thread(wait_until_gone, children)

"""Writing to projects through the real Task Master: what arrives, what is refused, and what is survived."""

import asyncio
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import task_master_server
from mcp.shared.exceptions import MCPError
from server import soon
from task_master import command, connections, file_of, lock_left, new_project
from task_master_person import Person, at_work
from task_master_server import TimedChild, Worked, work
from waits import block_until

from vel_tutor_mcp.errors import Conflict, NotFound
from vel_tutor_mcp.taskmaster import project, reading
from vel_tutor_mcp.taskmaster.child import TOOLS, Child
from vel_tutor_mcp.taskmaster.items import Item, Status
from vel_tutor_mcp.taskmaster.reading import Corrupt
from vel_tutor_mcp.taskmaster.writing import Writer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(500)]

_log = logging.getLogger(__name__)  # shown with --log-cli-level=info

# What Task Master cannot cope with: it ends itself at the sight of a cycle, and reads no tag with an unknown status.
ODD: list[dict[str, Any]] = [
    {"id": 1, "dependencies": [2]},
    {"id": 2, "dependencies": [1]},
    {"id": 3, "dependencies": [99]},
    {"id": 4, "status": "odd"},
    {"id": 5},
]
OTHERS: list[dict[str, Any]] = [{"id": 1, "title": "Theirs", "metadata": {"kept": True}, "velCustom": 1}]
MANY: list[dict[str, Any]] = [{"id": number} for number in range(10, 20)]
TASKS: list[dict[str, Any]] = [
    {"id": 1, "subtasks": [{"id": 1}, {"id": 2, "dependencies": [1]}]},
    {"id": 2, "dependencies": [1]},
    *({"id": number} for number in range(3, 10)),
    *MANY,
    {"id": 20},
    {"id": 21},
]

# Where connections that would leave the machine are led.
NOBODY = {"127.0.0.1:9"}

# How many writes come together: half of them claims, a quarter results, a quarter a person's.
WRITES = int(os.environ.get("VEL_TEST_WRITES", "24"))
SHARED = [str(number) for number in range(1, WRITES // 4 + 1)]
THEIRS = [str(number) for number in range(1001, WRITES // 4 + 1001)]


class Beside(Child):
    """The child, and beside it a person: what they read before a call of this tool they write after the status."""

    def __init__(self, child: Child, file: Path, reads_before: str, seconds_after: float) -> None:
        self._child = child
        self._file = file
        self._reads_before = reads_before
        self._seconds_after = seconds_after
        self._stale: bytes | None = None
        self._is_over = False

    async def call(self, tool: str, **arguments: str) -> dict[str, Any]:
        if self._stale is None and tool == self._reads_before:
            self._stale = self._file.read_bytes()
        answer = await self._child.call(tool, **arguments)
        if self._stale is not None and tool == "set_task_status" and not self._is_over:
            self._is_over = True
            asyncio.get_running_loop().call_later(self._seconds_after, put, self._file, self._stale)
        return answer


def put(file: Path, content: bytes) -> None:
    """In one moment, as Task Master does."""
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.replace(file)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("task-master")


@pytest.fixture(scope="module")
def root(folder: Path) -> Path:
    together = [{"id": int(number)} for number in SHARED + THEIRS]
    return new_project(folder / "project", master=TASKS, other=OTHERS, odd=ODD, together=together)


@pytest.fixture(scope="module")
async def child(folder: Path, root: Path) -> AsyncIterator[TimedChild]:
    child = TimedChild(command(folder), project.at(str(root)), folder / "home")
    yield child
    await child.close()
    assert connections(folder) <= NOBODY


@pytest.fixture(scope="module")
async def person(folder: Path, root: Path) -> AsyncIterator[Person]:
    async with at_work(root, folder / "person") as person:
        yield person


@pytest.fixture
def writer(root: Path, child: Child) -> Writer:
    return Writer(project.at(str(root)), child)


def item(root: Path, item_id: str, tag: str = "master") -> Item:
    return project.at(str(root)).tags()[tag].items[item_id]


def raw(root: Path, tag: str) -> Any:
    return json.loads(file_of(root).read_text())[tag]


def processes(of: Path) -> list[int]:
    """The children that were started with the watch of this folder."""
    found = subprocess.run(
        ["pgrep", "-f", f"node --import {of}/watch.mjs"], capture_output=True, text=True, check=False
    )
    return [int(line) for line in found.stdout.split()]


@asynccontextmanager
async def second_server(watched: Path, root: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another server of ours, ready to work when it is told to, and killed at the end."""
    watched.mkdir()
    arguments = [command(watched), str(root), str(watched / "home"), "second", "together", *SHARED]
    pipe = asyncio.subprocess.PIPE
    ours = await asyncio.create_subprocess_exec(
        sys.executable, task_master_server.__file__, *arguments, stdin=pipe, stdout=pipe, limit=1 << 24
    )
    assert ours.stdout is not None
    try:
        assert await soon(ours.stdout.readline(), 90) == b"up\n"
        yield ours
    finally:
        ours.kill()
        await soon(ours.wait())


async def test_a_result_and_its_status_arrive_and_nothing_else_changes(root: Path, writer: Writer) -> None:
    config = root / ".taskmaster" / "config.json"
    before, configured = raw(root, "other"), config.read_bytes()
    await writer.claim("master", "1.1", "run-1")
    claimed = item(root, "1.1")
    written = await writer.finish("master", "1.1", Status.DONE, {"run_id": "run-1", "output": "Done: ünïcödé"})

    assert (claimed.status, claimed.metadata) == (Status.IN_PROGRESS, {"vel": {"run_id": "run-1"}})
    done = item(root, "1.1")
    assert (done.status, done.metadata["vel"]["output"]) == (Status.DONE, "Done: ünïcödé")
    assert (written.tries, written.lost, raw(root, "other")) == (1, (), before)
    assert json.loads(written.backup.read_bytes())["other"] == before
    assert config.read_bytes() == configured
    content = file_of(root).read_bytes()
    await writer.finish("master", "1.1", Status.DONE, {"run_id": "run-1", "output": "Done: ünïcödé"})
    assert file_of(root).read_bytes() == content


async def test_task_master_is_left_no_tool_that_ends_it_or_destroys_what_is_not_ours(child: Child) -> None:
    client = await child._connected()
    assert {tool.name for tool in (await client.list_tools()).tools} == set(TOOLS)
    with pytest.raises(MCPError, match="Unknown tool"):
        await client.call_tool("fix_dependencies", {})


async def test_beside_a_cycle_a_missing_dependency_and_an_unknown_status_a_result_arrives(
    root: Path, writer: Writer
) -> None:
    await writer.claim("odd", "5", "run-odd")
    await writer.finish("odd", "5", Status.DONE, {"run_id": "run-odd"})
    left = [(task["id"], task["dependencies"], task["status"]) for task in raw(root, "odd")["tasks"]]
    assert left == [
        ("1", ["2"], "pending"),
        ("2", ["1"], "pending"),
        ("3", ["99"], "pending"),
        ("4", [], "odd"),
        ("5", [], "done"),
    ]


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
    lock_left(root, seconds_ago=8)
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


@pytest.mark.parametrize(
    ("item_id", "reads_before", "seconds_after"), [("7", "update_task", 0.1), ("8", "set_task_status", 0)]
)
async def test_what_a_person_undid_who_had_read_the_file_before_is_written_again(
    root: Path, child: Child, item_id: str, reads_before: str, seconds_after: float
) -> None:
    made = project.at(str(root))
    result = {"run_id": f"run-{item_id}", "output": "here"}
    claiming, finishing = (Beside(child, file_of(root), reads_before, seconds_after) for _ in range(2))
    claimed = await Writer(made, claiming).claim("master", item_id, f"run-{item_id}")
    finished = await Writer(made, finishing).finish("master", item_id, Status.DONE, result)

    assert (claimed.tries, finished.tries) == (2, 2)
    assert (item(root, item_id).status, item(root, item_id).metadata) == (Status.DONE, {"vel": result})


async def test_what_a_person_undid_of_others_is_told_of_with_the_copy_that_has_it(
    root: Path, child: Child, writer: Writer
) -> None:
    before = file_of(root).read_bytes()
    await writer.claim("master", "20", "run-20")
    put(file_of(root), before)  # later than anyone looks
    await writer.finish("master", "20", Status.DONE, {"run_id": "run-20", "output": "here"})
    beside = Beside(child, file_of(root), "update_task", 0.1)
    beside._stale = before
    written = await Writer(project.at(str(root)), beside).claim("master", "21", "run-21")

    assert (written.lost, written.backup.name[:5]) == (('metadata "vel" of 20 of master',), "lost-")
    assert reading.read(written.backup.read_bytes())["master"].items["20"].metadata["vel"]["output"] == "here"


async def test_an_item_that_is_gone_after_it_was_written_to_is_told_of_with_the_copy_that_has_it(
    root: Path, child: Child
) -> None:
    content = json.loads(file_of(root).read_bytes())
    content["master"]["tasks"] = [task for task in content["master"]["tasks"] if str(task["id"]) != "9"]
    beside = Beside(child, file_of(root), "update_task", 0.1)
    beside._stale = json.dumps(content).encode()
    with pytest.raises(NotFound, match="The item 9 is gone;") as told:
        await Writer(project.at(str(root)), beside).claim("master", "9", "run-9")

    (copy,) = re.findall(r"\.taskmaster/vel/backups/lost-\w+\.json", str(told.value))
    assert "9" in reading.read((root / copy).read_bytes())["master"].items


async def test_two_servers_and_a_person_write_together_and_nothing_of_ours_is_lost_or_doubled(
    root: Path,
    folder: Path,
    writer: Writer,
    child: TimedChild,
    person: Person,
) -> None:
    async with second_server(folder / "second", root) as second:
        assert second.stdin
        assert second.stdout
        second.stdin.write(b"go\n")
        ours = asyncio.create_task(work(writer, "first", "together", SHARED))
        theirs = await person.updates("together", THEIRS)
        told = json.loads(await soon(second.stdout.readline(), 40 + 2 * WRITES))
        children = processes(folder / "second")
    assert children
    await asyncio.to_thread(block_until, lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert connections(folder / "second") <= NOBODY

    works = {"first": await ours, "second": Worked(**told["worked"])}

    items = project.at(str(root)).tags()["together"].items
    unwritten = [item_id for item_id in SHARED if not check_done_once(items[item_id], works)]
    lost = [update for update in theirs if not update.is_in(items)]
    assert all(update.met(child.calls + told["calls"]) for update in lost)
    tries = Counter(tries for worked in works.values() for tries in worked.tries)
    _log.info("Ours: %d items, %d reported as not written; tries: %s", len(SHARED), len(unwritten), dict(tries))
    _log.info("Theirs: %d updates, %d lost while a call of ours was under way", len(theirs), len(lost))


def check_done_once(item: Item, works: Mapping[str, Worked]) -> bool:
    """Whether one of the servers finished it, which then is what the file says; else each was told why not."""
    runs = [f"{server}-{item.id}" for server, worked in works.items() if item.id in worked.finished]
    if runs:
        (run,) = runs
        assert (item.status, item.metadata) == (Status.DONE, {"vel": {"run_id": run, "output": run}})
    else:
        said = " ".join(worked.refused[item.id] for worked in works.values())
        assert re.search("could not be written|is not this run's", said)
    return bool(runs)


async def test_telemetry_that_has_a_way_out_is_seen_to_take_it(person: Person) -> None:
    assert not await person.call("add_task", prompt="Anything")
    await asyncio.to_thread(block_until, lambda: any("sentry.io" in target for target in connections(person.watched)))

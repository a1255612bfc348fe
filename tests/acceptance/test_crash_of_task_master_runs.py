"""Kill -9 of our server, of Task Master, and of both, in a run of a project: it goes on, and nothing is done twice."""

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from server import Server, alone, serving
from task_master import begun, command, file_of, new_project, until_ended
from waits import lapse

from vel_tutor_mcp.providers.simulated import SimulatedProvider

pytestmark = pytest.mark.anyio

KILLS = min(42, int(os.environ.get("VEL_TEST_KILLS", "6")))
ITEMS = max(12, 3 * KILLS)
LATEST_KILL_SECONDS = 0.8
# The lives of our server, each with whom is killed in it.
LIVES = (("server",), ("task master", "both"))
# Two chains, side by side.
TASKS = [{"id": number, "dependencies": [number - 2] if number > 2 else []} for number in range(1, ITEMS + 1)]

Told = dict[str, Any]
Tasks = dict[str, Told]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def tasks_in(content: bytes) -> Tasks:
    return {str(task["id"]): task for task in json.loads(content)["master"]["tasks"]}


def children(folder: Path) -> list[int]:
    """The Task Masters that were started with the watch of this folder."""
    pattern = f"node --import {folder}/watch.mjs"
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


class Watch:
    """What a file holds, each time that a thread which looks all the time sees it changed."""

    def __init__(self, file: Path) -> None:
        self.seen: list[Tasks] = []
        self.broken: list[bytes] = []
        self._file = file
        self._changed = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def next_change(self) -> None:
        self._changed.clear()
        assert await asyncio.to_thread(self._changed.wait, 120), "nothing is written any more"

    def _look(self) -> None:
        before = b""
        while not self._over.wait(0.005):
            content = self._file.read_bytes()
            if content == before:
                continue
            before = content
            try:
                self.seen.append(tasks_in(content))
            except ValueError:
                self.broken.append(content)
            self._changed.set()


async def harm(victim: str, server: Server, folder: Path) -> None:
    if victim != "server":
        for pid in children(folder):
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
    if victim != "task master":
        await server.kill()


def check_nothing_was_done_twice(seen: list[Tasks]) -> None:
    """Each item goes one way, and its result is one task's."""
    order = ["pending", "in-progress", "done"]
    for item_id in seen[0]:
        statuses = [order.index(tasks[item_id]["status"]) for tasks in seen]
        assert statuses == sorted(statuses), item_id
        results = [tasks[item_id].get("metadata", {}).get("vel", {}).get("task_id") for tasks in seen]
        assert len(set(results) - {None}) == 1, item_id


async def check_the_books(server: Server, run_id: str) -> None:
    """Each item was claimed, done and written once, as the audit trail has it."""
    noted, cursor = Counter[tuple[str, str]](), ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = await server.call("audit_search", subject=f"run:{run_id}", limit=100, **more)
        noted.update((entry["action"], entry["payload"].get("item", "")) for entry in page["entries"])
        cursor = page["next_cursor"]
    of_items = {key: count for key, count in noted.items() if key[0].startswith("taskmaster_")}
    actions = ("taskmaster_claimed", "taskmaster_written")
    assert of_items == {(action, str(task["id"])): 1 for action in actions for task in TASKS}


async def harmed(victims: Sequence[str], server: Server, folder: Path, watch: Watch, random: Random) -> None:
    """Each after a change of the file, or a little later."""
    for victim in victims:
        await watch.next_change()
        await lapse(random.uniform(0, LATEST_KILL_SECONDS))
        await harm(victim, server, folder)


@pytest.mark.kills
@pytest.mark.timeout(120 + 40 * KILLS)
async def test_a_run_of_a_project_ends_right_however_often_we_and_task_master_are_killed(tmp_path: Path) -> None:
    root, random, run_id = new_project(tmp_path / "project", master=TASKS), Random(20261126), ""
    async with SimulatedProvider("groq", latency=0.1) as groq:
        variables = alone(groq) | {"VEL_TUTOR_TASK_MASTER_COMMAND": command(tmp_path)}
        with Watch(file_of(root)) as watch:
            for victims in LIVES * (KILLS // 3):
                async with serving(tmp_path, variables) as server:
                    run_id = run_id or await begun(server, root, all_ready=True)
                    await harmed(victims, server, tmp_path, watch, random)
            async with serving(tmp_path, variables) as server:
                told = await until_ended(server, run_id, 300)
                await check_the_books(server, run_id)

    assert (told["status"], told["output"]["done"], told["output"]["left"]) == ("completed", ITEMS, [])
    assert {task["status"] for task in tasks_in(file_of(root).read_bytes()).values()} == {"done"}
    assert watch.broken == []
    check_nothing_was_done_twice(watch.seen)

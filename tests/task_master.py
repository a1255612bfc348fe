"""The real Task Master, for tests: what `tests/task_master_package` locks, installed once in a cache by its hash."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from node_programs import clean_install, had, installed
from server import Server

FOLDER = Path(__file__).parent / "task_master_package"
# Writes down whereto each connection and packet goes and what programs are started, and lets none leave the machine.
_WATCH = """
import { ChildProcess } from "node:child_process";
import dgram from "node:dgram";
import { appendFileSync } from "node:fs";
import net from "node:net";
const note = (target) => appendFileSync(new URL("./connections.txt", import.meta.url), `${target}\\n`);
const watch = (prototype, name, seen) => {
  const original = prototype[name];
  prototype[name] = function (...given) {
    return seen.call(this, ...given) ?? original.apply(this, given);
  };
};
watch(net.Socket.prototype, "connect", function (...given) {
  const [first] = given.flat();
  const host = first?.host ?? "127.0.0.1";
  note(first?.path ?? `${host}:${first?.port ?? first}`);
  if (first?.path || host === "127.0.0.1") return undefined;
  process.nextTick(() => this.destroy(new Error("kept in by the test")));
  return this;
});
watch(dgram.Socket.prototype, "send", () => note("a packet"));
watch(ChildProcess.prototype, "spawn", (options) => note(`the program ${options.file}`));
"""


def command(watched: Path) -> str:
    """How the server is started, so that it writes its connections to `connections.txt` in this folder."""
    (watched / "watch.mjs").write_text(_WATCH, encoding="utf-8")
    server = had(_packages) / "node_modules" / "task-master-ai" / "dist" / "mcp-server.js"
    return f"node --import {watched / 'watch.mjs'} {server}"


def connections(watched: Path) -> set[str]:
    file = watched / "connections.txt"
    return set(file.read_text(encoding="utf-8").splitlines()) if file.exists() else set()


def new_project(root: Path, **tags: list[dict[str, Any]]) -> Path:
    """A folder with these tasks; titles and so on are given to those that have none."""
    (root / ".taskmaster" / "tasks").mkdir(parents=True)
    roles = ("main", "research", "fallback")
    models = {role: {"provider": "lmstudio", "modelId": "any", "maxTokens": 8000, "temperature": 0.2} for role in roles}
    config = {"models": models, "global": {"userId": "1234567890"}}  # which leaves its telemetry on
    (root / ".taskmaster" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    content = {name: {"tasks": [_whole(task) for task in tasks], "metadata": {}} for name, tasks in tags.items()}
    file_of(root).write_text(json.dumps(content), encoding="utf-8")
    return root


async def begun(server: Server, root: Path, **wishes: Any) -> str:
    """The id of a run on the project."""
    run = await server.call("taskmaster_run", project=str(root), wait_seconds=0, **wishes)
    return str(run["id"])


async def until_ended(server: Server, run_id: str, seconds: float = 120) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        while (await server.call("workflow_get", id=run_id, wait_seconds=5))["status"] == "in_progress":
            pass
    told: dict[str, Any] = json.loads(await server.read(f"run://{run_id}"))
    return told


def lock_left(root: Path, seconds_ago: float) -> Path:
    """The lock of a Task Master that was killed then: others take it for abandoned when it is ten seconds old."""
    lock, then = file_of(root).with_name("tasks.json.lock"), time.time() - seconds_ago
    lock.write_text(json.dumps({"pid": 1, "timestamp": int(then * 1000)}), encoding="utf-8")
    os.utime(lock, (then, then))
    return lock


def file_of(root: Path) -> Path:
    return root / ".taskmaster" / "tasks" / "tasks.json"


def _whole(task: dict[str, Any]) -> dict[str, Any]:
    rest = {"title": "Do it", "description": "As said", "status": "pending", "dependencies": [], "priority": "medium"}
    subtasks = [rest | subtask for subtask in task.get("subtasks", [])]
    return rest | task | {"subtasks": subtasks}


def _packages() -> Path:
    return installed(FOLDER, _install)


def _install(folder: Path) -> None:
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    clean_install(folder, "--omit=optional")

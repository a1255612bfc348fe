"""Listing a Task Master project of 500 tasks in three tags, through an MCP client in memory: it has no peer."""

import json
import time
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from mcp import Client
from measure import Result, fewer

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.settings import Settings

TAGS, TASKS = ("master", "feat-a", "feat-b"), 500
LISTS, MOST_MS = 100, 300
_WARMUPS = 3


async def results(share: float) -> list[Result]:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "project"
        (root / ".taskmaster" / "tasks").mkdir(parents=True)
        (root / ".taskmaster" / "tasks" / "tasks.json").write_text(json.dumps(_file()), encoding="utf-8")
        async with open_app(Settings(home=Path(folder) / "home")) as app:
            desk = Desk()
            desk.opened(app)
            async with Client(make_server(desk)) as client:
                taken = [await _listed(client, root) for _ in range(_WARMUPS + fewer(LISTS, share))][_WARMUPS:]
    name = f"taskmaster_list of {TASKS} tasks in {len(TAGS)} tags, p95"
    return [Result(name=name, unit="ms", ours=quantiles(taken, n=20)[-1], limit=MOST_MS)]


async def _listed(client: Client, root: Path) -> float:
    begun = time.perf_counter()
    result = await client.call_tool("taskmaster_list", {"project": str(root), "limit": 100})
    assert not result.is_error, result.content
    return (time.perf_counter() - begun) * 1000


def _file() -> dict[str, Any]:
    """Tasks that depend on the one before, each third with subtasks, and with texts as long as Task Master's."""
    return {tag: {"tasks": [_task(number + 1) for number in range(TASKS // len(TAGS) + 1)]} for tag in TAGS}


def _task(number: int) -> dict[str, Any]:
    subtasks = [{"id": sub, "title": f"Part {sub}", "status": "pending"} for sub in range(1, 5)] if number % 3 else []
    return {
        "id": number,
        "title": f"Task {number}",
        "description": "What it is about. " * 8,
        "details": "How it is to be done, step by step. " * 40,
        "testStrategy": "How it is tried. " * 10,
        "status": "done" if number % 2 else "pending",
        "priority": "high",
        "dependencies": [str(number - 1)] if number > 1 else [],
        "subtasks": subtasks,
    }

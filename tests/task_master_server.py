"""One of our servers at work on a project: in a test, or as a program, which works when told to and then waits."""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.taskmaster import project
from vel_tutor_mcp.taskmaster.child import Child
from vel_tutor_mcp.taskmaster.items import Status
from vel_tutor_mcp.taskmaster.writing import Writer, Written


class TimedChild(Child):
    """Keeps from when to when each call was under way, by a clock that all processes share."""

    def __init__(self, command: str, made: project.Project, home: Path) -> None:
        super().__init__(command, made, home)
        self.calls: list[tuple[float, float]] = []

    async def call(self, tool: str, **arguments: str) -> dict[str, Any]:
        begun = time.monotonic()
        try:
            return await super().call(tool, **arguments)
        finally:
            self.calls.append((begun, time.monotonic()))


@dataclass
class Worked:
    """What came of a server's work: its items, what it could not write and why, what it found lost, by copy."""

    finished: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tries: list[int] = field(default_factory=list)

    def add(self, written: Written) -> None:
        self.tries.append(written.tries)
        if written.lost:
            self.lost[str(written.backup)] = written.lost


async def work(writer: Writer, server: str, tag: str, ids: list[str]) -> Worked:
    """Claim and finish each item, unless another was faster."""
    worked = Worked()
    for item_id in ids:
        run = f"{server}-{item_id}"
        try:
            worked.add(await writer.claim(tag, item_id, run))
            worked.add(await writer.finish(tag, item_id, Status.DONE, {"run_id": run, "output": run}))
            worked.finished.append(item_id)
        except Conflict as problem:
            worked.refused[item_id] = str(problem)
    return worked


async def main(command: str, root: str, home: str, server: str, tag: str, *ids: str) -> None:
    made = project.at(root)
    child = TimedChild(command, made, Path(home))
    await child.call("set_task_status", id=ids[0], tag=tag, status="pending")
    print("up", flush=True)  # noqa: T201 - who started it reads this
    sys.stdin.readline()
    worked = await work(Writer(made, child), server, tag, list(ids))
    print(json.dumps({"worked": asdict(worked), "calls": child.calls}), flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

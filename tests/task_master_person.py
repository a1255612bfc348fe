"""A person at work on a project, with a Task Master of their own: nothing of ours knows of it, and no lock of ours."""

import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from task_master import command
from waits import lapse

from vel_tutor_mcp.taskmaster.items import Item, Status

_TOOLS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("set_task_status", {"status": "done"}),
    ("update_task", {"metadata": json.dumps({"theirs": 1})}),
    ("add_task", {"description": "Theirs"}),
)
_LONGEST_PAUSE = 0.9


@dataclass(frozen=True)
class Update:
    """A call that was answered with yes, and from when to when it was under way."""

    tool: str
    item_id: str
    begun: float
    ended: float

    def is_in(self, items: Mapping[str, Item]) -> bool:
        """Whether it is in the file."""
        if self.tool == "add_task":
            return any(item.title == f"New {self.item_id}" for item in items.values())
        item = items[self.item_id]
        return item.status is Status.DONE if self.tool == "set_task_status" else item.metadata == {"theirs": 1}

    def met(self, calls: Iterable[tuple[float, float]]) -> bool:
        """Whether one of these calls was under way at the same time."""
        return any(begun < self.ended and ended > self.begun for begun, ended in calls)


class Person:
    """Somebody in a project, at a Task Master that may do everything; `watched` has its connections."""

    def __init__(self, client: Client, root: Path, watched: Path) -> None:
        self._client = client
        self._root = root
        self.watched = watched

    async def call(self, tool: str, **arguments: str) -> bool:
        """Whether Task Master said yes."""
        answer = await self._client.call_tool(tool, {"projectRoot": str(self._root), **arguments})
        return not answer.is_error

    async def updates(self, tag: str, ids: list[str]) -> list[Update]:
        """One after another, with pauses: a status, a note or a new item, in turn."""
        made = []
        pause = random.Random(8)
        for number, item_id in enumerate(ids):
            tool, arguments = _TOOLS[number % len(_TOOLS)]
            named = {"title": f"New {item_id}"} if tool == "add_task" else {"id": item_id}
            begun = time.monotonic()
            if await self.call(tool, tag=tag, **named, **arguments):
                made.append(Update(tool, item_id, begun, time.monotonic()))
            await lapse(pause.uniform(0, _LONGEST_PAUSE))
        return made


@asynccontextmanager
async def at_work(root: Path, watched: Path) -> AsyncIterator[Person]:
    """With Task Master's own defaults, a way to the network, and a model that refuses."""
    watched.mkdir()
    program, *arguments = command(watched).split()
    async with await asyncio.start_server(_refuse, "127.0.0.1", 0) as model:
        port = model.sockets[0].getsockname()[1]
        environment = {
            "HOME": str(watched),
            "LMSTUDIO_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "TASK_MASTER_TOOLS": ",".join(tool for tool, _ in _TOOLS),
            "TASK_MASTER_ALLOW_METADATA_UPDATES": "true",
        }
        parameters = StdioServerParameters(command=program, args=arguments, env=environment, cwd=root)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123, ASYNC230 - the SDK wants a file
            async with Client(stdio_client(parameters, errlog=nowhere), mode="legacy") as client:
                yield Person(client, root, watched)


async def _refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()

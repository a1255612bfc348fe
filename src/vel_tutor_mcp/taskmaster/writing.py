"""Writing to a project through Task Master: claim an item, later its result and status, and look whether they arrived.

Task Master says yes to writes that it then loses, and a person may be at work beside us. So each write is made alone,
from a fresh look at the file, with a copy of it kept, and its outcome is read from the file and nowhere else.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.taskmaster import keeping, reading
from vel_tutor_mcp.taskmaster.child import Child, Unsure
from vel_tutor_mcp.taskmaster.graph import Graph, Standing
from vel_tutor_mcp.taskmaster.items import Item, Status, Tag, named
from vel_tutor_mcp.taskmaster.project import Project, chosen

# Texts and whole numbers alone: a fraction comes back in another spelling.
Vel = Mapping[str, str | int]

KEY = "vel"
_TRIES = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """A write that arrived; `lost` is what was gone from the file afterwards, `backup` the file as it was before."""

    backup: Path
    tries: int
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """How an item is to be in the file: its status, and our part of its metadata, always sent whole."""

    tag: str
    item_id: str
    status: Status
    vel: Vel

    def arrived(self, item: Item) -> bool:
        return item.status is self.status and self.is_noted(item)

    def is_noted(self, item: Item) -> bool:
        return item.metadata.get(KEY) == dict(self.vel)

    def is_claimed(self, item: Item) -> bool:
        """Whether the item is the run's, and only the run has written to it since."""
        noted = item.metadata.get(KEY)
        mine = isinstance(noted, dict) and noted.get("run_id") == self.vel["run_id"]
        return mine and item.status in {Status.IN_PROGRESS, self.status}


class Writer:
    """Writes to one project."""

    def __init__(self, project: Project, child: Child) -> None:
        self._project = project
        self._child = child

    async def claim(self, tag: str, item_id: str, run_id: str) -> Written:
        """Take a ready item for the run: from now on it is in progress. Once more by the same run changes nothing.

        Raises:
            Conflict: it is not ready, or somebody else's; says why. NotFound, Corrupt, Unavailable: see `finish`.
        """
        wish = Wish(tag, item_id, Status.IN_PROGRESS, {"run_id": run_id})
        async with keeping.alone(self._project):
            found = await in_thread(self._project.tags)
            if not wish.arrived(_item(found, wish)):
                _check_ready(chosen(found, tag, None), item_id)
            return await self._write(wish)

    async def finish(self, tag: str, item_id: str, status: Status, vel: Vel) -> Written:
        """Put down what came of an item that the run of `vel["run_id"]` has claimed: first `vel`, then the status.

        Raises:
            Conflict: somebody else has it now, or the write did not arrive. NotFound: there is no such item or tag.
            Corrupt: the file cannot be read; nothing was written. Unavailable: another process writes all the time.
        """
        wish = Wish(tag, item_id, status, vel)
        async with keeping.alone(self._project):
            item = _item(await in_thread(self._project.tags), wish)
            if not wish.is_claimed(item):
                raise Conflict(
                    f"The item {item_id} is not this run's; somebody changed it meanwhile; look at it with "
                    "taskmaster_list and decide."
                )
            return await self._write(wish)

    async def _write(self, wish: Wish) -> Written:
        content = await in_thread(self._project.content)
        before: Mapping[str, Tag] = reading.read(content)
        found = before
        backup = await in_thread(lambda: keeping.back_up(self._project, content))
        for tried in range(1, _TRIES + 1):
            await self._send(wish, _item(found, wish))
            found = await in_thread(self._project.tags)
            if wish.arrived(_item(found, wish)):
                return Written(backup, tried, keeping.losses(before, found))
        raise Conflict(
            f"The item {wish.item_id} could not be written; {_TRIES} tries left no trace in tasks.json; the file as it "
            f"was before is {backup.relative_to(self._project.root).as_posix()}; try again."
        )

    async def _send(self, wish: Wish, item: Item) -> None:
        """What goes wrong here is seen in the file, and only there."""
        try:
            for tool, argument in _calls(wish, item):
                await self._child.call(tool, id=wish.item_id, tag=wish.tag, **argument)
        except (Unsure, InputError) as problem:
            _log.warning("A write of %s may not have arrived; %s", wish.item_id, problem)


def _calls(wish: Wish, item: Item) -> Iterator[tuple[str, dict[str, str]]]:
    """First the metadata: Task Master silently drops that of a task that is done."""
    set_status, note = "set_task_status", "update_task" if item.parent is None else "update_subtask"
    status = item.status
    if not wish.is_noted(item):
        if status is Status.DONE and item.parent is None:
            status = Status.IN_PROGRESS
            yield set_status, {"status": status.value}
        yield note, {"metadata": json.dumps({KEY: dict(wish.vel)})}
    if status is not wish.status:
        yield set_status, {"status": wish.status.value}


def _item(tags: Mapping[str, Tag], wish: Wish) -> Item:
    found = chosen(tags, wish.tag, None).items.get(wish.item_id)
    if found is None:
        raise NotFound(f"There is no item {wish.item_id} in this tag; it may have been removed; see taskmaster_list.")
    return found


def _check_ready(tag: Tag, item_id: str) -> None:
    graph = Graph(tag)
    if graph.standing(item_id) is Standing.READY:
        return
    waits_for = graph.waits_for(item_id)
    why = f"it waits for {named(waits_for)}" if waits_for else f"it is {graph.standing(item_id)}"
    raise Conflict(f"The item {item_id} cannot be begun; {why}; choose one that taskmaster_list calls ready.")

"""Writing to a project through Task Master: claim an item, later its result and status, and look whether they arrived.

Task Master says yes to writes that it then loses, and a person may be at work beside us. So each write is made alone,
from a fresh look at the file, with a copy of it kept, and its outcome is read from the file and nowhere else: at once,
and again when whoever had read the file before it has written too.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
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
# Raises what speaks against a write.
Check = Callable[[Mapping[str, Tag]], None]

KEY = "vel"
# Whose an item is.
CLAIM = ("run_id", "step_id")
_TRIES = 3
# A Task Master that finds its lock taken writes what it had read 0.1 s later, and then 0.3 s later.
_SETTLE_SECONDS = 0.4

_log = logging.getLogger(__name__)


class NotArrived(Conflict):
    """A write left no trace in the file, however often it was made; try again."""


@dataclass(frozen=True, slots=True)
class Written:
    """A write that arrived.

    `lost` is what was gone from the file afterwards, `backup` the file as it was before: the newest copies are kept,
    and those that had what was lost.
    """

    backup: Path
    tries: int
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Before:
    """What was in the file, and where a copy of it is."""

    content: bytes
    tags: Mapping[str, Tag]
    backup: Path


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

    def stands(self, item: Item, before: Item) -> bool:
        """Whether the item is so, or else by somebody's will: a stale write takes back the note or the status."""
        ours = {Status.IN_PROGRESS, before.status} - {self.status}
        return self.is_noted(item) and item.status not in ours

    def is_claimed(self, item: Item) -> bool:
        """Whether the item is the run's and only the run has written to it, or nobody's: our claim was undone."""
        if self._is_mine(item):
            return item.status in {Status.IN_PROGRESS, self.status}
        return item.status is Status.PENDING and self.status is not Status.PENDING  # which would give back nothing

    def is_free(self, item: Item, before: Item) -> bool:
        """Whether none but us, and stale writes, have touched the item since."""
        same = item.metadata.get(KEY) == before.metadata.get(KEY)
        known = same or self._is_mine(item) or item.status is Status.PENDING
        return known and item.status in {Status.PENDING, Status.IN_PROGRESS, self.status}

    def _is_mine(self, item: Item) -> bool:
        noted = item.metadata.get(KEY)
        return isinstance(noted, dict) and all(noted.get(key) == self.vel.get(key) for key in CLAIM)


def claim_of(tag: str, item_id: str, run_id: str, step_id: str = "") -> Wish:
    """How an item is in the file that a run, or a step of it, has claimed and done nothing more to."""
    return Wish(tag, item_id, Status.IN_PROGRESS, {"run_id": run_id} | ({"step_id": step_id} if step_id else {}))


class Writer:
    """Writes to one project."""

    def __init__(self, project: Project, child: Child) -> None:
        self._project = project
        self._child = child

    async def claim(self, tag: str, item_id: str, run_id: str, step_id: str = "") -> Written:
        """Take a ready item for the run, or a step of it: from now on it is in progress. Once more changes nothing.

        Raises:
            Conflict: it is not ready, or somebody else's; says why. NotFound, Corrupt, Unavailable: see `finish`.
        """
        wish = claim_of(tag, item_id, run_id, step_id)

        def check(tags: Mapping[str, Tag]) -> None:
            if not wish.arrived(_item(tags, wish)):
                _check_ready(chosen(tags, tag, None), item_id)

        return await self._fulfil(wish, check)

    async def finish(self, tag: str, item_id: str, status: Status, vel: Vel) -> Written:
        """Put down what came of an item that the run and step of `vel` have claimed: first `vel`, then the status.

        Once more changes nothing, but makes good what somebody's stale write has taken back since.

        Raises:
            Conflict: somebody else has it now; as NotArrived: the write did not arrive. NotFound: no such item or tag.
            Corrupt: the file cannot be read; nothing was written. Unavailable: another process writes all the time.
        """
        wish = Wish(tag, item_id, status, vel)
        return await self._fulfil(wish, lambda tags: _check_own(wish, wish.is_claimed(_item(tags, wish))))

    async def _fulfil(self, wish: Wish, check: Check) -> Written:
        """Write until it stays."""
        first: _Before | None = None
        for tried in range(1, _TRIES + 1):
            async with keeping.alone(self._project):
                before = await in_thread(partial(self._before, check))
                # What was there before our first write is what later tries, and losses, are held against.
                if first is None:
                    first, check = before, partial(_check_free, wish, _item(before.tags, wish))
                await self._send(wish, _item(before.tags, wish))
            after = await self._settled(wish)
            written = await in_thread(partial(_told, first, tried, after))
            item = _found(after, wish)
            if item is None:
                raise NotFound(
                    f"The item {wish.item_id} is gone; it was there until it was written to; if nobody removed it, "
                    f"restore it from {self._place(written.backup)}."
                )
            if wish.stands(item, _item(before.tags, wish)):
                return written
        raise NotArrived(
            f"The item {wish.item_id} could not be written; {_TRIES} tries left no trace in tasks.json; the file as it "
            f"was before is {self._place(written.backup)}; try again."
        )

    def _place(self, backup: Path) -> str:
        return backup.relative_to(self._project.root).as_posix()

    def _before(self, check: Check) -> _Before:
        content = self._project.content()
        tags = reading.read(content)
        check(tags)
        return _Before(content, tags, keeping.back_up(self._project, content))

    async def _settled(self, wish: Wish) -> Mapping[str, Tag]:
        """What is in the file after a write: at once if it did not arrive, else when stale writes have come too."""
        found = await in_thread(self._project.tags)
        item = _found(found, wish)
        if item is not None and wish.arrived(item):
            await asyncio.sleep(_SETTLE_SECONDS)
            found = await in_thread(self._project.tags)
        return found

    async def _send(self, wish: Wish, item: Item) -> None:
        """What goes wrong here is seen in the file, and only there."""
        try:
            for tool, argument in _calls(wish, item):
                await self._child.call(tool, id=wish.item_id, tag=wish.tag, **argument)
        except (Unsure, InputError) as problem:
            _log.warning("A write of %s may not have arrived; %s", wish.item_id, problem)


def _told(before: _Before, tries: int, after: Mapping[str, Tag]) -> Written:
    lost = keeping.losses(before.tags, after)
    backup = keeping.keep_for_good(before.backup, before.content) if lost else before.backup
    return Written(backup, tries, lost)


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


def _found(tags: Mapping[str, Tag], wish: Wish) -> Item | None:
    return tags[wish.tag].items.get(wish.item_id) if wish.tag in tags else None


def _check_ready(tag: Tag, item_id: str) -> None:
    graph = Graph(tag)
    if graph.standing(item_id) is Standing.READY:
        return
    waits_for = graph.waits_for(item_id)
    why = f"it waits for {named(waits_for)}" if waits_for else f"it is {graph.standing(item_id)}"
    raise Conflict(f"The item {item_id} cannot be begun; {why}; choose one that taskmaster_list calls ready.")


def _check_free(wish: Wish, before: Item, tags: Mapping[str, Tag]) -> None:
    _check_own(wish, wish.is_free(_item(tags, wish), before))


def _check_own(wish: Wish, is_own: bool) -> None:
    if not is_own:
        raise Conflict(
            f"The item {wish.item_id} is not this run's; somebody changed it meanwhile; look at it with "
            "taskmaster_list and decide."
        )

"""What may be begun, what waits and for what, and what is wrong with the dependencies. (Pure.)

Task Master's own check always finds them valid. An item waits for its dependencies; a task waits for its subtasks too,
and a subtask for whatever its task depends on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from vel_tutor_mcp.taskmaster.items import Importance, Item, Status, Tag, named, natural

# Each is found by sorting the whole tag anew.
_MOST_CYCLES = 10


class Standing(StrEnum):
    """Where an item stands, in the order in which people ask for it."""

    READY = "ready"
    ACTIVE = "active"
    BLOCKED = "blocked"
    DONE = "done"
    ASIDE = "aside"


_OF_STATUS: Mapping[Status | None, Standing] = {
    Status.IN_PROGRESS: Standing.ACTIVE,
    Status.REVIEW: Standing.ACTIVE,
    Status.BLOCKED: Standing.BLOCKED,
    None: Standing.BLOCKED,
    Status.DONE: Standing.DONE,
    Status.DEFERRED: Standing.ASIDE,
    Status.CANCELLED: Standing.ASIDE,
}


class FaultKind(StrEnum):
    MISSING = "missing_dependency"
    CYCLE = "cycle"
    TWICE = "duplicate_id"
    STATUS = "unknown_status"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with the tag; `ids` are the items that it is about."""

    kind: FaultKind
    ids: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Graph:
    """How the items of a tag depend on one another."""

    tag: Tag

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """What each item waits for, settled or not; there may be no such item."""
        return {item.id: tuple(dict.fromkeys(self._needs(item))) for item in self.tag.items.values()}

    def _needs(self, item: Item) -> Iterator[str]:
        yield from item.dependencies
        yield from item.subtasks
        if item.parent is not None:
            yield from self.tag.items[item.parent].dependencies

    def waits_for(self, item_id: str) -> tuple[str, ...]:
        """What is still to be settled before the item may be begun."""
        return tuple(need for need in self.needs[item_id] if not self._is_settled(need))

    def _is_settled(self, item_id: str) -> bool:
        item = self.tag.items.get(item_id)
        # Which of two items of one id was meant, nobody can say.
        return item is not None and item.settled and item_id not in self.tag.twice

    def standing(self, item_id: str) -> Standing:
        item = self.tag.items[item_id]
        if item.status is not Status.PENDING:
            return _OF_STATUS[item.status]
        stopped = item_id in self.tag.twice or self._is_set_aside(item)
        return Standing.BLOCKED if stopped or self.waits_for(item_id) else Standing.READY

    def _is_set_aside(self, item: Item) -> bool:
        """Whether its task is not to be worked on, or has been done without it."""
        parent = self.tag.items.get(item.parent) if item.parent is not None else None
        return parent is not None and parent.status not in {Status.PENDING, Status.IN_PROGRESS}

    @cached_property
    def standings(self) -> Mapping[str, Standing]:
        return {item_id: self.standing(item_id) for item_id in self.tag.order}

    @cached_property
    def ready(self) -> tuple[str, ...]:
        """What may be begun, best first: what belongs to a task in progress, then by importance, then as counted."""
        found = [item_id for item_id, standing in self.standings.items() if standing is Standing.READY]
        return tuple(sorted(found, key=self._urgency))

    def _urgency(self, item_id: str) -> tuple[bool, int, tuple[tuple[int, int, str], ...]]:
        item = self.tag.items[item_id]
        parent = self.tag.items.get(item.parent) if item.parent is not None else None
        goes_on = parent is not None and parent.status is Status.IN_PROGRESS
        return not goes_on, list(Importance).index((parent or item).importance), natural(item_id)

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        return (*self._twice(), *self._unknown_statuses(), *self._missing(), *self._cycles())

    def _twice(self) -> Iterator[Fault]:
        for item_id in sorted(self.tag.twice, key=natural):
            yield Fault(FaultKind.TWICE, (item_id,), f"more than one item has the id {item_id}")

    def _unknown_statuses(self) -> Iterator[Fault]:
        ids = tuple(item_id for item_id in self.tag.order if self.tag.items[item_id].status is None)
        if ids:
            text = f"Task Master does not know the status of {named(ids)}, and reads nothing of this tag until it does"
            yield Fault(FaultKind.STATUS, ids, text)

    def _missing(self) -> Iterator[Fault]:
        for item_id in self.tag.order:
            for need in self.tag.items[item_id].dependencies:
                if need not in self.tag.items:
                    yield Fault(FaultKind.MISSING, (item_id,), f"{item_id} depends on {need}, which does not exist")

    def _cycles(self) -> Iterator[Fault]:
        """Rings of items that wait for one another, the first few; each is told of and then cut to find the next."""
        left = {item_id: dict.fromkeys(self.needs[item_id]) for item_id in self.tag.order}
        for _ in range(_MOST_CYCLES):
            try:
                TopologicalSorter(left).prepare()
            except CycleError as problem:
                ring = _turned(problem.args[1][::-1])
                yield Fault(FaultKind.CYCLE, ring[:-1], f"a cycle: {' -> '.join(ring)}, each waits for the next")
                del left[ring[0]][ring[1]]
            else:
                return


def _turned(ring: list[str]) -> tuple[str, ...]:
    """The ring, whose first and last are the same, from its lowest id."""
    open_ring = ring[:-1]
    at = open_ring.index(min(open_ring, key=natural))
    turned = open_ring[at:] + open_ring[:at]
    return (*turned, turned[0])

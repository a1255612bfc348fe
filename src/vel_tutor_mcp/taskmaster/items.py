"""What a Task Master project holds: tags of items, each a task or a subtask with an id such as `1` or `1.2`. (Pure.)"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

_NUMBER = re.compile(r"[0-9]+")


class Status(StrEnum):
    """The statuses that Task Master knows; a file may hold others, which its own tools then refuse to read."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    DONE = "done"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"
    BLOCKED = "blocked"
    REVIEW = "review"


class Importance(StrEnum):
    """Task Master's priorities, the highest first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


# Whoever depends on an item waits for it no longer.
SETTLED = frozenset({Status.DONE, Status.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A task or a subtask.

    Attributes:
        status: None where the file has one that Task Master does not know.
        dependencies: ids of this tag, as the file names them: there may be no such item.
        subtasks: their ids; a subtask has none.
        parent: the task's id, None for a task.
        metadata: what others keep there, us among them; numbers with a fraction are texts.
    """

    id: str
    title: str = ""
    description: str = ""
    details: str = ""
    test_strategy: str = ""
    status: Status | None = Status.PENDING
    importance: Importance = Importance.MEDIUM
    dependencies: tuple[str, ...] = ()
    subtasks: tuple[str, ...] = ()
    parent: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return self.status in SETTLED


@dataclass(frozen=True)
class Tag:
    """The items of one tag by id, in the order of the file, a task before its subtasks.

    `twice` are the ids that more than one item has: the first of each is in `items`.
    """

    name: str
    items: Mapping[str, Item]
    twice: frozenset[str] = frozenset()

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The ids as people count: 2 before 10, and 1.2 behind 1."""
        return tuple(sorted(self.items, key=natural))


def natural(item_id: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts ids as people count."""
    return tuple((0, int(part), "") if _NUMBER.fullmatch(part) else (1, 0, part) for part in item_id.split("."))


def named(ids: Iterable[str], most: int = 8) -> str:
    """The ids in words, not too many of them."""
    listed = list(ids)
    more = [f"and {len(listed) - most} more"] if len(listed) > most else []
    return ", ".join(listed[:most] + more)

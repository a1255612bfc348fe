"""Whose turn it is, pure: free places go to the tasks that wait, fairly between their owners."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from vel_tutor_mcp.models import Work


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task that waits, `since` then; a higher `rank` comes first. Some wait for a place at a `provider`."""

    work: Work
    owner_id: str
    rank: int
    since: datetime
    provider: str | None = None


def in_turn(
    waiting: Iterable[Waiting],
    in_progress: Mapping[str, int],
    *,
    room: int,
    of_owner: int,
    places: Mapping[str, int],
) -> list[Waiting]:
    """Hand out up to `room` places one by one, each to the owner who has the fewest tasks `in_progress` by then.

    Among equals the rank and age of their first task decide, as within an owner. No owner gets more than `of_owner`,
    counting what is in progress; a provider in `places` gets no more tasks than are free there.
    """
    queues: defaultdict[str, list[Waiting]] = defaultdict(list)
    for task in sorted(waiting, key=_by_rank_then_age):
        queues[task.owner_id].append(task)
    busy, free = Counter(in_progress), dict(places)
    chosen: list[Waiting] = []
    while len(chosen) < room:
        heads = [_first(queue, free) for owner_id, queue in queues.items() if busy[owner_id] < of_owner]
        able = [head for head in heads if head is not None]
        if not able:
            break
        task = min(able, key=lambda head: (busy[head.owner_id], *_by_rank_then_age(head)))
        queues[task.owner_id].remove(task)
        busy[task.owner_id] += 1
        if task.provider is not None and task.provider in free:
            free[task.provider] -= 1
        chosen.append(task)
    return chosen


def _by_rank_then_age(task: Waiting) -> tuple[int, datetime]:
    return -task.rank, task.since


def _first(queue: Iterable[Waiting], free: Mapping[str, int]) -> Waiting | None:
    # A provider without limits is not in `free`: it always has a place.
    return next((task for task in queue if task.provider is None or free.get(task.provider, 1) > 0), None)

"""An errand is an item that a step of a run has taken on: what is taken on next, and how it is left. (Pure.)"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vel_tutor_mcp.errors import Conflict, NotFound
from vel_tutor_mcp.models import Task, TaskError, TaskStatus
from vel_tutor_mcp.taskmaster.graph import FaultKind, Graph, Standing
from vel_tutor_mcp.taskmaster.items import Status, named, natural

_CANCELLED = TaskError(code="cancelled", message="Its task was cancelled.")
_CUT = TaskError(code="cut", message="The answer was cut; the history of its task says by what.")
_NO_VERDICT = TaskError(code="no_verdict", message="The reviewer's answer was no verdict.")


class State(StrEnum):
    """How far an errand is. `CLAIMING` and `WRITING` are the bridge's part, the two between the agents'."""

    CLAIMING = "claiming"
    WORKING = "working"
    REVIEWING = "reviewing"
    WRITING = "writing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """An item in the hands of a step.

    Attributes:
        number: counts the step's errands from 0: its tasks are the step's items `work` and `review`.
        outcome: how the item is left in tasks.json, None where that is not decided yet, or it was never taken.
        error: why it is not done.
        lost: what was gone from tasks.json after our write, in words; `backup` is the file as it was before.
    """

    run_id: str
    step_id: str
    item_id: str
    number: int
    title: str
    state: State = State.CLAIMING
    outcome: Status | None = None
    error: TaskError | None = None
    lost: Sequence[str] = ()
    backup: str | None = None

    @property
    def work(self) -> int:
        return 2 * self.number

    @property
    def review(self) -> int:
        return 2 * self.number + 1

    @property
    def succeeded(self) -> bool:
        """Whether there is a result, in tasks.json or on its way there."""
        return self.outcome in {Status.DONE, Status.REVIEW}


Errands = Mapping[str, Errand]


def number_of(item: int) -> int:
    """The number of the errand that a step's task with this item belongs to."""
    return item // 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a tag is to be done: these items with their subtasks, or all that is and becomes ready, or the next."""

    ids: tuple[str, ...] | None
    all_ready: bool
    parallel: int


@dataclass(frozen=True, slots=True)
class Due:
    """What follows: items to take on now, and how many there are in all as far as is known.

    `left` are those that were asked for and cannot be begun; only where nothing is going on is that final.
    """

    take: tuple[str, ...]
    left: tuple[str, ...]
    total: int


def due(graph: Graph, asked: Asked, errands: Errands, claimed: Sequence[str] = ()) -> Due:
    """What is to be taken on, given what was taken on before.

    `claimed` is what the step has claimed: those of it that are nobody's errand were given up while nothing could be
    written, and are begun again, before all others.
    """
    going_on = sum(errand.state is not State.ENDED for errand in errands.values())
    wanted = _wanted(graph, asked, errands, claimed)
    free = [item_id for item_id in (*claimed, *graph.ready) if item_id in wanted]
    take = tuple(free[: max(0, asked.parallel - going_on)])
    left = tuple(sorted(wanted - set(take), key=natural))
    return Due(take, left, len(errands) + len(wanted))


def _wanted(graph: Graph, asked: Asked, errands: Errands, claimed: Sequence[str]) -> set[str]:
    """What is asked for, not settled, and nobody's errand yet."""
    if asked.ids is not None:
        wanted = set(_with_subtasks(graph, asked.ids))
    elif asked.all_ready:
        pending = {item_id for item_id in graph.tag.order if graph.tag.items[item_id].status is Status.PENDING}
        wanted = pending.union(claimed)
    else:
        wanted = set() if errands else set((*claimed, *graph.ready)[:1])
    return {item_id for item_id in wanted - errands.keys() if not graph.tag.items[item_id].settled}


def _with_subtasks(graph: Graph, ids: Iterable[str]) -> Iterator[str]:
    for item_id in ids:
        if item_id in graph.tag.items:  # it may have been removed since
            yield item_id
            yield from graph.tag.items[item_id].subtasks


def check_ready(graph: Graph, asked: Asked) -> None:
    """Refuse where nothing could be begun now.

    Raises:
        NotFound, Conflict: see `check`; or nothing is ready, and says why.
    """
    check(graph, asked)
    if not due(graph, asked, {}).take:
        raise Conflict(f"Nothing can be begun; {_why_none(graph, asked)}; choose what taskmaster_list calls ready.")


def check(graph: Graph, asked: Asked) -> None:
    """Refuse what can never be begun.

    Raises:
        NotFound: there is no such item. Conflict: Task Master reads nothing of this tag.
    """
    for fault in graph.faults:
        if fault.kind is FaultKind.STATUS:
            raise Conflict(f"Nothing of this tag can be written; {fault.text}; correct it with Task Master.")
    missing = [item_id for item_id in asked.ids or () if item_id not in graph.tag.items]
    if missing:
        raise NotFound(f"There is no item {named(missing)} in this tag; it may have been removed; see taskmaster_list.")


def _why_none(graph: Graph, asked: Asked) -> str:
    for item_id in asked.ids or ():
        waits_for, standing = graph.waits_for(item_id), graph.standing(item_id)
        if standing is Standing.BLOCKED and waits_for:
            return f"{item_id} waits for {named(waits_for)}"
        return f"{item_id} is {graph.tag.items[item_id].status or standing}"
    return "nothing is ready"


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows the end of an errand's task: a review, or that the item is left like this, and why not done."""

    state: State
    outcome: Status | None = None
    error: TaskError | None = None


def after_work(task: Task, *, reviewed: bool) -> Turn:
    """A result is done, reviewed first where that is wished; a cut one is for a person; without one it stays to do."""
    if task.status is not TaskStatus.COMPLETED:
        return Turn(State.WRITING, Status.PENDING, task.error or _CANCELLED)
    if task.partial:
        return Turn(State.WRITING, Status.REVIEW, _CUT)
    return Turn(State.REVIEWING) if reviewed else Turn(State.WRITING, Status.DONE)


def after_review(task: Task, verdict: Any) -> Turn:
    """What is approved is done; all else waits for a person's look, with what the reviewer said."""
    if task.status is not TaskStatus.COMPLETED:
        return Turn(State.WRITING, Status.REVIEW, task.error or _CANCELLED)
    if not isinstance(verdict, dict) or not isinstance(verdict.get("approved"), bool):
        return Turn(State.WRITING, Status.REVIEW, _NO_VERDICT)
    if verdict["approved"]:
        return Turn(State.WRITING, Status.DONE)
    why = str(verdict.get("why") or "It does not say why.")
    return Turn(State.WRITING, Status.REVIEW, TaskError(code="not_approved", message=f"The reviewer: {why}"))


def vel_of(errand: Errand, result: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """What is written into the item's metadata: texts and whole numbers alone. `result` is what there is of one."""
    told = {"run_id": errand.run_id, "step_id": errand.step_id, **result}
    if errand.error is not None:
        told["error"] = errand.error.message
    return {name: value for name, value in told.items() if value is not None}


def told(errand: Errand, task_ids: Mapping[int, str], costs: Mapping[str, int]) -> dict[str, Any]:
    """The errand as its step's output has it. `task_ids` are by item, `costs` in nano-USD by task."""
    tasks = {name: task_ids.get(item) for name, item in (("task", errand.work), ("review_task", errand.review))}
    cost = sum(costs.get(task_id, 0) for task_id in tasks.values() if task_id is not None)
    return {
        "id": errand.item_id,
        "title": errand.title,
        "status": errand.outcome.value if errand.outcome else None,
        **tasks,
        "cost_usd": cost / 10**9,
        "error": {"code": errand.error.code, "message": errand.error.message} if errand.error else None,
        "lost": list(errand.lost),
        "backup": errand.backup,
    }


def output_of(rows: Sequence[dict[str, Any]], left: Sequence[str]) -> dict[str, Any]:
    """What the step gives: each errand, how many there are of each kind, and what could not be begun."""
    count = {status: sum(row["status"] == status for row in rows) for status in (Status.DONE, Status.REVIEW)}
    done, review = count[Status.DONE], count[Status.REVIEW]
    return {
        "items": list(rows),
        "done": done,
        "review": review,
        "failed": len(rows) - done - review,
        "left": list(left),
    }

"""What Task Master's own AI tools are asked for, and what of their outcome goes into the project. (Pure.)

They work in a private copy, so nothing of it is trusted: only what was asked for is taken out of it, and only what
leaves the project's tasks as sound as they were.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.splicing import replaced
from vel_tutor_mcp.taskmaster import reading
from vel_tutor_mcp.taskmaster.graph import Graph
from vel_tutor_mcp.taskmaster.items import Status, Tag
from vel_tutor_mcp.taskmaster.writing import KEY

_PLAN = "plan"
_EMPTY = b"{}"


class Action(StrEnum):
    PARSE_PRD = "parse_prd"
    EXPAND = "expand"
    ANALYZE = "analyze"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is wanted. `target` is the PRD's path in the project or the task's id, `mark` is on all that comes of it."""

    action: Action
    tag: str
    target: str | None
    count: int | None
    mark: str


def check(content: bytes | None, plan: Plan) -> None:
    """Refuse what could never be merged into this `tasks.json`, before a model is paid for it.

    Raises:
        Conflict: there is already what the plan would make, no room for it, or nothing to make it from. InputError:
            there is no such task. Corrupt: see `reading.read`.
    """
    tags = reading.read(content or _EMPTY)
    if plan.action is Action.PARSE_PRD:
        _check_room(tags, reading.parsed(content or _EMPTY), plan.tag)
        return
    found = tag_of(tags, plan.tag)
    if plan.action is Action.EXPAND:
        _check_expandable(found, plan.target)


def _check_room(tags: Mapping[str, Tag], raw: Mapping[str, Any], name: str) -> None:
    if isinstance(raw.get("tasks"), list):
        raise Conflict(
            "The project's tasks.json is of before there were tags; a PRD is parsed into a tag; let Task Master open "
            "it once, which brings it up to date."
        )
    if name in tags and tags[name].items:
        raise Conflict(
            f"The tag {name} has tasks already; a PRD is parsed into an empty tag, so that nothing is lost; name "
            "another tag, which is then made."
        )
    if not isinstance(raw.get(name, {}), dict):
        raise Conflict(
            f"The tag {name} cannot be made; in the project's tasks.json {name} is no tag but something else, which is "
            "not replaced; name another tag."
        )


def tag_of(tags: Mapping[str, Tag], name: str) -> Tag:
    """The tag, with something in it.

    Raises:
        Conflict: there is none.
    """
    if name not in tags or not tags[name].items:
        raise Conflict(f"The tag {name} has no tasks; there is nothing to plan from; name a tag that has some.")
    return tags[name]


def _check_expandable(tag: Tag, target: str | None) -> None:
    item = tag.items.get(target or "")
    if item is None or item.parent is not None:
        raise InputError(
            "There is no such task in this tag; a task with subtasks yet to come is expanded, by an id such as 3; see "
            "taskmaster_list."
        )
    if item.id in tag.twice:
        raise Conflict(
            f"The task {item.id} cannot be expanded; more than one item has the id {item.id}; give each an id of its "
            "own in the project's tasks.json."
        )
    if item.subtasks:
        raise Conflict(
            f"The task {item.id} has subtasks already; they are not replaced; remove them with Task Master first."
        )


def part_for(content: bytes | None, plan: Plan) -> bytes:
    """The `tasks.json` that Task Master is given: of one tag alone, since it takes from others too."""
    tasks = [] if plan.action is Action.PARSE_PRD else reading.lists(content or _EMPTY)[plan.tag]
    return json.dumps({plan.tag: {"tasks": tasks, "metadata": {}}}).encode()


def merged(content: bytes | None, made: bytes, plan: Plan) -> tuple[bytes, tuple[str, ...]]:
    """The project's `tasks.json` as it is now with what was made in it, and the ids of that.

    Raises:
        InputError, Conflict: see `check`; or what was made is not sound: nothing of it is to be written.
    """
    check(content, plan)
    before = reading.read(content or _EMPTY)
    text = (content or _EMPTY).decode()
    # A model may have written half of a character, as an escape: UTF-8 has no bytes for it.
    changed = _spliced(text, _new(made, plan), plan).encode(errors="replace")
    after = reading.read(changed)
    _refuse_faults(before, after, plan)
    ids = marked(after, plan)
    if not ids:
        raise unsound("it made nothing")
    return changed, ids


def marked(tags: Mapping[str, Tag], plan: Plan) -> tuple[str, ...]:
    """The ids of what was made of this very plan."""
    tag = tags.get(plan.tag)
    if tag is None:
        return ()
    return tuple(item_id for item_id in tag.order if tag.items[item_id].metadata.get(KEY) == {_PLAN: plan.mark})


def _new(made: bytes, plan: Plan) -> list[dict[str, Any]]:
    """What Task Master made, each as it may begin: a status or a mark of its own would be the model's word."""
    tasks = reading.lists(made).get(plan.tag, [])
    if plan.action is Action.EXPAND:
        (place,) = _places(tasks, plan.target)
        tasks = tasks[place].get("subtasks") or []
    own = {"status": Status.PENDING.value, "metadata": {KEY: {_PLAN: plan.mark}}}
    if not all(isinstance(task, dict) for task in tasks):
        raise unsound("it is no list of tasks")
    return [task | own for task in tasks]


def _places(tasks: list[Any], target: str | None) -> list[int]:
    found = [at for at, task in enumerate(tasks) if isinstance(task, dict) and reading.normal(task.get("id")) == target]
    if len(found) != 1:
        raise unsound("the task is gone from it, or there more than once")
    return found


def _spliced(text: str, new: list[dict[str, Any]], plan: Plan) -> str:
    # Some editors begin a file with a byte order mark, which is no JSON.
    raw = json.loads(text.removeprefix("\ufeff"))
    if plan.action is Action.EXPAND:
        is_bare = isinstance(raw.get("tasks"), list)  # a file of before there were tags
        where = ["tasks"] if is_bare and plan.tag == reading.LEGACY_TAG else [plan.tag, "tasks"]
        (place,) = _places(reading.lists(text.encode())[plan.tag], plan.target)
        return replaced(text, [*where, place, "subtasks"], new)
    if plan.tag in raw:
        return replaced(text, [plan.tag, "tasks"], new)
    return replaced(text, [plan.tag], {"tasks": new, "metadata": {"description": "From a PRD"}})


def _refuse_faults(before: Mapping[str, Tag], after: Mapping[str, Tag], plan: Plan) -> None:
    # What was wrong before is the project's own: only new faults speak against what was made.
    known = {fault.text for fault in Graph(before[plan.tag]).faults} if plan.tag in before else set()
    for fault in Graph(after[plan.tag]).faults:
        if fault.text not in known:
            raise unsound(fault.text)


def report_of(content: bytes, tag: Tag) -> int:
    """How many tasks the complexity report is about.

    Raises:
        Conflict: it is none, or of other tasks.
    """
    try:
        rows = json.loads(content)["complexityAnalysis"]
        ids = {reading.normal(row["taskId"]) for row in rows}
        scores = [float(row["complexityScore"]) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise unsound("its report cannot be read") from None
    if not ids or not ids <= set(tag.items):
        raise unsound("its report is not of these tasks")
    return len(scores)


def unsound(why: str) -> Conflict:
    """The error that says `why` what was made is not taken."""
    return Conflict(f"What Task Master made was not taken; {why}; the project is as it was, so try again.")

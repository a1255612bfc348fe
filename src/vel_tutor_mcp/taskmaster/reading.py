"""From the bytes of a `tasks.json` to tags of items, in all the forms that Task Master has left behind. (Pure.)

Ids flip between numbers and texts, subtasks count from 1 within their task and name siblings by number alone, and files
of before there were tags hold one bare list.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.taskmaster.items import Importance, Item, Status, Tag

MAX_BYTES = 20_000_000
LEGACY_TAG = "master"
_ID = re.compile(r"([A-Za-z0-9_-]{1,60})(?:\.([A-Za-z0-9_-]{1,60}))?")
_DIGITS = re.compile(r"[0-9]{1,18}")
_TAG_SHOWN = 200


class Corrupt(InputError):
    """The project's tasks.json cannot be read; correct it, or restore a backup."""


def corrupt(why: str) -> Corrupt:
    """The error that says `why` the file cannot be read."""
    return Corrupt(
        f"The project's tasks.json cannot be read; {why}; correct it, or restore a backup, of which there may be some "
        "in .taskmaster/vel/backups."
    )


def read(content: bytes) -> dict[str, Tag]:
    """The tags by name, in the order of the file.

    Raises:
        Corrupt: it is no tasks.json, or too large; says why and where.
    """
    return {name: _tag(name, tasks) for name, tasks in lists(content).items()}


def lists(content: bytes) -> dict[str, list[Any]]:
    """The list of tasks of each tag, as the file has it.

    Raises:
        Corrupt: see `read`.
    """
    return _lists(parsed(content))


def parsed(content: bytes) -> dict[str, Any]:
    """The file's object, as it has it, but for numbers with a fraction, which are texts.

    Raises:
        Corrupt: it is none, or too large.
    """
    if len(content) > MAX_BYTES:
        raise corrupt(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        # A dependency 1.10 is subtask 10 of task 1, and not the number 1.1.
        raw = json.loads(content.decode("utf-8-sig"), parse_float=str, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise corrupt("it is not UTF-8") from None
    except json.JSONDecodeError as problem:
        raise corrupt(f"it is no JSON from line {problem.lineno}, column {problem.colno}") from None
    except (ValueError, RecursionError):
        raise corrupt("it holds a number that is none, or is nested too deeply") from None
    if not isinstance(raw, dict):
        raise corrupt("it holds no object")
    return raw


def _no_constant(_: str) -> None:
    raise ValueError


def _lists(raw: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The list of tasks of each tag; a bare list is that of the first tag."""
    tags = {name: value for name, value in raw.items() if isinstance(value, dict) and "tasks" in value}
    found = {_storable(name): value["tasks"] for name, value in tags.items()}
    if isinstance(raw.get("tasks"), list):
        if LEGACY_TAG in found:
            raise corrupt(f"it has a tag {LEGACY_TAG} and beside it a list of before there were tags")
        found[LEGACY_TAG] = raw["tasks"]
    for name, tasks in found.items():
        if not isinstance(tasks, list):
            raise corrupt(f"the tasks of the tag {name[:_TAG_SHOWN]} are no list")
    if raw and not found:
        raise corrupt("it has no tag with a list of tasks")
    return found


def _tag(name: str, tasks: list[Any]) -> Tag:
    items: dict[str, Item] = {}
    twice: set[str] = set()
    for item in _items(name, tasks):
        if item.id in items:
            twice.add(item.id)
        else:
            items[item.id] = item
    return Tag(name, items, frozenset(twice))


def _items(tag: str, tasks: list[Any]) -> Iterator[Item]:
    for number, raw in enumerate(tasks):
        place = f"{tag[:_TAG_SHOWN]}.tasks[{number}]"
        task_id = _own_id(raw, place)
        subtasks = raw.get("subtasks") or []
        if not isinstance(subtasks, list):
            raise corrupt(f"{place}.subtasks is no list")
        # Some files write a subtask's id whole, as 1.2, most its last part alone.
        own = [_own_id(sub, f"{place}.subtasks[{at}]").rpartition(".")[2] for at, sub in enumerate(subtasks)]
        siblings = {sub: f"{task_id}.{sub}" for sub in own}
        yield _item(raw, place, task_id, {}, subtasks=tuple(siblings.values()))
        for at, (sub, raw_subtask) in enumerate(zip(own, subtasks, strict=True)):
            yield _item(raw_subtask, f"{place}.subtasks[{at}]", siblings[sub], siblings, parent=task_id)


def _own_id(raw: Any, place: str) -> str:
    if not isinstance(raw, dict):
        raise corrupt(f"{place} is no object")
    item_id = normal(raw.get("id"))
    if item_id is None:
        raise corrupt(f"{place} has no id")
    return item_id


def _item(
    raw: Mapping[str, Any],
    place: str,
    item_id: str,
    siblings: Mapping[str, str],
    subtasks: tuple[str, ...] = (),
    parent: str | None = None,
) -> Item:
    return Item(
        id=item_id,
        title=_text(raw, "title"),
        description=_text(raw, "description"),
        details=_text(raw, "details"),
        test_strategy=_text(raw, "testStrategy"),
        status=_status(raw.get("status")),
        importance=_importance(raw.get("priority")),
        dependencies=_dependencies(raw, place, siblings),
        subtasks=subtasks,
        parent=parent,
        metadata=raw["metadata"] if isinstance(raw.get("metadata"), dict) else {},
    )


def _dependencies(raw: Mapping[str, Any], place: str, siblings: Mapping[str, str]) -> tuple[str, ...]:
    """A subtask's bare number is its sibling, where there is one; everything else is what it says."""
    listed = raw.get("dependencies") or []
    if not isinstance(listed, list):
        raise corrupt(f"{place}.dependencies is no list")
    found = []
    for number, dependency in enumerate(listed):
        item_id = normal(dependency)
        if item_id is None:
            raise corrupt(f"{place}.dependencies[{number}] is no id")
        found.append(siblings.get(item_id, item_id))
    return tuple(dict.fromkeys(found))


def normal(value: Any) -> str | None:
    """The id as a text, `1` for 1, "1", "01" and 1.0, and `1.2` for "1.2"; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    number = _ID.fullmatch(str(value).strip())
    if number is None:
        return None
    task, subtask = (_counted(part) if part else "" for part in number.groups())
    return task if subtask in {"", "0"} else f"{task}.{subtask}"


def ids_of(values: Sequence[Any]) -> tuple[str, ...] | None:
    """The ids, each once, in `normal` form; None where there is none, or one is no id."""
    ids = [item_id for value in values if (item_id := normal(value)) is not None]
    return tuple(dict.fromkeys(ids)) if values and len(ids) == len(values) else None


def _counted(part: str) -> str:
    return str(int(part)) if _DIGITS.fullmatch(part) else part


def _status(value: Any) -> Status | None:
    """Without one an item is pending."""
    if value is None:
        return Status.PENDING
    return next((status for status in Status if status == value), None)


def _importance(value: Any) -> Importance:
    return next((importance for importance in Importance if importance == value), Importance.MEDIUM)


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return _storable(value) if isinstance(value, str) else ""


def _storable(text: str) -> str:
    """The text with marks in place of halves of characters and NULs, which cannot be kept or sent."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")

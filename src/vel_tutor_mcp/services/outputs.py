"""What steps give: the values that later steps, conditions and readers see. (Pure.)"""

import json
from collections.abc import Sequence
from typing import Any

from vel_tutor_mcp.models import Task, TaskError, TaskStatus

_NOT_BEGUN = TaskError(code="not_begun", message="It was not begun.")
# By finish reason, what stands behind the last line of the history of a task whose answer is not whole.
CUTS = {"length": " (cut at max_output_tokens)", "content_filter": " (cut by the provider's content filter)"}
CANCELLED = TaskError(code="cancelled", message="Its task was cancelled.")


def given_by(task: Task) -> Any:
    """The answer of a task: text, or a value where a schema was given and the answer is whole."""
    if task.output is None or task.response_schema is None or task.partial:
        return task.output
    return json.loads(task.output)


def of_map(items: Sequence[Any], done: Sequence[Task], stopped: TaskError | None) -> dict[str, Any]:
    """What a map gives, each item's answer in the place of the item: see `definition.MapStep`.

    `done` are its tasks that were made, all ended; `stopped` is why no more were.
    """
    by_item = {task.item: task for task in done}
    errors = [
        {"index": number, "code": error.code, "message": error.message}
        for number in range(len(items))
        if (error := _error(by_item.get(number), stopped)) is not None
    ]
    failed = {error["index"] for error in errors}
    return {
        "items": [None if number in failed else given_by(by_item[number]) for number in range(len(items))],
        "succeeded": len(items) - len(failed),
        "failed": len(failed),
        "errors": errors,
    }


def none_succeeded(of: int, first: str) -> TaskError:
    """Why a step over so many items fails; `first` is what the first of them says."""
    return TaskError(code="no_item_succeeded", message=f"None of {of} items succeeded; the first says: {first}")


def _error(task: Task | None, stopped: TaskError | None) -> TaskError | None:
    if task is None:
        return stopped or _NOT_BEGUN
    if task.status is TaskStatus.COMPLETED:
        return None
    return task.error or stopped or CANCELLED

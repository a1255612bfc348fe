"""What callers read: results as structured data with a short text, and every failure as one sentence. One table."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from vel_tutor_mcp.errors import (
    ConfigurationError,
    Conflict,
    Forbidden,
    InputError,
    NoAnswer,
    NotFound,
    OverBudget,
    ProviderError,
    TooManyTries,
    Unauthenticated,
    Unavailable,
    VelError,
)
from vel_tutor_mcp.models import Page, TaskStatus
from vel_tutor_mcp.services.reports import Told, full_task, shortened

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ResourceLink

    from vel_tutor_mcp.services.project_reports import ToldProject

# Of an answer: it all goes into a model's context.
MAX_CHARACTERS = 20_000
_MAX_OUTPUT_CHARACTERS = 12_000
_ROOM_FOR_ENVELOPE = 500
# Tried one after the other until an answer fits: as much as possible of each text stays.
_LONGEST_TEXTS = (8000, 4000, 2000, 1000, 300, 50)
_LONGEST_PLACE = 80
_OUTPUT = "/output"
_CUT = "[cut: the resource of the same id has the whole]"


@dataclass(frozen=True, slots=True)
class Answer:
    """How an error leaves: with which exit code, as sysexits.h has them, and over HTTP with which status and code."""

    exit_code: int
    status: int
    code: str


# The first row that fits an error decides. Exit codes: 64 usage, 69 service gone, 75 try again, 78 configuration.
ANSWERS: Mapping[type[VelError], Answer] = {
    NotFound: Answer(66, 404, "NOT_FOUND"),
    TooManyTries: Answer(75, 429, "RATE_LIMIT_EXCEEDED"),
    Unauthenticated: Answer(64, 401, "AUTHENTICATION_REQUIRED"),
    Forbidden: Answer(64, 403, "UNAUTHORIZED"),
    Conflict: Answer(64, 409, "CONFLICT"),
    InputError: Answer(64, 400, "VALIDATION_ERROR"),
    ConfigurationError: Answer(78, 503, "NOT_CONFIGURED"),
    Unavailable: Answer(75, 503, "UNAVAILABLE"),
    OverBudget: Answer(77, 402, "OVER_BUDGET"),
    NoAnswer: Answer(69, 502, "NO_ANSWER"),
    ProviderError: Answer(69, 502, "PROVIDER_FAILED"),
    VelError: Answer(70, 500, "INTERNAL_SERVER_ERROR"),
}
EXIT_CODES: Mapping[type[VelError], int] = {kind: answer.exit_code for kind, answer in ANSWERS.items()}

Row = TypeVar("Row")


def answer_to(error: VelError) -> Answer:
    return next(answer for kind, answer in ANSWERS.items() if isinstance(error, kind))


def exit_code(error: VelError) -> int:
    return answer_to(error).exit_code


def replied(text: str, data: dict[str, Any], whole: str | None = None, *, cut: bool = False) -> "CallToolResult":
    """A result: text for people and models, the same as data for programs.

    `whole` is the URI of the resource that has all of it: a link to it comes along where something is `cut`, here too.
    """
    from mcp_types import CallToolResult, TextContent  # a fifth of a second, which no command pays for its exit code

    fitting = fitted(data)
    links = [_link(whole)] if whole and (cut or len(text) > MAX_CHARACTERS or fitting is not data) else []
    return CallToolResult(
        content=[TextContent(type="text", text=text[:MAX_CHARACTERS]), *links], structured_content=fitting
    )


def _link(uri: str) -> "ResourceLink":
    from mcp_types import ResourceLink

    kind = "text/plain" if uri.endswith(_OUTPUT) else "application/json"
    return ResourceLink(type="resource_link", uri=uri, name="whole", mime_type=kind, description="what was cut, whole")


def refused(message: str) -> "CallToolResult":
    from mcp_types import CallToolResult, TextContent

    return CallToolResult(content=[TextContent(type="text", text=message)], is_error=True)


def listed(
    name: str, page: Page[Row], show: Callable[[Row], dict[str, Any]], line: Callable[[Row], str]
) -> "CallToolResult":
    """A page of a list, cut to what fits an answer."""
    page = page.first(_rows_that_fit(page, show))
    data = {name: [show(row) for row in page.rows], "next_cursor": page.cursor}
    lines = [line(row) for row in page.rows] or [f"No {name}."]
    if page.cursor:
        lines.append(f"There are more: pass cursor={page.cursor}")
    return replied("\n".join(lines), data)


def items_listed(told: "ToldProject") -> "CallToolResult":
    """The items of a Task Master project: how it stands as a whole, then a page of them."""
    head, page = told.shown(), told.items
    page = page.first(_rows_that_fit(page, told.shown_item, size(head)))
    data = head | {"tasks": [told.shown_item(item) for item in page.rows], "next_cursor": page.cursor}
    counts = ", ".join(f"{count} {standing}" for standing, count in head["counts"].items() if count) or "no tasks"
    lines = [f"Tag {head['tag']} of project {told.id}: {counts}; next: {head['next'] or 'none'}."]
    lines += [f"Fault: {fault['text']}." for fault in head["faults"]]
    lines += [told.line(item) for item in page.rows]
    if page.cursor:
        lines.append(f"There are more: pass cursor={page.cursor}")
    return replied("\n".join(lines), data)


def _rows_that_fit(page: Page[Row], show: Callable[[Row], dict[str, Any]], taken: int = 0) -> int:
    left = MAX_CHARACTERS - _ROOM_FOR_ENVELOPE - taken
    for count, row in enumerate(page.rows):
        left -= size(show(row)) + 2
        if left < 0:
            # At least one row: a page without any would have the cursor that it began with.
            return max(1, count)
    return len(page.rows)


def task_replied(told: Told) -> "CallToolResult":
    """A task: its answer where there is one, else where it stands and what to do next."""
    data = full_task(told)
    text, uri = answer_text(data["output"]), f"task://{told.task.id}"
    cut = len(text) > _MAX_OUTPUT_CHARACTERS
    if cut:
        text = (
            f"{text[:_MAX_OUTPUT_CHARACTERS]}\n[cut: {len(text):,} characters in all; read the resource "
            f"{uri}{_OUTPUT} for the whole]"
        )
        data["output"] = text
    told_text, shown = f"{text}\n\n{_standing(told, data)}".strip(), _without_the_rest(data)
    return replied(told_text, shown, f"{uri}{_OUTPUT}" if cut else uri, cut=cut or shown is not data)


def answer_text(output: Any) -> str:
    if output is None:
        return ""
    return output if isinstance(output, str) else json.dumps(output, indent=2, ensure_ascii=False)


def _standing(told: Told, data: Mapping[str, Any]) -> str:
    task = told.task
    where = f"task {task.id}"
    cost = f"${data['cost_usd']:.6f}"
    match task.status:
        case TaskStatus.COMPLETED:
            seconds = (data["timing"]["total_ms"] or 0) / 1000
            return f"[{task.provider}/{task.model}, {cost}, {seconds:.1f} s, {where}]"
        case TaskStatus.FAILED:
            return f"Failed: {task.error.message if task.error else 'unknown'} [{cost}, {where}]"
        case TaskStatus.CANCELLED:
            kept = "; the text above is what had arrived" if task.output else ""
            return f"Cancelled{kept} [{cost}, {where}]"
        case _:
            last = told.waits or (told.history[-1].message if told.history else "submitted")
            return f"{task.status.value}: {last}. Follow it with task_get(id={task.id}, wait_seconds=50)."


def _without_the_rest(data: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not the answer, one part after the other, until the whole fits."""
    return without(data, ("history", "decision", "attempts"), f"resource task://{data['id']}")


def without(data: dict[str, Any], parts: Sequence[str], rest: str) -> dict[str, Any]:
    """The data without as many of these parts, in this order, as it takes until the whole fits.

    `rest` says where they are read.
    """
    for name in parts:
        if size(data) <= MAX_CHARACTERS:
            break
        data = data | {name: f"left out: read the {rest}"}
    return data


def fitted(data: dict[str, Any], most: int = MAX_CHARACTERS) -> dict[str, Any]:
    """The data with its long texts cut until the whole fits, or nothing more can be cut."""
    for longest in _LONGEST_TEXTS:
        if size(data) <= most:
            break
        data = _cut(data, longest)
    return data


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= longest else f"{value[:longest]} {_CUT}"
    if isinstance(value, dict):
        return {name: _cut(part, longest) for name, part in value.items()}
    return [_cut(part, longest) for part in value] if isinstance(value, list) else value


def size(data: Any) -> int:
    return len(json.dumps(data, ensure_ascii=False))


def bad_arguments(tool: str, problem: ValidationError) -> str:
    """Say which argument is wrong and how, without repeating what was sent."""
    first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
    place = shortened(".".join(str(part) for part in first["loc"]), _LONGEST_PLACE) or "the arguments"
    return f"Bad argument `{place}` of {tool}; {first['msg'][0].lower()}{first['msg'][1:]}; correct it and call again."


def sentence(error: VelError) -> str:
    return str(error)

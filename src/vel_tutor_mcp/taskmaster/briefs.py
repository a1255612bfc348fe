"""What agents are asked: to do an item, with the results that it builds on, or to judge what was done. (Pure.)"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS
from vel_tutor_mcp.taskmaster.items import Item

MAX_RESULT = 8_000
_MAX_FIELD = 20_000
_MAX_RESULTS = 24_000
_MAX_JUDGED = 40_000

VERDICT: dict[str, Any] = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "why": {"type": "string"}},
    "required": ["approved", "why"],
    "additionalProperties": False,
}

_CLOSING = "\n\nAnswer with the result itself, complete and ready to be used by the tasks that build on it."


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an item that another builds on; empty where nobody kept it."""

    item: Item
    text: str


def to_do(item: Item, parent: Item | None, results: Sequence[Result]) -> str:
    """The prompt for the work on an item."""
    within = [f"It is a part of the task {parent.id}: {parent.title}\n{_cut(parent.description)}"] if parent else []
    parts = [f"Do this task of a project: {item.title}", *within, *_fields(item), *_results(results)]
    # What is too long is cut at what it builds on, and not at what it asks for.
    return "\n\n".join(parts)[: MAX_PROMPT_CHARACTERS - len(_CLOSING)] + _CLOSING


def to_judge(prompt: str, output: str) -> str:
    """The prompt for the review of a result; `prompt` is what was asked for it."""
    return (
        "Judge whether this result fulfils the task. Approve it only if it does what was asked, wholly and correctly; "
        "say why in one or two sentences, and where you do not approve, what is missing.\n\n"
        f"# The task\n\n{_cut(prompt, _MAX_JUDGED)}\n\n# The result\n\n{_cut(output, _MAX_JUDGED)}"
    )


def _fields(item: Item) -> Iterable[str]:
    named = {
        "Description": item.description,
        "Details": item.details,
        "How it will be tested": item.test_strategy,
    }
    return (f"# {name}\n\n{_cut(text)}" for name, text in named.items() if text.strip())


def _results(results: Sequence[Result]) -> Iterable[str]:
    if not results:
        return
    yield "# What it builds on"
    room = min(MAX_RESULT, _MAX_RESULTS // len(results))
    for result in results:
        yield f"## {result.item.id}: {result.item.title}\n\n{_cut(result.text, room) or '(done; no result was kept)'}"


def _cut(text: str, most: int = _MAX_FIELD) -> str:
    return text if len(text) <= most else f"{text[:most]}\n(cut here)"

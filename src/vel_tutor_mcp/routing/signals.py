"""What is seen in a prompt: words and shapes that signal something, in its request or in its material. Pure.

`lexicon` holds the words.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import compress, count
from typing import NamedTuple

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.lexicon import KNOWN, LEADS, OBJECTS
from vel_tutor_mcp.routing.ngrams import ends, figures, tokens, zeroed

# The request stands at the beginning or at the end; what is between is mostly material.
HEAD_TOKENS, TAIL_TOKENS = 48, 30
MATERIAL_WEIGHT = 0.4

_FENCE = "```"
_CODE_LINE = re.compile(
    r"\n[ \t]*(?:def|class|import|from|function|const|let|public|SELECT|#include)\b.*[\w;:{)>*]$", re.MULTILINE
)
# Each begins with a letter or mark of its own, so that a scan costs little.
_CODE_END = re.compile(r"\n(?:(?<=[;{}]\n)|(?<=\):\n))")
_OPENED = re.compile(r"\((?<=\w\()")
_CALL = re.compile(r"\.\w+\(")
_ASSIGNED_CALL = re.compile(r"=[A-Z]{2}\w*\(")
_ERROR_NAME = re.compile(r"E(?<=\wE)(?:rror|xception)\b")
_ERROR_LINE = re.compile(r"error(?:\[\w+\])?: ")
_FAULT_WORDS = ("Traceback (most", "egmentation fault", "panic:", "undefined reference", "Cannot read propert")
_OPERATORS = "*/^=+-"
# In what `zeroed` gives. An assignment is without spaces.
_CALCULATION = re.compile(r"0(?:\s*[*/^=]\s*\(?0|\s+[-+]\s+0)")
_ASSIGNMENT = re.compile(r"=(?<=[a-z]=)-?0")
_MATHS = ("\\frac", "\\int", "√", "∫", "∑")
_THIS_DECADE = frozenset({"2025", "2026", "2027", "2028", "2029"})
SHAPES = ("code_block", "code_end", "inline_code", "trace", "equation", "now", "quantities")


class Signals(NamedTuple):
    """Each signal's weight (1 in the request, less in the material); the task type of the leading one, and whether it
    is what a verb of making makes; the tokens and line breaks of the prompt's ends, and whether there is a question
    mark in them.
    """

    weights: Mapping[str, float]
    lead: TaskType | None
    made: bool
    tokens: Sequence[str]
    line_breaks: int
    asks: bool


def signals_in(prompt: str) -> Signals:
    prompt = ends(prompt)
    words = tokens(prompt)
    found = _found(words)
    tail = len(words) - TAIL_TOKENS
    weights = dict.fromkeys([signal for _, signal in found], MATERIAL_WEIGHT)
    request = [signal for place, signal in found if place < HEAD_TOKENS or place >= tail]
    for signal in request:
        weights[signal] = 1.0
    for shape in _shapes(prompt, words, weights):
        weights[shape] = 1.0
    lead, made = _lead(request)
    return Signals(weights, lead, made, words, prompt.count("\n"), "?" in prompt)


def _found(words: list[str]) -> list[tuple[int, str]]:
    """(place, signal) in order of place."""
    found: list[tuple[int, str]] = []
    followed = [*words, ""]
    for place in compress(count(), map(KNOWN.__contains__, words)):
        alone, before = KNOWN[words[place]]
        if alone:
            found += [(place, signal) for signal in alone]
        second = followed[place + 1]
        if second in before:
            found += [(place + 1, signal) for signal in before[second]]
    return found


def _shapes(prompt: str, words: Sequence[str], seen: Mapping[str, float]) -> list[str]:
    numbers = figures(prompt, words)
    lines = f"\n{prompt}\n"
    shapes = []
    code = _FENCE in prompt or _CODE_LINE.search(lines) is not None
    if code:
        shapes.append("code_block")
    elif _has_maths(prompt, numbers):
        shapes.append("equation")
    if _CODE_END.search(lines):
        shapes.append("code_end")
    if "`" in prompt or "()" in prompt or _has_call(prompt):
        shapes.append("inline_code")
    if _has_trace(prompt):
        shapes.append("trace")
    if not _THIS_DECADE.isdisjoint(numbers):
        shapes.append("now")
    if len(numbers) > 1 and "?" in prompt and not code and "code" not in seen:
        shapes.append("quantities")
    return shapes


def _has_call(prompt: str) -> bool:
    return bool(_OPENED.search(prompt) and (_CALL.search(prompt) or _ASSIGNED_CALL.search(prompt)))


def _has_trace(prompt: str) -> bool:
    if any(map(prompt.__contains__, _FAULT_WORDS)):
        return True
    if "rror" not in prompt and "xception" not in prompt:
        return False
    return (_ERROR_NAME.search(prompt) or _ERROR_LINE.search(prompt)) is not None


def _has_maths(prompt: str, numbers: Sequence[str]) -> bool:
    if len(numbers) > 1 and any(map(prompt.__contains__, _OPERATORS)) and _CALCULATION.search(zeroed(prompt)):
        return True
    if numbers and "=" in prompt and _ASSIGNMENT.search("=".join(map(str.strip, zeroed(prompt).split("=")))):
        return True
    return any(map(prompt.__contains__, _MATHS))


def _lead(request: Sequence[str]) -> tuple[TaskType | None, bool]:
    making = False
    for signal in request:
        if making and signal in OBJECTS:
            return OBJECTS[signal], True
        if signal in LEADS:
            return LEADS[signal], False
        making = making or signal == "make"
    return None, False

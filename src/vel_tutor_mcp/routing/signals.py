"""What is seen in a prompt: words and shapes that signal something, in its request or in its material. Pure.

`lexicon` holds the words.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import itemgetter

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.lexicon import LEADS, OBJECTS, PAIRS, SIGNALS
from vel_tutor_mcp.routing.ngrams import ends, tokens

# The request stands at the beginning or at the end; what is between is mostly material.
HEAD_TOKENS, TAIL_TOKENS = 48, 30
MATERIAL_WEIGHT = 0.4

_FENCE = "```"
_CODE_LINE = re.compile(
    r"\n[ \t]*(?:def|class|import|from|function|const|let|public|SELECT|#include)\b.*[\w;:{)>*]$", re.MULTILINE
)
_CODE_ENDS = (";\n", "{\n", "}\n", "):\n")
# Each begins with a letter or mark of its own, so that a scan costs little.
_OPENED = re.compile(r"\((?<=\w\()")
_CALL = re.compile(r"\.\w+\(|=[A-Z]{2}\w*\(")
_ERROR_NAME = re.compile(r"E(?<=\wE)(?:rror|xception)\b")
_ERROR_LINE = re.compile(r"error(?:\[\w+\])?: ")
_FAULT_WORDS = ("Traceback (most", "egmentation fault", "panic:", "undefined reference", "Cannot read propert")
_OPERATORS = "*/^=+-"
_CALCULATION = re.compile(r"\d(?:\s*[*/^=]\s*\(?\d|\s+[-+]\s+\d)")
_ASSIGNMENT = re.compile(r"[a-z]\s*=\s*-?\d")
_MATHS = ("\\frac", "\\int", "√", "∫", "∑")
_THIS_DECADE = frozenset({"2025", "2026", "2027", "2028", "2029"})
_place = itemgetter(0)
SHAPES = ("code_block", "code_end", "inline_code", "trace", "equation", "now", "quantities")


@dataclass(frozen=True, slots=True)
class Signals:
    """Each signal's weight (1 in the request, less in the material); the task type of the leading one, and whether it
    is what a verb of making makes; the tokens and line breaks of the prompt's ends.
    """

    weights: Mapping[str, float]
    lead: TaskType | None
    made: bool
    tokens: Sequence[str]
    line_breaks: int


def signals_in(prompt: str) -> Signals:
    prompt = ends(prompt)
    words = tokens(prompt)
    found = _found(words)
    weights = dict.fromkeys((signal for _, signal in found), MATERIAL_WEIGHT)
    request = [signal for place, signal in found if place < HEAD_TOKENS or place >= len(words) - TAIL_TOKENS]
    weights.update(dict.fromkeys(request, 1.0))
    weights.update(dict.fromkeys(_shapes(prompt, words, weights), 1.0))
    return Signals(weights, *_lead(request), words, prompt.count("\n"))


def _found(words: Sequence[str]) -> list[tuple[int, str]]:
    """(place, signal) in order of place."""
    seconds = compress(count(1), map(PAIRS.__contains__, words[:-1]))
    hits = [
        (place, PAIRS[words[place - 1]][words[place]]) for place in seconds if words[place] in PAIRS[words[place - 1]]
    ]
    hits += [(place, SIGNALS[words[place]]) for place in compress(count(), map(SIGNALS.__contains__, words))]
    hits.sort(key=_place)
    return [(place, signal) for place, signals in hits for signal in signals]


def _shapes(prompt: str, words: Sequence[str], seen: Mapping[str, float]) -> Iterator[str]:
    numbers = list(filter(str.isdigit, words))
    lines = f"\n{prompt}\n"
    code = _FENCE in prompt or _CODE_LINE.search(lines) is not None
    if code:
        yield "code_block"
    elif _has_maths(prompt, numbers):
        yield "equation"
    if any(map(lines.__contains__, _CODE_ENDS)):
        yield "code_end"
    if "`" in prompt or "()" in prompt or (_OPENED.search(prompt) and _CALL.search(prompt)):
        yield "inline_code"
    if _has_trace(prompt):
        yield "trace"
    if not _THIS_DECADE.isdisjoint(numbers):
        yield "now"
    if len(numbers) > 1 and "?" in prompt and not code and "code" not in seen:
        yield "quantities"


def _has_trace(prompt: str) -> bool:
    if any(map(prompt.__contains__, _FAULT_WORDS)):
        return True
    return (_ERROR_NAME.search(prompt) or _ERROR_LINE.search(prompt)) is not None


def _has_maths(prompt: str, numbers: Sequence[str]) -> bool:
    if len(numbers) > 1 and any(map(prompt.__contains__, _OPERATORS)) and _CALCULATION.search(prompt):
        return True
    if numbers and "=" in prompt and _ASSIGNMENT.search(prompt):
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

"""What can be counted in a prompt beside its words: length, numbers, sentences, kinds of small words. Pure."""

import math
import re
from collections.abc import Sequence

from vel_tutor_mcp.routing.ngrams import ends

_GROUPS = {
    "negation": "not except least no never none neither nor without false incorrect",
    "condition": "if then when until unless suppose given assuming otherwise",
    "each": "each every per apiece daily weekly monthly hourly",
    "part": "half third quarter twice thrice double triple times fraction percent dozen ratio",
    "count": "one two three four five six seven eight nine ten hundred thousand million",
    "comparison": "more less than fewer most older younger longer shorter larger smaller greater better",
    "rest": "remaining left rest total altogether sum all both combined",
    "time": "second seconds minute minutes hour hours day days week weeks month months year years",
    "reason": "why how explain because therefore prove derive show",
    "question": "which what who whom whose where",
    "conjunction": "and or but",
    "article": "a an the",
    "order": "after before first next last finally later",
    "person": "he she his her him they i my you your",
}
_GROUP_OF = {word: place for place, words in enumerate(_GROUPS.values()) for word in words.split()}
_MARKS = (",", "?", "\n", "$", "%", "(", "=", '"', "/", ":", "`")
_DECIMAL = re.compile(r"\d\.\d")
_BIG = 3

NAMES = (
    *_GROUPS,
    *(f"count of {mark!r}" for mark in _MARKS),
    *("characters", "tokens", "distinct share", "token length", "longest token", "sentences", "sentence length"),
    *("numbers", "share of numbers", "digits", "big numbers", "decimals", "capitals"),
    *("first line", "last line", "beyond ASCII"),
)


def traits(text: str, words: Sequence[str]) -> list[float]:
    """One number a name in `NAMES`; `words` are the text's tokens (`ngrams.tokens`)."""
    text = ends(text)
    return [*_grouped(words), *map(float, map(text.count, _MARKS)), *_sizes(text, words), *_numbers(text, words)]


def _grouped(words: Sequence[str]) -> list[float]:
    counts = [0.0] * len(_GROUPS)
    for place in map(_GROUP_OF.get, words):
        if place is not None:
            counts[place] += 1
    return counts


def _sizes(text: str, words: Sequence[str]) -> tuple[float, ...]:
    count = max(1, len(words))
    sentences = max(1, text.count(". ") + text.count("? ") + text.count("! ") + text.count("\n"))
    return (
        math.log1p(len(text)),
        math.log1p(len(words)),
        len(set(words)) / count,
        len("".join(words)) / count,
        max(map(len, words), default=0),
        sentences,
        count / sentences,
    )


def _numbers(text: str, words: Sequence[str]) -> tuple[float, ...]:
    numbers = list(filter(str.isdigit, words))
    first, last = text.find("\n"), text.rfind("\n")
    return (
        len(numbers),
        len(numbers) / max(1, len(words)),
        len("".join(numbers)),
        sum(len(number) >= _BIG for number in numbers),
        len(_DECIMAL.findall(text)),
        sum(map(str.istitle, text.split())),
        math.log1p(len(text) if first < 0 else first),
        math.log1p(len(text) - last),
        0.0 if text.isascii() else math.log1p(len(text.encode(errors="replace")) - len(text)),
    )

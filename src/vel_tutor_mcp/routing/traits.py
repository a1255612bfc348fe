"""What can be counted in a prompt beside its words: sizes, sentences, numbers and their kinds. Pure."""

import math
import re
from collections.abc import Sequence

from vel_tutor_mcp.routing.ngrams import ends

_PARTS = frozenset(
    [
        "half",
        "third",
        "quarter",
        "twice",
        "thrice",
        "double",
        "triple",
        "times",
        "fraction",
        "percent",
        "dozen",
        "ratio",
    ]
)
_MARKS = (",", "/", "(")
# It begins with its mark, so that a scan costs little.
_DECIMAL = re.compile(r"\.(?<=\d\.)\d")
_PRICE = re.compile(r"[$€£]\d+\.\d")
_LONG_NUMBER = 3

NAMES = (
    *("characters", "tokens", "distinct share", "token length", "sentences"),
    *("numbers", "decimals", "long numbers", "prices", "parts"),
    "first line",
    *(f"count of {mark}" for mark in _MARKS),
)


def traits(text: str, words: Sequence[str]) -> list[float]:
    """One number a name in `NAMES`; `words` are the text's tokens (`ngrams.tokens`)."""
    text = ends(text)
    return [*_sizes(text, words), *_numbers(text, words), _first_line(text), *map(float, map(text.count, _MARKS))]


def _sizes(text: str, words: Sequence[str]) -> tuple[float, ...]:
    count = max(1, len(words))
    return (
        math.log1p(len(text)),
        math.log1p(len(words)),
        len(set(words)) / count,
        len("".join(words)) / count,
        max(1, text.count(". ") + text.count("? ") + text.count("! ") + text.count("\n")),
    )


def _numbers(text: str, words: Sequence[str]) -> tuple[float, ...]:
    numbers = list(filter(str.isdigit, words))
    decimals = len(_DECIMAL.findall(text)) if numbers else 0
    return (
        len(numbers),
        decimals,
        decimals + sum(len(number) >= _LONG_NUMBER for number in numbers),
        len(_PRICE.findall(text)) if decimals else 0,
        sum(map(_PARTS.__contains__, words)),
    )


def _first_line(text: str) -> float:
    first = text.find("\n")
    return math.log1p(len(text) if first < 0 else first)

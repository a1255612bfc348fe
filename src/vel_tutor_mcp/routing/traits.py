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
_MARKS = (",", "%", "/", "=", "(", "`")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PRICE = re.compile(r"[$€£]\d+\.\d")
_LONG_NUMBER = 3

NAMES = (
    *("characters", "tokens", "distinct share", "token length", "longest token", "sentences", "sentence length"),
    *("numbers", "share of numbers", "digits", "decimals", "long numbers", "prices", "parts"),
    *("capitals", "first line"),
    *(f"count of {mark}" for mark in _MARKS),
)


def traits(text: str, words: Sequence[str]) -> list[float]:
    """One number a name in `NAMES`; `words` are the text's tokens (`ngrams.tokens`)."""
    text = ends(text)
    return [*_sizes(text, words), *_numbers(text, words), *_shape(text), *map(float, map(text.count, _MARKS))]


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
    whole = list(filter(str.isdigit, words))
    numbers = _NUMBER.findall(text) if whole else []
    return (
        len(whole),
        len(whole) / max(1, len(words)),
        len("".join(whole)),
        sum("." in number for number in numbers),
        sum(len(number) >= _LONG_NUMBER for number in numbers),
        len(_PRICE.findall(text)) if numbers else 0,
        len(list(filter(_PARTS.__contains__, words))),
    )


def _shape(text: str) -> tuple[float, ...]:
    first = text.find("\n")
    return sum(map(str.istitle, text.split())), math.log1p(len(text) if first < 0 else first)

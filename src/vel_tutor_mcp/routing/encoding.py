"""A prompt as the linear models of `learned` see it. Pure."""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from vel_tutor_mcp.routing.ngrams import hashes, tokens
from vel_tutor_mcp.routing.traits import traits

_IN_QUESTION = zlib.crc32(b"in the question")
_ENDS = frozenset(".!?")


class Encoded(NamedTuple):
    """The distinct n-grams of a prompt, as hashes that fall into buckets, and its traits."""

    grams: frozenset[int]
    traits: list[float]


def encoded(prompt: str) -> Encoded:
    return encoded_tokens(prompt, tokens(prompt))


def encoded_tokens(prompt: str, words: Sequence[str]) -> Encoded:
    """As `encoded`, where the prompt's tokens are known."""
    numbers = hashes(words)
    start, end = _question(words)
    asked = numbers[start:end] + numbers[len(words) + start : len(words) + end - 1] if end else []
    return Encoded(frozenset([*numbers, *map(_IN_QUESTION.__xor__, asked)]), traits(prompt, words))


def _question(words: Sequence[str]) -> tuple[int, int]:
    """Where the last question begins and ends; (0, 0) where there is none.

    Its n-grams have buckets of their own beside: it says what kind of answer is wanted.
    """
    if "?" not in words:
        return 0, 0
    end = len(words) - words[::-1].index("?")
    start = next((place for place in range(end - 1, 0, -1) if words[place - 1] in _ENDS), 0)
    return start, end

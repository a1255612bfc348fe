"""A prompt as the linear models of `learned` see it. Pure."""

import zlib
from collections.abc import Iterable
from typing import NamedTuple

from vel_tutor_mcp.routing.ngrams import BUCKETS, buckets, ends, tokens
from vel_tutor_mcp.routing.traits import traits

_IN_QUESTION = zlib.crc32(b"in the question")


class Encoded(NamedTuple):
    """The distinct buckets of a prompt, and its traits."""

    buckets: frozenset[int]
    traits: list[float]


def encoded(prompt: str) -> Encoded:
    words = tokens(prompt)
    return Encoded(frozenset([*buckets(words), *_question_buckets(prompt)]), traits(prompt, words))


def _question_buckets(prompt: str) -> Iterable[int]:
    """Of the last question alone, in buckets of their own: it says what kind of answer is wanted."""
    text = ends(prompt)
    end = text.rfind("?")
    if end < 0:
        return ()
    start = max(text.rfind(mark, 0, end) for mark in ".!?\n") + 1
    return ((number ^ _IN_QUESTION) % BUCKETS for number in buckets(tokens(text[start : end + 1])))

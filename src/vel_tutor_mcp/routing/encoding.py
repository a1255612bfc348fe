"""A prompt as the linear models of `learned` see it. Pure."""

import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

from vel_tutor_mcp.routing.ngrams import BUCKETS, buckets, ends, tokens
from vel_tutor_mcp.routing.traits import traits

# The question itself, apart from what surrounds it, says what kind of answer is wanted.
_QUESTION = re.compile(r"[^.!?\n]*\?")
_IN_QUESTION = zlib.crc32(b"in the question")


class Encoded(NamedTuple):
    """The distinct buckets of a prompt, and its traits."""

    buckets: frozenset[int]
    traits: list[float]


def encoded(prompt: str) -> Encoded:
    words = tokens(prompt)
    return Encoded(frozenset([*buckets(words), *_question_buckets(prompt)]), traits(prompt, words))


def _question_buckets(prompt: str) -> Iterable[int]:
    questions = _QUESTION.findall(ends(prompt)) if "?" in prompt else []
    # Another multiplier makes other buckets of the same words.
    return ((number ^ _IN_QUESTION) % BUCKETS for number in buckets(tokens(questions[-1]))) if questions else ()

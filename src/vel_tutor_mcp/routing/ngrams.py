"""A text as numbers for the linear models: its words and pairs of neighbouring words, hashed into buckets. Pure."""

import re
import zlib
from collections.abc import Sequence

BUCKETS = 2**15

# The request stands at the beginning or at the end; what is between is mostly material.
HEAD_CHARACTERS, TAIL_CHARACTERS = 3000, 1000

# Words and numbers apart; scripts that put no space between words give one token a character, as do marks.
# What is common stands first: a token then costs one comparison.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TOKEN = re.compile(r"[a-z]+[^\W\d_\u3040-\ud7a3]*|\d+|[^\W\d_\u3040-\ud7a3]+|[^\w\s]|[\u3040-\ud7a3]")
# The same of ASCII, in two thirds of the time.
_ASCII_TOKEN = re.compile(r"[a-z]+|[0-9]+|[^\w\s\x1c-\x1f]", re.ASCII)


def ends(text: str) -> str:
    """The text without its middle where it is longer than what is looked at."""
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"


def tokens(text: str) -> list[str]:
    """The words, numbers and marks of the text's ends in order, in lower case.

    Hyphens and apostrophes part words: "step-by-step", "l'anglais".
    """
    text = ends(text).lower().replace("-", " ").replace("'", " ").replace("\u2019", " ")
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


def buckets(words: Sequence[str]) -> list[int]:
    """The bucket numbers (0 to `BUCKETS` - 1) of the n-grams, in the order of `hashes`."""
    return [number % BUCKETS for number in hashes(words)]


def hashes(words: Sequence[str]) -> list[int]:
    """One number a token, then one a pair of neighbours; CRC-32, the pair's chained.

    Of a number only its length counts: each is too rare to learn from.
    """
    encoded = "\n".join(words).encode(errors="replace").translate(_DIGITS).split(b"\n") if words else []
    singles = list(map(zlib.crc32, encoded))
    return [*singles, *map(zlib.crc32, encoded[1:], singles)]

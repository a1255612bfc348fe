"""A text as numbers for the linear models: its words and pairs of neighbouring words, hashed into buckets. Pure."""

import re
import string
import zlib
from collections.abc import Sequence
from itertools import chain, pairwise

BUCKETS = 2**15

# The request stands at the beginning or at the end; what is between is mostly material.
HEAD_CHARACTERS, TAIL_CHARACTERS = 3000, 1000

# Words and numbers apart; scripts that put no space between words give one token a character, as do marks.
# What is common stands first: a token then costs one comparison.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TOKEN = re.compile(r"[a-z]+[^\W\d_\u3040-\ud7a3]*|\d+|[^\W\d_\u3040-\ud7a3]+|[^\w\s]|[\u3040-\ud7a3]")
# Of ASCII each digit as 0 and each letter as a: a pattern that begins with one known character is found in little time.
_KINDS = bytes.maketrans(b"123456789" + string.ascii_letters.encode(), b"0" * 9 + b"a" * len(string.ascii_letters))
_GLUED = re.compile(rb"0(?:a|(?<=a0))")
_NO_DIGITS = bytes(byte if chr(byte) in string.digits else ord(" ") for byte in range(256))
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(rb"0+")
_ASCII_MARKS = tuple(mark for mark in map(chr, range(128)) if re.fullmatch(r"[^\w\s]", mark))


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
    return _split(text) if text.isascii() else _TOKEN.findall(text)


def _split(text: str) -> list[str]:
    """The tokens of ASCII, as `_TOKEN` finds them, in half the time: numbers and marks are set apart by spaces, and
    `str.split` makes a token in a fifth of a regular expression's time.
    """
    kinds = text.encode().translate(_KINDS)
    if _GLUED.search(kinds):
        borders = (0, *chain.from_iterable(number.span() for number in _NUMBER.finditer(kinds)), len(text))
        text = " ".join(text[start:end] for start, end in pairwise(borders))
    for mark in _ASCII_MARKS:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    return text.replace("_", " ").split()


def figures(text: str, words: Sequence[str]) -> Sequence[str]:
    """Those of the text's tokens that are numbers."""
    if not text.isascii():
        return list(filter(str.isdigit, words))
    return text.encode().translate(_NO_DIGITS).decode().split()


def zeroed(text: str) -> str:
    """The text with each digit as 0: what begins with a known character is searched for in little time."""
    return text.encode().translate(_DIGITS).decode() if text.isascii() else _DIGIT.sub("0", text)


def buckets(words: Sequence[str]) -> set[int]:
    """The bucket numbers (0 to `BUCKETS` - 1) of the n-grams."""
    return {number % BUCKETS for number in hashes(words)}


def hashes(words: Sequence[str]) -> list[int]:
    """One number a token, then one a pair of neighbours; CRC-32, the pair's chained.

    Of a number only its length counts: each is too rare to learn from.
    """
    encoded = "\n".join(words).encode(errors="replace").translate(_DIGITS).split(b"\n") if words else []
    singles = list(map(zlib.crc32, encoded))
    return [*singles, *map(zlib.crc32, encoded[1:], singles)]

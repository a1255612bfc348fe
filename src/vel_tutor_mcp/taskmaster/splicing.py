"""Changes of one place in a JSON text, which leave every other character as it is. (Pure.)"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_INDENT = "  "
_MARK = "\ufeff"


def replaced(text: str, path: Sequence[str | int], value: Any) -> str:
    """The text, which must be JSON, with the value at this path of keys and indexes.

    The last key is added where its object has none; all before it must be there.
    """
    at = _after_space(text, len(_MARK) if text.startswith(_MARK) else 0)
    end = len(text)
    for depth, key in enumerate(path):
        spans = [(start, stop) for name, start, stop in _members(text, at) if name == key]
        if not spans and depth == len(path) - 1:
            return _added(text, at, str(key), value, depth)
        at, end = spans[-1]  # of two with one key, the last is the one that counts
    return text[:at] + _written(value, len(path)) + text[end:]


def _members(text: str, at: int) -> Iterator[tuple[str | int, int, int]]:
    """What the object or list that begins here holds: each key or index, and where its value begins and ends."""
    is_object = text[at] == "{"
    at, number = _after_space(text, at + 1), 0
    while text[at] not in "}]":
        key: str | int = number
        if is_object:
            key, colon = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, colon) + 1)
        _, end = _DECODER.raw_decode(text, at)
        yield key, at, end
        at, number = _after_space(text, end), number + 1
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _added(text: str, at: int, key: str, value: Any, depth: int) -> str:
    """The text with one more member, the last, in the object that begins here."""
    ends = [end for _, _, end in _members(text, at)]
    line = f"\n{_INDENT * (depth + 1)}{json.dumps(key, ensure_ascii=False)}: {_written(value, depth + 1)}"
    if ends:
        return text[: ends[-1]] + "," + line + text[ends[-1] :]
    return text[: at + 1] + line + f"\n{_INDENT * depth}" + text[at + 1 :].lstrip()


def _written(value: Any, depth: int) -> str:
    return json.dumps(value, indent=len(_INDENT), ensure_ascii=False).replace("\n", f"\n{_INDENT * depth}")


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()

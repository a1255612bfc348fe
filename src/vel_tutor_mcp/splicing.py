"""Changes of one place in a JSON text, which leave every other character as it is. (Pure.)

The text may be JSONC as editors write it: with comments, and with commas behind the last member.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_DECODER = json.JSONDecoder()
_STRING = r'"(?:[^"\\]|\\.)*"'
# Strings are found first and given back (`_blank`): what looks like a comment in one is none.
_COMMENT = re.compile(rf"({_STRING})|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA = re.compile(rf"({_STRING})|,(?=\s*[}}\]])")
_SPACE = re.compile(r"\s*")
_INDENT = re.compile(r"^[ \t]+(?=\S)", re.MULTILINE)
_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Held:
    """What an object or a list holds: keys or indexes, with where the member begins, and its value begins and ends."""

    members: list[tuple[str | int, int, int, int]]
    close: int


def plain(text: str) -> str:
    """The text as JSON of the same length and lines: blanks stand for comments, last commas and a byte order mark."""
    return _LAST_COMMA.sub(_blank, _without_comments(text))


def replaced(text: str, path: Sequence[str | int], value: Any) -> str:
    """The text, whose `plain` must be JSON, with the value at this path of keys and indexes.

    Keys that are missing are added last, each in its object. What stands on the way must be objects or lists.
    """
    bare = plain(text)
    at, end = _after_space(bare, 0), len(text)
    for depth, key in enumerate(path):
        held = _held(bare, at)
        spans = [(start, stop) for name, _, start, stop in held.members if name == key]
        if not spans:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _added(text, at, held, str(key), value)
        at, end = spans[-1]  # of two with one key, the last is the one that counts
    return text[:at] + _written(text, value, _indent_at(text, at)) + text[end:]


def _held(bare: str, at: int) -> _Held:
    is_object = bare[at] == "{"
    members: list[tuple[str | int, int, int, int]] = []
    at = _after_space(bare, at + 1)
    while bare[at] not in "}]":
        key: str | int = len(members)
        begin = at
        if is_object:
            key, colon = _DECODER.raw_decode(bare, at)
            at = _after_space(bare, _after_space(bare, colon) + 1)
        _, end = _DECODER.raw_decode(bare, at)
        members.append((key, begin, at, end))
        at = _after_space(bare, end)
        if bare[at] == ",":
            at = _after_space(bare, at + 1)
    return _Held(members, at)


def _added(text: str, at: int, held: _Held, key: str, value: Any) -> str:
    """The text with one more member, the last, in the object that begins here: behind what is said of the others."""
    outer = _indent_at(text, at)
    indent = _own_indent(text, held) or outer + _step(text)
    line = f"{_line_end(text)}{indent}{json.dumps(key, ensure_ascii=False)}: {_written(text, value, indent)}"
    end = held.members[-1][3] if held.members else at + 1
    tail = max(end, len(text[: held.close].rstrip()))
    # Where the closing brace stands on the last member's line, it moves to a line of its own.
    rest = text[tail:] if "\n" in text[tail : held.close] else f"{_line_end(text)}{outer}{text[held.close :]}"
    # JSONC may have its comma behind the last member already: a second one would be a fault.
    followed = _without_comments(text)[end:].lstrip().startswith(",")
    comma = "," if held.members and not followed else ""
    return text[:end] + comma + text[end:tail] + line + rest


def _written(text: str, value: Any, indent: str) -> str:
    """The value in the text's own manner, where the line that it begins on has this indentation."""
    written = json.dumps(value, indent=_step(text), ensure_ascii=False)
    return written.replace("\n", _line_end(text) + indent)


def _own_indent(text: str, held: _Held) -> str:
    """How the members are indented; nothing where the first does not begin its line."""
    if not held.members:
        return ""
    begin = held.members[0][1]
    before = text[text.rfind("\n", 0, begin) + 1 : begin]
    return before if "\n" in text[:begin] and not before.strip() else ""


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at].removeprefix(_MARK)
    return line[: len(line) - len(line.lstrip())]


def _step(text: str) -> str:
    """One step of indentation: the first that the text has."""
    found = _INDENT.search(text)
    return found[0] if found else "  "


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _without_comments(text: str) -> str:
    return _COMMENT.sub(_blank, text.replace(_MARK, " ", 1) if text.startswith(_MARK) else text)


def _blank(found: re.Match[str]) -> str:
    return found[0] if found[1] else re.sub(r"[^\r\n]", " ", found[0])


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()

"""Texts with placeholders, such as `Review {{ inputs.diff }}`, and the paths that conditions use too. (Pure.)

A placeholder holds one path or one quoted text, never an expression, and what it is replaced by is not looked at again.
"""

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS

Path = tuple[str, ...]
Values = Mapping[str, Any]

KEYWORDS = ("or", "and", "not", "contains", "matches", "in", "true", "false", "null")
_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
KEYWORD = rf"(?:{'|'.join(KEYWORDS)})(?![A-Za-z0-9_-])"
# An index has at most 18 digits: `int` refuses texts of thousands of them, and a look-up never fails.
PATH = rf"(?!{KEYWORD}){_NAME}(?:\.(?:{_NAME}|[0-9]{{1,18}}))*"
LITERAL = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""

_PLACEHOLDER = re.compile(rf"\{{\{{\s*(?:(?P<path>{PATH})|(?P<literal>{LITERAL}))\s*\}}\}}", re.DOTALL)
_EMPTY = re.compile(r"\{\{\s*\}\}")
_WHOLE_PATH = re.compile(PATH)
_ESCAPE = re.compile(r"""\\([\\'"nrt])""")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class TextError(ValueError):
    """A text or path that cannot be read; the message says at which character, and what to write instead."""


class TooLong(InputError):
    """A text became longer than is taken.

    Attributes:
        beginning: as much of it as is taken.
    """

    def __init__(self, beginning: str) -> None:
        super().__init__(
            f"A text of the step is too long; with what is put into it, it has more than {MAX_PROMPT_CHARACTERS:,} "
            "characters; put in less, or split the step."
        )
        self.beginning = beginning


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was read: as it is a `str`, what is to be looked up a path."""

    parts: tuple[str | Path, ...]

    @property
    def variables(self) -> tuple[Path, ...]:
        """Every path in it, once each, in the order of the text."""
        return tuple(dict.fromkeys(part for part in self.parts if not isinstance(part, str)))

    def given(self, scope: Values, later: Container[str]) -> "Text":
        """The text with all put in but what these names begin, for one that is rendered over many scopes.

        It ends where it is too long: `render` refuses it there.
        """
        parts: list[str | Path] = []
        length = 0
        for part in self.parts:
            put_in = part if isinstance(part, str) or part[0] in later else _written(lookup(scope, part))
            parts.append(put_in)
            length += len(put_in) if isinstance(put_in, str) else 0
            if length > MAX_PROMPT_CHARACTERS:
                break
        return Text(tuple(parts))

    def render(self, scope: Values) -> str:
        """The text over a scope. What is missing or null is left out, what is no text is written as JSON.

        Raises:
            TooLong: it would be; found at the first value too many, for all of them may be gigabytes.
        """
        # With all put in, every part is a text.
        text = "".join(part for part in self.given(scope, later=()).parts if isinstance(part, str))
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise TooLong(text[:MAX_PROMPT_CHARACTERS])
        return text


def parse(text: str) -> Text:
    """Read a text with placeholders.

    Raises:
        TextError: a placeholder has no end, or is something else than a path or a quoted text.
    """
    parts: list[str | Path] = []
    place = 0
    while (start := text.find("{{", place)) >= 0:
        found = _PLACEHOLDER.match(text, start)
        if not found:
            raise _malformed(text, start)
        parts += [text[place:start], _part(found)]
        place = found.end()
    parts.append(text[place:])
    return Text(tuple(part for part in parts if part))


def _part(found: re.Match[str]) -> str | Path:
    path, literal = found["path"], found["literal"]
    return tuple(path.split(".")) if path else unquoted(literal)


def _malformed(text: str, start: int) -> TextError:
    if "}}" not in text[start:]:
        what = "the placeholder has no end; close it with }}, or write {{ '{{' }} for two braces"
    elif _EMPTY.match(text, start):
        what = "the placeholder is empty; write a path, as in {{ inputs.topic }}, or {{ '{{' }} for two braces"
    else:
        what = (
            "the placeholder is no path; write one path, as in {{ inputs.topic }}, or one text in quotes, as in "
            "{{ '{{' }} for two braces"
        )
    return TextError(f"at character {start + 1}: {what}")


def parse_path(text: str) -> Path:
    """Read a path, such as `inputs.files`.

    Raises:
        TextError: it is none.
    """
    found = _WHOLE_PATH.match(text)
    end = found.end() if found else 0
    if not found or end < len(text):
        raise TextError(f"at character {end + 1}: this is no path; write names with dots between, as in inputs.files")
    return tuple(text.split("."))


def lookup(scope: Values, path: Path) -> Any:
    """What stands at a path; None where nothing does. A whole number takes an element of a list, from 0."""
    value: Any = scope
    for name in path:
        value = _member(value, name)
    return value


def unquoted(literal: str) -> str:
    """What a quoted text says. A backslash stands for itself but before a backslash, a quote, n, r or t."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), literal[1:-1])


def _member(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    return None


def _written(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, TypeError, ValueError):
        return ""  # nested without end, or never JSON: a text must come out whatever a model has put in

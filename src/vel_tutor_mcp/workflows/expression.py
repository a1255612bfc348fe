"""Conditions, such as `steps.a.output.verdict == "ok" and not inputs.dry`: read once, decided over a scope. (Pure.)

No attributes, calls or arithmetic; nothing is handed to Python. What was read holds or not over any scope, and never
fails: what is missing is null, and a comparison of what cannot be compared is false.

    any        = all {"or" all}
    all        = one {"and" one}
    one        = "not" one | "(" any ")" | operand [sign operand | "matches" text]
    sign       = "==" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "in"
    operand    = text | number | "true" | "false" | "null" | path
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import re2

from vel_tutor_mcp.workflows.conditions import (
    COMPARISONS,
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    Not,
    Operand,
    Truth,
    Variable,
    matches,
)
from vel_tutor_mcp.workflows.text import KEYWORD, LITERAL, PATH, Path, Values, unquoted

MAX_CHARACTERS = 1000
# Each level takes a few calls to read, and a few to decide: far from Python's limit of recursion.
MAX_NESTING = 30
# RE2's instructions, all patterns of an expression together: a search takes time in proportion to them.
MAX_PATTERN_SIZE = 2500
_MAX_SHOWN = 20

_TOKEN = re.compile(
    rf"(?P<path>{PATH})|(?P<literal>{LITERAL})|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<word>{KEYWORD})"
    r"|(?P<sign>[=!<>]=|[<>()])",
    re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_MEANT = {"=": "==", "&": "and", "|": "or", "!": "not"}
_CONSTANTS = {"true": True, "false": False, "null": None}


class ExpressionError(ValueError):
    """An expression that cannot be read; the message says at which character, and why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition that was read. `variables`: every path in it, once each, in the order of the text."""

    condition: Condition
    variables: tuple[Path, ...]

    def holds(self, scope: Values) -> bool:
        """Whether it is so; never fails, whatever the scope has or lacks."""
        return self.condition.holds(scope)


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        ExpressionError: it is none, is longer than 1,000 characters, nests deeper than 30, or has too large a pattern.
    """
    if len(text) > MAX_CHARACTERS:
        _refuse(MAX_CHARACTERS, f"the expression goes on; at most {MAX_CHARACTERS:,} characters are taken")
    parser = _Parser(list(_tokens(text)))
    condition = parser.whole()
    return Expression(condition, tuple(dict.fromkeys(parser.paths)))


def constant(expression: Expression) -> bool | None:
    """What it always comes to, where it has no variables; else None."""
    return None if expression.variables else expression.holds({})


def _refuse(place: int, what: str) -> NoReturn:
    raise ExpressionError(f"at character {place + 1}: {what}")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int

    @property
    def shown(self) -> str:
        if self.kind in {"end", "literal"}:
            return "the end" if self.kind == "end" else "a text"
        return self.text if len(self.text) <= _MAX_SHOWN else f"{self.text[: _MAX_SHOWN - 3]}..."


def _tokens(text: str) -> Iterator[_Token]:
    place = _after_space(text, 0)
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found:
            _refuse(place, _unknown(text[place]))
        yield _Token(str(found.lastgroup), found[0], place)
        place = _after_space(text, found.end())
    yield _Token("end", "", len(text))


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _unknown(character: str) -> str:
    if character in "'\"":
        return "the text that begins here has no closing quote"
    shown = character if character.isprintable() else "this character"
    meant = _MEANT.get(character)
    return f"{shown} means nothing here" + (f"; write {meant}" if meant else "")


class _Parser:
    """By descent, one method for each rule of the grammar."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.paths: list[Path] = []
        self._tokens = tokens
        self._next = 0
        self._nesting = 0
        self._pattern_size = 0

    def whole(self) -> Condition:
        condition = self._any()
        if self._token.kind != "end":
            _refuse(self._token.place, f"an and, an or or the end should stand here, not {self._token.shown}")
        return condition

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._took("or"):
            parts.append(self._all())
        return Either(tuple(parts)) if len(parts) > 1 else parts[0]

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._took("and"):
            parts.append(self._one())
        return Every(tuple(parts)) if len(parts) > 1 else parts[0]

    def _one(self) -> Condition:
        if self._token.text not in {"not", "("}:
            return self._comparison()
        if self._nesting == MAX_NESTING:
            _refuse(self._token.place, f"this nests too deep; at most {MAX_NESTING} levels are taken")
        self._nesting += 1
        condition = Not(self._one()) if self._took("not") else self._group()
        self._nesting -= 1
        return condition

    def _group(self) -> Condition:
        opened = self._take()
        condition = self._any()
        if not self._took(")"):
            _refuse(self._token.place, f"the parenthesis of character {opened.place + 1} should be closed here")
        return condition

    def _comparison(self) -> Condition:
        left = self._operand()
        if self._took("matches"):
            return Comparison(left, matches, Constant(self._pattern()))
        compare = COMPARISONS.get(self._token.text)
        if compare is None:
            return Truth(left)
        self._take()
        return Comparison(left, compare, self._operand())

    def _operand(self) -> Operand:
        token = self._take()
        match token.kind:
            case "path":
                self.paths.append(tuple(token.text.split(".")))
                return Variable(self.paths[-1])
            case "literal":
                return Constant(unquoted(token.text))
            case "number":
                return Constant(float(token.text) if "." in token.text else int(token.text))
        if token.text not in _CONSTANTS:
            _refuse(token.place, f"a path, a text in quotes or a number should stand here, not {token.shown}")
        return Constant(_CONSTANTS[token.text])

    def _pattern(self) -> Any:
        token = self._take()
        if token.kind != "literal":
            _refuse(token.place, "after matches stands a pattern in quotes")
        pattern = _compiled(token)
        self._pattern_size += pattern.programsize
        if self._pattern_size > MAX_PATTERN_SIZE:
            _refuse(token.place, "the patterns are too large together; let them repeat less")
        return pattern

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._token
        # The end stays: whoever asks for more gets it again.
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _took(self, text: str) -> bool:
        there = self._token.text == text
        if there:
            self._take()
        return there


def _compiled(token: _Token) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(unquoted(token.text), options)
    except (re2.error, UnicodeError):
        _refuse(
            token.place,
            "RE2 cannot take this pattern; it is malformed, too large, or has look-around or back-references",
        )

"""What an expression comes to over a scope. It never fails: what cannot be compared is simply not so. (Pure.)"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vel_tutor_mcp.workflows.text import Path, Values, lookup

# In this order: Python's booleans are whole numbers too, JSON's are not.
_KINDS: tuple[Any, ...] = (bool, (int, float), str, list, Mapping)
_IN_ORDER = (1, 2)  # numbers and texts


class Condition(Protocol):
    """What holds, or not, over a scope."""

    def holds(self, scope: Values) -> bool: ...


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of them holds."""

    parts: tuple[Condition, ...]

    def holds(self, scope: Values) -> bool:
        return any(part.holds(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Every:
    """All of them hold."""

    parts: tuple[Condition, ...]

    def holds(self, scope: Values) -> bool:
        return all(part.holds(scope) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold."""

    part: Condition

    def holds(self, scope: Values) -> bool:
        return not self.part.holds(scope)


@dataclass(frozen=True, slots=True)
class Constant:
    """An operand that is written out."""

    value: Any

    def over(self, _: Values) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Variable:
    """An operand that is looked up."""

    path: Path

    def over(self, scope: Values) -> Any:
        return lookup(scope, self.path)


Operand = Constant | Variable


@dataclass(frozen=True, slots=True)
class Truth:
    """The operand is none of null, false, 0, "", [] and {}."""

    operand: Operand

    def holds(self, scope: Values) -> bool:
        return bool(self.operand.over(scope))


@dataclass(frozen=True, slots=True)
class Comparison:
    """The two compare as they should."""

    left: Operand
    compare: Callable[[Any, Any], bool]
    right: Operand

    def holds(self, scope: Values) -> bool:
        return self.compare(self.left.over(scope), self.right.over(scope))


def matches(value: Any, pattern: Any) -> bool:
    """Whether a compiled pattern of RE2 is found anywhere in a text."""
    try:
        return isinstance(value, str) and pattern.search(value) is not None
    except UnicodeError:  # half of a character
        return False


def _equal(left: Any, right: Any) -> bool:
    pending = [(left, right)]  # a stack of our own: how deep a model's answer nests is the model's choice
    while pending:
        one, other = pending.pop()
        if not _alike(one, other):
            return False
        pending.extend(_members(one, other))
    return True


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, members of lists and objects aside."""
    if _kind(one) != _kind(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other)
    return bool(one.keys() == other.keys() if isinstance(one, Mapping) else one == other)


def _members(one: Any, other: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(one, Mapping):
        return [(one[key], other[key]) for key in one]
    return zip(one, other, strict=True) if isinstance(one, list) else ()


def _kind(value: Any) -> int:
    """Which kind of JSON's it is; null, and whatever JSON does not have, is the last."""
    return next((number for number, kind in enumerate(_KINDS) if isinstance(value, kind)), len(_KINDS))


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(whole, list):
        return any(_equal(element, part) for element in whole)
    return isinstance(whole, (str, Mapping)) and isinstance(part, str) and part in whole


# Of one kind alone: Python orders numbers and booleans, JSON knows no such order.
def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: _kind(left) == _kind(right) in _IN_ORDER and bool(compare(left, right))


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "contains": _contains,
    "in": lambda part, whole: _contains(whole, part),
}

"""What a workflow comes to, written from its guide alone: each step's final state and output, whatever the order.

It knows no rounds, rows or times: it goes through the steps in an order in which each stands behind those before it.
"""

import json
import re
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

Condition = tuple[Any, ...]
"""`("truth", path)`, `(sign, path, constant)`, `("not", c)`, `("and", c, c)` or `("or", c, c)`."""

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"<": lambda a, b: a < b, ">=": lambda a, b: a >= b}


@dataclass(frozen=True)
class Fate:
    """What becomes of what is asked: so many attempts fail, then one ends `at_last`: answered, cancelled by a user."""

    failures: int = 0
    at_last: str = "answered"


@dataclass(frozen=True)
class Flow:
    """A definition, its conditions unwritten, the inputs of a run, and the fates of what each step asks, by item.

    Of an approval `decisions` says the outcome: approve, reject or late.
    """

    raw: dict[str, Any]
    conditions: Mapping[str, Condition]
    inputs: dict[str, Any]
    fates: Mapping[str, Sequence[Fate]]
    decisions: Mapping[str, str]


@dataclass(frozen=True)
class End:
    """How a step ends. `unreached` is one that never began, for the run had failed before."""

    status: str
    output: Any = None

    @property
    def happened(self) -> bool:
        return self.status != "unreached"


def answer(prompt: str, *, structured: bool) -> Any:
    """What a model says to a prompt."""
    number = crc32(prompt.encode())
    return {"n": number % 4, "ok": number % 2 == 0, "list": [*range(number % 3)]} if structured else f"<{number}>"


def interpret(flow: Flow) -> dict[str, End]:
    """How each step ends, where each that can be reached is, before the run ends."""
    steps = {step["id"]: step for step in flow.raw["steps"]}
    sources = {name: [other for other, step in steps.items() if goto(step) == name] for name in steps}
    order = TopologicalSorter({name: [*step["needs"], *sources[name]] for name, step in steps.items()})
    ends: dict[str, End] = {}
    for name in order.static_order():
        ends[name] = _end(flow, steps, sources[name], steps[name], ends)
    return ends


def goto(step: Mapping[str, Any]) -> str | None:
    on_error = step["on_error"]
    return on_error["goto"] if isinstance(on_error, dict) else None


def is_fatal(step: Mapping[str, Any], end: End) -> bool:
    return end.status == "failed" and step["on_error"] == "fail"


def _end(
    flow: Flow,
    steps: Mapping[str, Mapping[str, Any]],
    sources: Sequence[str],
    step: Mapping[str, Any],
    ends: Mapping[str, End],
) -> End:
    before = [*step["needs"], *sources]
    if any(not ends[other].happened or is_fatal(steps[other], ends[other]) for other in before):
        return End("unreached")
    scope = {"inputs": flow.inputs, "steps": {name: _seen(end) for name, end in ends.items() if end.happened}}
    if sources:
        runs = any(ends[source].status == "failed" for source in sources)
    else:
        lost = any(ends[need].status == "failed" and goto(steps[need]) for need in step["needs"])
        met = any(ends[need].status in {"completed", "failed"} for need in step["needs"])
        runs = not lost and (met or not step["needs"])
    if not runs or not _holds(flow.conditions.get(step["id"]), scope):
        return End("skipped")
    return _CARRIED_OUT[step["kind"]](flow, step, scope)


def _seen(end: End) -> dict[str, Any]:
    return {"status": end.status, "output": end.output, "error": "why" if end.status == "failed" else None}


def _approval(flow: Flow, step: Mapping[str, Any], _: Any) -> End:
    decision = flow.decisions[step["id"]]
    approved = decision == "approve" or (decision == "late" and step["on_timeout"] == "approve")
    how = "deadline" if decision == "late" else "terminal"
    return End("completed" if approved else "failed", {"approved": approved, "how": how})


def _task(flow: Flow, step: Mapping[str, Any], scope: Any) -> End:
    given = _asked(flow, step, scope, 0)
    return End("failed") if given is None else End("completed", given)


def _map(flow: Flow, step: Mapping[str, Any], scope: Any) -> End:
    over = look(scope, step["over"])
    if not isinstance(over, list):
        return End("failed")
    given = [_asked(flow, step, scope | {"item": item, "index": n}, n) for n, item in enumerate(over)]
    failed = [n for n, one in enumerate(given) if one is None]
    output = {"items": given, "succeeded": len(given) - len(failed), "failed": len(failed), "errors": failed}
    return End("failed" if given and len(failed) == len(given) else "completed", output)


_CARRIED_OUT: Mapping[str, Callable[..., End]] = {"task": _task, "map": _map, "approval": _approval}


def _asked(flow: Flow, step: Mapping[str, Any], scope: Any, item: int) -> Any:
    """The answer; None where there is none in the end."""
    fate, prompt = flow.fates[step["id"]][item], written(step["prompt"], scope)
    if not prompt.strip() or fate.failures >= step["retry"]["attempts"] or fate.at_last == "cancelled":
        return None
    return answer(prompt, structured="response_schema" in step)


def written(text: str, scope: Any) -> str:
    def value(found: re.Match[str]) -> str:
        given = look(scope, found[1])
        if isinstance(given, str):
            return given
        return "" if given is None else json.dumps(given, separators=(",", ":"))

    return re.sub(r"\{\{ (\S+) \}\}", value, text)


def look(scope: Any, path: str) -> Any:
    for name in path.split("."):
        scope = scope.get(name) if isinstance(scope, dict) else None
    return scope


def _holds(condition: Condition | None, scope: Any) -> bool:
    match condition:
        case None:
            return True
        case ("truth", path):
            return bool(look(scope, path))
        case ("not", inner):
            return not _holds(inner, scope)
        case ("and", one, other):
            return _holds(one, scope) and _holds(other, scope)
        case ("or", one, other):
            return _holds(one, scope) or _holds(other, scope)
        case (sign, path, constant):
            return _compares(sign, look(scope, path), constant)
    raise AssertionError(condition)


def _compares(sign: str, value: Any, constant: Any) -> bool:
    if sign in _ORDERS:
        return isinstance(value, int) and not isinstance(value, bool) and _ORDERS[sign](value, constant)
    return (value == constant) is (sign == "==")

"""What a run does next: a pure function of its graph, its steps' states and what they gave.

A step is looked at once all that stand before it (`needs`, and the steps whose failure leads to it) have ended. It runs

- where failures lead to it: only if one of those steps has failed; its needs are waited for, but need not be met;
- where none do: if it needs nothing, or one of its needs is met and none has failed to another step. A need is met that
  has completed, or failed with `on_error: continue`: so branches that were skipped do not hold up what joins them;

and if its condition, where it has one, holds. Otherwise it is skipped. A failure with `on_error: fail` ends the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.workflows.definition import ApprovalStep
from vel_tutor_mcp.workflows.graph import Graph
from vel_tutor_mcp.workflows.model import StepStatus

MOST_AT_ONCE = 5

Statuses = Mapping[str, StepStatus]


@dataclass(frozen=True, slots=True)
class Moves:
    """What follows: steps to skip (with why, as the end of a sentence) and to start.

    `failed_by` is the step that ends the run as failed; `complete` says that all is done.
    """

    skip: Mapping[str, str]
    start: tuple[str, ...]
    failed_by: str | None = None
    complete: bool = False


def next_moves(graph: Graph, statuses: Statuses, scope: Mapping[str, Any]) -> Moves:
    """The moves that are due; carrying them out may make others due. `scope` is what conditions see (`scope_of`)."""
    for name, status in statuses.items():
        if status is StepStatus.FAILED and graph.steps[name].on_error == "fail":
            return Moves({}, (), failed_by=name)
    skip, ready = dict[str, str](), set[str]()
    for name, status in statuses.items():
        if status is not StepStatus.WAITING or not all(statuses[other].ended for other in graph.before[name]):
            continue
        if (why := _why_not(graph, name, statuses, scope)) is None:
            ready.add(name)
        else:
            skip[name] = why
    return Moves(skip, _with_room(graph, statuses, ready), complete=all(status.ended for status in statuses.values()))


def scope_of(inputs: Mapping[str, Any], steps: Mapping[str, tuple[StepStatus, Any, str | None]]) -> dict[str, Any]:
    """What texts and expressions see: the inputs, and of each step that has ended its status, output and error."""
    seen = {
        name: {"status": status.value, "output": output, "error": error}
        for name, (status, output, error) in steps.items()
        if status.ended
    }
    return {"inputs": inputs, "steps": seen}


def _why_not(graph: Graph, name: str, statuses: Statuses, scope: Mapping[str, Any]) -> str | None:
    """Why the step does not run; None where it does."""
    step, sources = graph.steps[name], graph.sources[name]
    if sources:
        if not any(statuses[source] is StepStatus.FAILED for source in sources):
            return f"{_listed(sources)} did not fail"
    elif lost := [need for need in step.needs if _is_lost(graph, need, statuses)]:
        return f"{_listed(lost)} failed"
    elif step.needs and not any(_is_met(need, statuses) for need in step.needs):
        return f"{_listed(step.needs)} did not run"
    condition = graph.conditions.get(name)
    return None if condition is None or condition.holds(scope) else "its condition does not hold"


def _is_lost(graph: Graph, need: str, statuses: Statuses) -> bool:
    return statuses[need] is StepStatus.FAILED and graph.steps[need].goto is not None


def _is_met(need: str, statuses: Statuses) -> bool:
    return statuses[need] in {StepStatus.COMPLETED, StepStatus.FAILED}


def _with_room(graph: Graph, statuses: Statuses, ready: set[str]) -> tuple[str, ...]:
    """Those that may start, in their order of writing; who asks a person takes up no room."""
    room = MOST_AT_ONCE - sum(status is StepStatus.RUNNING for status in statuses.values())
    start: list[str] = []
    for name in graph.steps:
        if name not in ready:
            continue
        asks = isinstance(graph.steps[name], ApprovalStep)
        if asks or room > 0:
            start.append(name)
            room -= not asks
    return tuple(start)


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names)

"""A graph as Mermaid text (mermaid.js.org, flowchart), with the states of a run where it is of one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vel_tutor_mcp.workflows.model import StepStatus

if TYPE_CHECKING:
    from vel_tutor_mcp.workflows.definition import Step
    from vel_tutor_mcp.workflows.graph import Graph

_COLOURS: Mapping[StepStatus, str] = {
    StepStatus.RUNNING: "#cce5ff",
    StepStatus.AWAITING_APPROVAL: "#ffe8a1",
    StepStatus.COMPLETED: "#c3e6cb",
    StepStatus.FAILED: "#f5c6cb",
    StepStatus.SKIPPED: "#e2e3e5",
    StepStatus.CANCELLED: "#d6d8db",
}

_SHAPES = {
    "task": ("[", "]"),
    "map": ("[[", "]]"),
    "approval": ("{", "}"),
    "taskmaster": ("[/", "/]"),
    "plan": ("[", "]"),
}


def drawn(graph: "Graph", statuses: Mapping[str, StepStatus] | None = None) -> str:
    """The flowchart: approvals as rhombs, maps as double boxes, work on a project aslant, and a dashed arrow where a
    failure leads.
    """
    numbers = {name: f"s{number}" for number, name in enumerate(graph.steps)}
    lines = ["flowchart TD"]
    lines += [f"  {numbers[name]}{_box(step, (statuses or {}).get(name))}" for name, step in graph.steps.items()]
    for name, step in graph.steps.items():
        lines += [f"  {numbers[need]} --> {numbers[name]}" for need in step.needs]
        if step.goto is not None:
            lines.append(f"  {numbers[name]} -. on error .-> {numbers[step.goto]}")
    return "\n".join([*lines, *_styles(numbers, statuses or {})])


def _box(step: "Step", status: StepStatus | None) -> str:
    told = f"<br/>{status.value}" if status is not None else ""
    condition = "<br/>if its condition holds" if step.when is not None else ""
    text = f'"{step.id}{condition}{told}"'
    left, right = _SHAPES[step.kind]
    return f"{left}{text}{right}"


def _styles(numbers: Mapping[str, str], statuses: Mapping[str, StepStatus]) -> list[str]:
    lines = []
    for status, colour in _COLOURS.items():
        of_it = [numbers[name] for name, its in statuses.items() if its is status]
        if of_it:
            lines += [
                f"  classDef {status.value} fill:{colour},color:#000",
                f"  class {','.join(of_it)} {status.value}",
            ]
    return lines

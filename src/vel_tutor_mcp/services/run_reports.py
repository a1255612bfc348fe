"""Workflows and runs as their users see them: one shape for tools, resources and command line (pure).

Tools load this before the first answer: what is heavy is named for the type checker only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vel_tutor_mcp.models import NanoUsd, TaskStatus
from vel_tutor_mcp.services.reports import moment, shown_error, shown_usd
from vel_tutor_mcp.workflows.mermaid import drawn
from vel_tutor_mcp.workflows.model import Run, RunEvent, RunStep, StepStatus, Workflow
from vel_tutor_mcp.workflows.text import lookup

if TYPE_CHECKING:
    from vel_tutor_mcp.store.runs import Awaiting
    from vel_tutor_mcp.store.step_tasks import StepTasks
    from vel_tutor_mcp.taskmaster.errands import Errand
    from vel_tutor_mcp.workflows.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldWorkflow:
    """A workflow with its newest definition, and when each of its versions was made."""

    workflow: Workflow
    definition: dict[str, Any]
    graph: "Graph"
    versions: Mapping[int, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRun:
    """A run with all that is known of it; `tasks` are those of its steps, `errands` what they took on of projects."""

    run: Run
    graph: "Graph"
    steps: Sequence[RunStep]
    tasks: "Mapping[str, StepTasks]"
    errands: "Sequence[Errand]"
    cost_nanousd: NanoUsd
    history: Sequence[RunEvent]

    @property
    def status(self) -> TaskStatus:
        return self.run.status


@dataclass(frozen=True, slots=True)
class Asked:
    """An approval that waits for its decision, and the graph of its run."""

    awaiting: "Awaiting"
    graph: "Graph"


def short_workflow(workflow: Workflow) -> dict[str, Any]:
    """The form that lists carry."""
    return {
        "id": workflow.id,
        "name": workflow.name,
        "version": workflow.version,
        "template": workflow.template,
        "created_at": moment(workflow.created_at),
        "updated_at": moment(workflow.updated_at),
    }


def full_workflow(told: ToldWorkflow) -> dict[str, Any]:
    """The workflow with its newest definition and its graph as Mermaid text."""
    versions = [{"version": number, "created_at": moment(at)} for number, at in told.versions.items()]
    return short_workflow(told.workflow) | {
        "definition": told.definition,
        "graph": drawn(told.graph),
        "versions": versions,
    }


def short_run(run: Run) -> dict[str, Any]:
    """The form that lists carry."""
    return {
        "id": run.id,
        "status": run.status.value,
        "workflow": run.workflow_name,
        "workflow_id": run.workflow_id,
        "version": run.workflow_version,
        "error": shown_error(run.error),
        "created_at": moment(run.created_at),
        "updated_at": moment(run.updated_at),
        "ended_at": moment(run.ended_at),
    }


def full_run(told: ToldRun) -> dict[str, Any]:
    """Everything about the run; its `output` is what its last steps gave."""
    return short_run(told.run) | {
        "output": output_of(told),
        "cost_usd": shown_usd(told.cost_nanousd),
        "max_cost_usd": shown_usd(told.run.max_cost_nanousd),
        "approvals": [_shown_approval(told.graph, step) for step in waiting(told)],
        "steps": [_shown_step(told, step) for step in told.steps],
        "graph": drawn(told.graph, {step.step_id: step.status for step in told.steps}),
        "inputs": told.run.inputs,
        "history": [
            {
                "at": moment(event.at),
                "step": event.step_id,
                "kind": event.kind,
                "message": event.message,
                "percent": event.percent,
            }
            for event in told.history
        ],
    }


def shown_asked(asked: Asked) -> dict[str, Any]:
    """The approval, for whoever decides it without the rest of its run."""
    waits = asked.awaiting
    return {"run": waits.step.run_id, "workflow": waits.workflow_name} | _shown_approval(asked.graph, waits.step)


def waiting(told: ToldRun) -> list[RunStep]:
    """The approvals that wait for a decision."""
    return [step for step in told.steps if step.status is StepStatus.AWAITING_APPROVAL]


def output_of(told: ToldRun) -> Any:
    """What the run gave: what is there first at its paths, or what its last steps gave, of several each by its id."""
    scope = {"steps": {step.step_id: {"output": step.output} for step in told.steps}}
    if told.graph.output:
        found = (lookup(scope, path) for path in told.graph.output)
        return next((value for value in found if value is not None), None)
    given = {
        step.step_id: step.output for step in told.steps if step.step_id in told.graph.last and step.output is not None
    }
    return next(iter(given.values())) if len(given) == 1 else given or None


def _shown_step(told: ToldRun, step: RunStep) -> dict[str, Any]:
    asked, made = told.graph.steps[step.step_id], told.tasks.get(step.step_id)
    shown: dict[str, Any] = {
        "id": step.step_id,
        "kind": asked.kind,
        "status": step.status.value,
        "needs": list(asked.needs),
        "output": step.output,
        "error": shown_error(step.error),
        "started_at": moment(step.started_at),
        "due_at": moment(step.due_at),
        "ended_at": moment(step.ended_at),
    }
    if asked.when is not None:
        shown["when"] = asked.when
    if asked.kind == "map" and made is not None:
        return shown | {"tasks": _counted(made.counts, len((step.seen or {}).get("items", ())))}
    if asked.kind == "taskmaster":
        return shown | {"items": _items(told, step.step_id)}
    return shown | {"task": made.first} if made is not None else shown


def _counted(counts: Mapping[Any, int], items: int) -> dict[str, int]:
    return {"items": items} | {status.value: count for status, count in counts.items()}


def _items(told: ToldRun, step_id: str) -> dict[str, str]:
    """How far each item of a project is that the step has taken on, and in the end its status."""
    of_step = [errand for errand in told.errands if errand.step_id == step_id]
    return {errand.item_id: (errand.outcome or errand.state).value for errand in of_step}


def _shown_approval(graph: "Graph", step: RunStep) -> dict[str, Any]:
    asked = graph.steps[step.step_id]
    assert asked.kind == "approval"
    return {
        "step": step.step_id,
        "prompt": (step.seen or {}).get("prompt"),
        "human": step.insists,
        "asked_at": moment(step.started_at),
        "due_at": moment(step.due_at),
        "on_timeout": asked.on_timeout if step.due_at else None,
    }

"""What callers read of workflows and runs."""

from collections.abc import Iterable
from typing import Any

from mcp_types import CallToolResult

from vel_tutor_mcp.doors.reply import answer_text, listed, replied, task_replied, without
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Page, TaskStatus
from vel_tutor_mcp.services.reports import Told, shortened
from vel_tutor_mcp.services.run_reports import (
    ToldRun,
    ToldWorkflow,
    full_run,
    full_workflow,
    short_run,
    short_workflow,
)
from vel_tutor_mcp.workflows.model import Run, StepStatus, Workflow

_OUTPUT_SHOWN = 8_000
_QUESTION_SHOWN = 2_000
_STEP_SHOWN = 500
_NAMES_SHOWN = 4_000
# Of what waits at once so many are told of in full, the others by their names.
_QUESTIONS_SHOWN = 5
_VERSIONS_SHOWN = 20
_WORKFLOWS_SHOWN = 20


def run_replied(told: ToldRun) -> CallToolResult:
    """A run: its result where there is one, else where it stands and what to do next."""
    data = full_run(told)
    text = answer_text(data["output"]) if told.status is TaskStatus.COMPLETED else ""
    lines = [shortened(text, _OUTPUT_SHOWN)] if text else []
    asked = data["approvals"][:_QUESTIONS_SHOWN]
    lines += [f"{row['step']} asks: {shortened(row['prompt'], _QUESTION_SHOWN)}" for row in asked]
    lines.append(_standing(told))
    return _replied(told, "\n\n".join(lines), data, cut=len(text) > _OUTPUT_SHOWN)


def _replied(told: ToldRun, text: str, data: dict[str, Any], *, cut: bool = False) -> CallToolResult:
    """The text, with the run as data that fits an answer."""
    for step in data["steps"]:
        step["output"] = _shown_output(step["output"])
    for row in data["approvals"]:
        row["prompt"] = shortened(row["prompt"], _QUESTION_SHOWN)
    uri = f"run://{told.run.id}"
    shown = without(data, ("history", "graph", "inputs", "output", "steps", "approvals"), f"resource {uri}")
    return replied(text, shown, uri, cut=cut or shown is not data)


def stopped_replied(told: Told | ToldRun) -> CallToolResult:
    """What was stopped, a task or a run."""
    return task_replied(told) if isinstance(told, Told) else run_replied(told)


def found_replied(found: ToldRun | ToldWorkflow) -> CallToolResult:
    """What an id or a name led to."""
    return run_replied(found) if isinstance(found, ToldRun) else workflow_replied(found)


def undecided(told: ToldRun, step: str) -> CallToolResult:
    """The person was asked, and gave no answer."""
    told_text = f"Nobody decided: the person was asked and gave no answer; {step} still waits for a decision."
    return _replied(told, told_text, full_run(told))


def workflow_replied(told: ToldWorkflow) -> CallToolResult:
    """A workflow: what it takes and how it is started."""
    workflow, steps = told.workflow, told.graph.steps
    inputs = told.definition.get("inputs", {}).get("properties", {})
    text = (
        f"Workflow {workflow.name}, version {workflow.version} [{workflow.id}]: {_names(steps)}. "
        f"Its inputs: {_names(inputs)}. Start it with workflow_run(workflow={workflow.name!r})."
    )
    data = full_workflow(told)
    data["versions"] = data["versions"][-_VERSIONS_SHOWN:]
    uri = f"workflow://{workflow.id}"
    shown = without(data, ("graph", "definition"), f"resource {uri}")
    return replied(text, shown, uri, cut=shown is not data)


def runs_listed(workflows: Page[Workflow], runs: Page[Run]) -> CallToolResult:
    """The runs of a page, beside the newest workflows: all by name, the first few also as data."""
    result = listed("runs", runs, short_run, _line)
    data: dict[str, Any] = dict(result.structured_content or {})
    data["workflows"] = [short_workflow(workflow) for workflow in workflows.rows[:_WORKFLOWS_SHOWN]]
    names = _names([workflow.name for workflow in workflows.rows])
    older = ", and older ones" if workflows.cursor else ""
    (text,) = result.content  # lists go on by their cursor, and have no link
    told = f"Workflows: {names}{older}.\n{getattr(text, 'text', '')}"
    return replied(told, without(data, ("workflows",), "names in the text, and each with workflow_get"))


def _names(names: Iterable[str]) -> str:
    return shortened(", ".join(names), _NAMES_SHOWN) or "none"


def _line(run: Run) -> str:
    return f"{run.id} {run.status.value} {run.workflow_name}"


def _standing(told: ToldRun) -> str:
    run = told.run
    done = sum(step.status.ended and step.status is not StepStatus.CANCELLED for step in told.steps)
    where = f"run {run.id}, {done} of {len(told.steps)} steps, ${told.cost_nanousd / 10**9:.6f}"
    match run.status:
        case TaskStatus.COMPLETED:
            return f"[completed, {where}]"
        case TaskStatus.FAILED:
            why = run.error.message if run.error else "unknown"
            return f"Failed: {why} {_way_on(run)} [{where}]"
        case TaskStatus.CANCELLED:
            return f"Cancelled. {_way_on(run)} [{where}]"
        case TaskStatus.AWAITING_APPROVAL:
            names = [step.step_id for step in told.steps if step.status is StepStatus.AWAITING_APPROVAL]
            return (
                f"Waiting for a decision on {_names(names)}. Ask the user, then call workflow_decide(run={run.id}, "
                f"step={names[0]}, approve=...). [{where}]"
            )
        case _:
            last = told.history[-1].message if told.history else "started"
            return f"{run.status.value}: {last}. Follow it with workflow_get(id={run.id}, wait_seconds=50). [{where}]"


def _way_on(run: Run) -> str:
    code = run.error.code if run.error else None
    if code == "rejected":
        return f"That decision stands; only if the user wants to be asked again: workflow_retry(run={run.id})."
    if code == InputError.code:  # of what the run was given, which never changes
        return "Once that is corrected, start a new run with workflow_run."
    left = "" if run.max_cost_nanousd is None else f", with what is left of its ${run.max_cost_nanousd / 10**9:g}"
    return f"Continue it with workflow_retry(run={run.id}){left}."


def _shown_output(output: Any) -> Any:
    text = answer_text(output)
    return output if len(text) <= _STEP_SHOWN else shortened(text, _STEP_SHOWN)

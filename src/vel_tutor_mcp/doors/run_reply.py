"""What callers read of workflows and runs."""

from typing import Any

from mcp_types import CallToolResult

from vel_tutor_mcp.doors.reply import answer_text, listed, replied, task_replied, without
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


def run_replied(told: ToldRun) -> CallToolResult:
    """A run: its result where there is one, else where it stands and what to do next."""
    data = full_run(told)
    text = answer_text(data["output"]) if told.status is TaskStatus.COMPLETED else ""
    lines = [shortened(text, _OUTPUT_SHOWN)] if text else []
    lines += [f"{row['step']} asks: {shortened(row['prompt'], _QUESTION_SHOWN)}" for row in data["approvals"]]
    lines.append(_standing(told))
    for step in data["steps"]:
        step["output"] = _shown_output(step["output"])
    whole = without(data, ("history", "graph", "inputs", "output", "steps"), f"run://{told.run.id}")
    return replied("\n\n".join(lines), whole)


def stopped_replied(told: Told | ToldRun) -> CallToolResult:
    """What was stopped, a task or a run."""
    return task_replied(told) if isinstance(told, Told) else run_replied(told)


def found_replied(found: ToldRun | ToldWorkflow) -> CallToolResult:
    """What an id or a name led to."""
    return run_replied(found) if isinstance(found, ToldRun) else workflow_replied(found)


def undecided(told: ToldRun, step: str) -> CallToolResult:
    """The person was asked, and gave no answer."""
    told_text = f"Nobody decided: the person was asked and gave no answer; {step} still waits for a decision."
    return replied(told_text, full_run(told))


def workflow_replied(told: ToldWorkflow) -> CallToolResult:
    """A workflow: what it takes and how it is started."""
    workflow, steps = told.workflow, told.graph.steps
    inputs = told.definition.get("inputs", {}).get("properties", {})
    text = (
        f"Workflow {workflow.name}, version {workflow.version} [{workflow.id}]: {', '.join(steps)}. "
        f"Its inputs: {', '.join(inputs) or 'none'}. Start it with workflow_run(workflow={workflow.name!r})."
    )
    return replied(text, without(full_workflow(told), ("graph", "definition"), f"workflow://{workflow.id}"))


def runs_listed(workflows: Page[Workflow], runs: Page[Run]) -> CallToolResult:
    """The runs of a page, beside the newest workflows."""
    result = listed("runs", runs, short_run, _line)
    data: dict[str, Any] = dict(result.structured_content or {})
    data["workflows"] = [short_workflow(workflow) for workflow in workflows.rows]
    names = ", ".join(workflow.name for workflow in workflows.rows) or "none"
    (text,) = result.content
    return replied(f"Workflows: {names}.\n{getattr(text, 'text', '')}", without(data, ("workflows",), "workflow_get"))


def _line(run: Run) -> str:
    return f"{run.id} {run.status.value} {run.workflow_name}"


def _standing(told: ToldRun) -> str:
    run, done = told.run, sum(step.status.ended for step in told.steps)
    where = f"run {run.id}, {done} of {len(told.steps)} steps, ${told.cost_nanousd / 10**9:.6f}"
    match run.status:
        case TaskStatus.COMPLETED:
            return f"[completed, {where}]"
        case TaskStatus.FAILED:
            why = run.error.message if run.error else "unknown"
            return f"Failed: {why} Continue it with workflow_retry(run={run.id}). [{where}]"
        case TaskStatus.CANCELLED:
            return f"Cancelled [{where}]"
        case TaskStatus.AWAITING_APPROVAL:
            names = [step.step_id for step in told.steps if step.status is StepStatus.AWAITING_APPROVAL]
            return (
                f"Waiting for a decision on {', '.join(names)}. Ask the user, then call workflow_decide(run={run.id}, "
                f"step={names[0]}, approve=...). [{where}]"
            )
        case _:
            last = told.history[-1].message if told.history else "started"
            return f"{run.status.value}: {last}. Follow it with workflow_get(id={run.id}, wait_seconds=50). [{where}]"


def _shown_output(output: Any) -> Any:
    text = answer_text(output)
    return output if len(text) <= _STEP_SHOWN else shortened(text, _STEP_SHOWN)

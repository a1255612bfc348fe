"""Where a run goes on that has failed or was cancelled. (Pure.)"""

from collections.abc import Mapping

from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.workflows.graph import Graph
from vel_tutor_mcp.workflows.model import RunStep, StepStatus

_ENDED_BADLY = frozenset({StepStatus.FAILED, StepStatus.CANCELLED})


def again(graph: Graph, steps: Mapping[str, RunStep], step_id: str | None) -> list[str]:
    """The steps that are looked at once more when a run goes on: what failed, and what it kept from running.

    Raises:
        InputError: there is no such step. Conflict: it has not failed, or what follows it has begun without it.
    """
    failed = {name for name, step in steps.items() if _failed_run(graph, step)}
    if step_id is not None:  # what failed the run would fail it again, if it were left so
        failed.add(_failed(graph, steps, step_id))
    stopped = {name for name, step in steps.items() if step.status is StepStatus.CANCELLED}
    after = [name for name in graph.steps if graph.ancestors[name] & failed]
    for name in after:
        if steps[name].started_at is not None:
            raise Conflict(
                f"The step {name} has begun with what it saw of {step_id}; what a step was given never changes; start "
                "a new run."
            )
    return [name for name in graph.steps if name in {*failed, *stopped, *after}]


def _failed_run(graph: Graph, step: RunStep) -> bool:
    return step.status is StepStatus.FAILED and graph.steps[step.step_id].on_error == "fail"


def _failed(graph: Graph, steps: Mapping[str, RunStep], step_id: str) -> str:
    if step_id not in graph.steps:
        raise InputError(f"The run has no such step; its steps are {', '.join(graph.steps)}; name one of these.")
    if (status := steps[step_id].status) not in _ENDED_BADLY:
        raise Conflict(
            f"The step {step_id} is {status.value}; only a failed or cancelled step can be tried again; see the run "
            "with workflow_get."
        )
    return step_id

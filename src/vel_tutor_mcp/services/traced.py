"""What is told of tasks, attempts, steps and runs in a trace (pure): ids, names of the catalogue, numbers and states.

Nothing that somebody wrote is among it: no prompt, answer or error's sentence, no name of an agent or a workflow.
docs/observability.md lists it all.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from vel_tutor_mcp.models import Attempt, Decision, Outcome, TaskStatus
from vel_tutor_mcp.store.attempts import Ending
from vel_tutor_mcp.tracing.spans import Attributes, Origin, Past
from vel_tutor_mcp.workflows.model import Run, RunStep, StepStatus


def task(agent_id: str | None) -> Attributes:
    return {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.id": agent_id}


def decided(decision: Decision) -> Attributes:
    return {
        "vel_tutor.route.task_type": decision.task_type.value,
        "vel_tutor.route.policy": decision.policy.value,
        "vel_tutor.route.candidates": [candidate.name for candidate in decision.candidates],
        "vel_tutor.route.reasons": decision.reasons,
    }


def attempt(made: Attempt, ending: Ending, ended: datetime) -> Past:
    """A call of a provider; one that a crash cut lasts until it was found to be cut."""
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": made.provider,
        "gen_ai.request.model": made.model,
        "gen_ai.response.model": ending.served_model,
        "gen_ai.response.time_to_first_chunk": _seconds(ending.first_token_ms),
        "gen_ai.usage.input_tokens": ending.tokens_in,
        "gen_ai.usage.output_tokens": ending.tokens_out,
        "vel_tutor.task.id": made.task_id,
        "vel_tutor.attempt.id": made.id,
        "vel_tutor.attempt.number": made.number,
        "vel_tutor.attempt.outcome": ending.outcome.value,
        "vel_tutor.attempt.cost_nanousd": ending.cost_nanousd,
        "error.type": _error(ending),
    }
    if ending.total_ms is not None:
        ended = made.started_at + timedelta(milliseconds=ending.total_ms)
    return Past(f"chat {made.model}", "client", attributes, made.started_at, ended)


def steps(run_: Run, step: RunStep) -> Iterator[Past]:
    """The step, where it was begun at all."""
    if step.started_at and step.ended_at:
        attributes: Attributes = {
            "vel_tutor.run.id": run_.id,
            "vel_tutor.step.id": step.step_id,
            "vel_tutor.step.status": step.status.value,
            "error.type": step.error.code if step.error and step.status is StepStatus.FAILED else None,
        }
        yield Past("step", "internal", attributes, step.started_at, step.ended_at, _origin(run_))


def run(ended: Run, at: datetime) -> Past:
    attributes: Attributes = {
        "vel_tutor.run.id": ended.id,
        "vel_tutor.run.status": ended.status.value,
        "error.type": ended.error.code if ended.error and ended.status is TaskStatus.FAILED else None,
    }
    return Past("run", "internal", attributes, ended.created_at, at, _origin(ended))


def _origin(of: Run) -> Origin | None:
    return Origin(of.traceparent) if of.traceparent else None


def _error(ending: Ending) -> str | None:
    if ending.failure is not None:
        return ending.failure.value
    return ending.outcome.value if ending.outcome in {Outcome.FAILED, Outcome.CUT} else None


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000

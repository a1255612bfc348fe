"""What is told of tasks, attempts, steps and runs in a trace: ids, names of the catalog, numbers and states.

Nothing that somebody wrote is among it: no prompt, answer or error's sentence, no name of an agent or a workflow.
docs/observability.md lists it all.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from vel_tutor_mcp.execution import engine
from vel_tutor_mcp.models import Attempt, Decision, Outcome, TaskStatus, Work
from vel_tutor_mcp.services.persist import persisted
from vel_tutor_mcp.store import tasks
from vel_tutor_mcp.store.attempts import Ending
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken
from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.tracing.spans import Attributes, Origin, Past
from vel_tutor_mcp.workflows.model import Run, RunStep, StepStatus


async def whole(database: Database, work: Work, work_on: engine.Run) -> str:
    """What the run of a task comes to, in the trace that the task was submitted in."""
    if not spans.on():
        return await work_on(work)
    traceparent, agent_id = await persisted(lambda: _submitted(database, work))
    named = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.id": agent_id}
    with spans.span("invoke_agent", attributes=named, origin=Origin(traceparent)) as span:
        state = await work_on(work)
        span.tell({"vel_tutor.task.status": state})
        if state == TaskStatus.FAILED:
            span.fail(state)
        return state


@unbroken
async def _submitted(database: Database, work: Work) -> tuple[str | None, str | None]:
    async with database.read(INSTALLATION) as tx:
        return await tasks.trace(tx, work.task_id)


def decided(choose: Callable[[], Decision]) -> Decision:
    """The decision, with the time that it took."""
    with spans.part("route", "internal", {}) as span:
        decision = choose()
        named = [candidate.name for candidate in decision.candidates]
        span.tell({"vel_tutor.route.candidates": named, "vel_tutor.route.reasons": decision.reasons})
        span.tell({"vel_tutor.route.task_type": decision.task_type, "vel_tutor.route.policy": decision.policy})
        return decision


def attempt(made: Attempt, ending: Ending, began: datetime, ended: datetime) -> Past:
    """A call of a provider, from when it was sent for as long as it took; one that a crash cut lasts from when it was
    booked until it was found to be cut.
    """
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
        ended = began + timedelta(milliseconds=ending.total_ms)
    return Past(f"chat {made.model}", "client", attributes, began, ended)


def steps(of: Run, step: RunStep) -> Iterator[Past]:
    """The step, where it was begun at all."""
    if step.started_at and step.ended_at:
        attributes: Attributes = {
            "vel_tutor.run.id": of.id,
            "vel_tutor.step.id": step.step_id,
            "vel_tutor.step.status": step.status.value,
            "error.type": step.error.code if step.error and step.status is StepStatus.FAILED else None,
        }
        yield Past("step", "internal", attributes, step.started_at, step.ended_at, _origin(of))


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

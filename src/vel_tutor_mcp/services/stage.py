"""A run in a writer's transaction: its steps, and what can happen to one of whatever kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from vel_tutor_mcp.models import Principal, Task, TaskError, TaskRequest, TaskStatus
from vel_tutor_mcp.news import News
from vel_tutor_mcp.services import intake, record, traced
from vel_tutor_mcp.services.intake import Place, usable_agent
from vel_tutor_mcp.services.record import Aftermath, Subject
from vel_tutor_mcp.services.run_reports import short_run
from vel_tutor_mcp.services.webhooks import outbox
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.store import audit, runs, step_tasks, tasks
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.workflows.definition import MapStep, Step, TaskMasterStep, TaskStep
from vel_tutor_mcp.workflows.graph import Graph
from vel_tutor_mcp.workflows.model import Run, RunEvent, RunStep, StepStatus
from vel_tutor_mcp.workflows.plan import scope_of

_TOLD = {TaskStatus.COMPLETED: Event.RUN_COMPLETED, TaskStatus.FAILED: Event.RUN_FAILED}


@dataclass(slots=True)
class Stage:
    """`owner` is the run's: on their behalf its steps are begun. What changes here is kept by `store`."""

    tx: Transaction
    run: Run
    owner: Principal
    graph: Graph
    steps: dict[str, RunStep]
    executor: str
    after: Aftermath
    _stored: Mapping[str, RunStep] = field(init=False)
    _events: list[RunEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stored = dict(self.steps)

    @property
    def subject(self) -> str:
        return f"run:{self.run.id}"

    @property
    def statuses(self) -> dict[str, StepStatus]:
        return {name: step.status for name, step in self.steps.items()}

    @property
    def scope(self) -> dict[str, Any]:
        given = {
            name: (step.status, step.output, step.error.message if step.error else None)
            for name, step in self.steps.items()
        }
        return scope_of(self.run.inputs, given)

    async def ask(self, asked: TaskStep | MapStep | TaskMasterStep, item: int, request: TaskRequest) -> Subject:
        """Store a task of the step, which then waits for its turn.

        Raises:
            NotFound, Conflict: its agent cannot be asked.
        """
        agent = await usable_agent(self.tx, self.owner, request.agent)
        place = Place(
            run_id=self.run.id,
            step_id=asked.id,
            item=item,
            retries_left=asked.retry.attempts - 1,
            traceparent=self.run.traceparent,
        )
        subject = Subject(intake.new_task(self.owner, agent, request, place), self.owner, self.after)
        await intake.store(self.tx, subject, request, agent)
        return subject

    async def reopen(self, task: Task, retries_left: int, not_before: datetime | None = None) -> None:
        await usable_agent(self.tx, self.owner, task.agent_id)
        subject = Subject(task, self.owner, self.after)
        await intake.reopen(self.tx, subject, self.executor, not_before=not_before, retries_left=retries_left)

    async def complete(self, step_id: str, output: Any, told: str = "completed") -> None:
        self.close(step_id, StepStatus.COMPLETED, output=output, error=None)
        self.note(step_id, "completed", f"{step_id} {told}")
        await self.audit("step_completed", step_id)

    async def fail(self, step_id: str, error: TaskError) -> None:
        self.close(step_id, StepStatus.FAILED, error=error)
        self.note(step_id, "failed", f"{step_id} failed: {error.message}")
        await self.audit("step_failed", step_id, error=error.code)

    async def skip(self, step_id: str, why: str) -> None:
        self.close(step_id, StepStatus.SKIPPED)
        self.note(step_id, "skipped", f"{step_id} is skipped: {why}")
        await self.audit("step_skipped", step_id)

    async def end(self, status: TaskStatus, message: str, error: TaskError | None = None) -> None:
        for name, step in self.steps.items():
            if not step.status.ended:
                self.close(name, StepStatus.CANCELLED)
        await self.stop(await step_tasks.unended(self.tx, self.run.id))
        at = record.now()
        self.run = replace(self.run, status=status, error=error, ended_at=at, updated_at=at)
        self.note(None, status, message, look=True)
        if spans.on():
            self.after.spans.append(traced.run(self.run, at))
        self.after.bridged.extend(name for name, step in self.steps.items() if step.home is not None)
        await self.audit(f"run_{status}", None, **({"error": error.code} if error else {}))
        if status in _TOLD:
            await self.tell(_TOLD[status], {})

    async def stop(self, unended: Sequence[Task]) -> list[Task]:
        """Stop these tasks; returns those that had not begun, and so have ended now."""
        ended = []
        for task in unended:
            subject = Subject(task, self.owner, self.after)
            if task.status is TaskStatus.PENDING:
                # Not by the conductor, which would take the run on in a second round, beside this one.
                await record.end(self.tx, subject, TaskStatus.CANCELLED, "cancelled before it began")
                ended.append(replace(task, status=TaskStatus.CANCELLED))
            else:
                await tasks.change(self.tx, task.id, record.now(), cancel_requested=True)
                self.after.stop.append(subject.work)
        return ended

    def due(self, asked: Step, after_seconds: float = 0) -> datetime | None:
        limit = asked.timeout_seconds
        return None if limit is None else record.now() + timedelta(seconds=limit + after_seconds)

    def change(self, step_id: str, **values: Any) -> None:
        self.steps[step_id] = replace(self.steps[step_id], **values)

    def close(self, step_id: str, status: StepStatus, **values: Any) -> None:
        home = self.steps[step_id].home or None  # no bridge has it: none has anything to give back
        self.change(step_id, status=status, due_at=None, ended_at=record.now(), home=home, **values)
        if spans.on():
            self.after.spans.extend(traced.steps(self.run, self.steps[step_id]))

    def note(self, step_id: str | None, kind: str, message: str, *, look: bool = False, share: float = 0.0) -> None:
        """Add a line to the history; `look` wakes whoever waits for the run, `share` is done of a step that runs."""
        ended = sum(step.status.ended for step in self.steps.values()) + share
        percent = 100 if self.run.status.ended else min(99, int(100 * ended / len(self.steps)))
        self._events.append(RunEvent(step_id=step_id, kind=kind, message=message, percent=percent, at=record.now()))
        self.after.news.append((self.run.id, News(percent, message, ended=look)))

    async def audit(self, action: str, step_id: str | None, **facts: Any) -> None:
        payload = facts | ({"step": step_id} if step_id else {})
        await audit.append(self.tx, self.owner, action, self.subject, payload, record.now())

    async def tell(self, event: Event, more: dict[str, Any]) -> None:
        """Have webhooks told of the run, and of `more`."""
        run = self.run
        told = short_run(run) | {"owner_id": run.owner_id, "status_url": f"/api/runs/{run.id}"} | more
        await outbox.tell(self.tx, run.organisation_id, run.owner_id, event, told)

    async def store(self) -> None:
        if not self.run.status.ended:
            asks = StepStatus.AWAITING_APPROVAL in self.statuses.values()
            status = TaskStatus.AWAITING_APPROVAL if asks else TaskStatus.IN_PROGRESS
            self.run = replace(self.run, status=status)
        for name, step in self.steps.items():
            if step is not self._stored[name]:
                await runs.change_step(self.tx, step)
        self.run = replace(self.run, updated_at=record.now())
        await runs.change(self.tx, self.run)
        await runs.add_events(self.tx, self.run, self._events, self.executor)

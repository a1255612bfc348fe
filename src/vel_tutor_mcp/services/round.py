"""One round of a run: what has happened is settled, and what follows from it is begun, in the caller's transaction.

So a run has no process of its own that could die: it is taken on by whatever ends one of its tasks, decides one of its
approvals, or finds that its time is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS, Principal, Task, TaskError, TaskRequest, TaskStatus
from vel_tutor_mcp.news import News
from vel_tutor_mcp.services import intake, record
from vel_tutor_mcp.services.inputs import storable
from vel_tutor_mcp.services.intake import Place, usable_agent
from vel_tutor_mcp.services.outputs import CANCELLED, given_by, of_map
from vel_tutor_mcp.services.record import Aftermath, Subject
from vel_tutor_mcp.store import audit, runs, step_tasks, tasks
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.workflows.definition import MOST_ITEMS, ApprovalStep, MapStep, Step, TaskStep
from vel_tutor_mcp.workflows.graph import Graph
from vel_tutor_mcp.workflows.model import How, Run, RunEvent, RunStep, StepStatus
from vel_tutor_mcp.workflows.plan import next_moves, scope_of
from vel_tutor_mcp.workflows.text import lookup

_LONGEST_BACKOFF_SECONDS = 3600.0


@dataclass(slots=True)
class Round:
    """`owner` is the run's: on their behalf its steps are begun. Call `proceed` last: it stores what has changed."""

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

    async def settle(self, task: Task) -> None:
        """Take note of a task of the run that has ended."""
        assert task.step_id is not None
        step = self.steps[task.step_id]
        if step.status is not StepStatus.RUNNING:
            return
        asked = self.graph.steps[step.step_id]
        try:
            await self._settle(asked, step, task)
        except InputError as problem:  # its agent is gone: nobody can be asked again
            await self._give_up(step.step_id, problem)

    async def _settle(self, asked: Step, step: RunStep, task: Task) -> None:
        if _is_retried(asked, step, task):
            await self._retry(asked, task)
        elif isinstance(asked, MapStep):
            await self._next_items(asked)
        elif task.status is TaskStatus.COMPLETED:
            await self._complete(step.step_id, given_by(task))
        else:
            await self._fail(step.step_id, step.error or task.error or CANCELLED)

    async def decide(self, step_id: str, by: Principal, how: How, comment: str | None, *, approve: bool) -> None:
        """Take note of the decision that an approval waited for."""
        who = "the rule for its deadline" if how is How.DEADLINE else by.name
        output = {
            "approved": approve,
            "by": who,
            "how": how.value,
            "comment": comment,
            "at": record.now().isoformat(timespec="seconds"),
        }
        self._set(step_id, output=output)
        facts = {"step": step_id, "approved": approve, "how": how.value}
        await audit.append(self.tx, by, "approval_decided", self._subject, facts, record.now())
        word = "approved" if approve else "rejected"
        told = f"{word} by {who}" + (", relayed" if how is How.RELAYED else "")
        if approve:
            await self._complete(step_id, output, told)
        else:
            await self._fail(step_id, TaskError(code="rejected", message=f"It was {told}."))

    async def time_out(self, step_id: str) -> None:
        """Take note that a step's time is over: its tasks are stopped, an approval is decided by its rule."""
        asked, step = self.graph.steps[step_id], self.steps[step_id]
        if step.due_at is None or step.due_at > record.now():  # another process saw it first, and it is tried again
            return
        if step.status is StepStatus.AWAITING_APPROVAL and isinstance(asked, ApprovalStep):
            await self.decide(step_id, self.owner, How.DEADLINE, None, approve=asked.on_timeout == "approve")
        if step.status is not StepStatus.RUNNING:
            return
        message = f"It took longer than its timeout_seconds of {asked.timeout_seconds}."
        self._set(step_id, error=TaskError(code="timeout", message=message), due_at=None)
        self._note(step_id, "timeout", f"{step_id} is stopped: its time is over")
        for task in await self._stop(await step_tasks.unended(self.tx, self.run.id, step_id)):
            await self.settle(task)

    async def cancel(self) -> None:
        """End the run as cancelled."""
        await self._end(TaskStatus.CANCELLED, "cancelled")

    async def break_off(self, fault: TaskError) -> None:
        """End the run as failed: a fault of ours keeps it from going on."""
        await self._end(TaskStatus.FAILED, f"failed: {fault.message}", fault)

    def begin_again(self, step_ids: Sequence[str]) -> None:
        """Let these steps wait for their turn once more, in a run that had ended."""
        for step_id in step_ids:
            if self.steps[step_id].refused_in_person:  # no model may turn a person's no into a yes
                self._set(step_id, seen={"human": True})
            self._set(
                step_id,
                status=StepStatus.WAITING,
                output=None,
                error=None,
                started_at=None,
                due_at=None,
                ended_at=None,
            )
        self.run = replace(self.run, status=TaskStatus.IN_PROGRESS, error=None, ended_at=None)

    async def proceed(self) -> None:
        """Begin all that is due now, end the run if nothing is left, and store what has changed."""
        while not self.run.status.ended:
            moves = next_moves(self.graph, self._statuses, self._scope)
            for step_id, why in moves.skip.items():
                await self._skip(step_id, why)
            for step_id in moves.start:
                await self._begin(step_id)
            if moves.failed_by is not None:
                await self._end(TaskStatus.FAILED, f"failed at {moves.failed_by}", self._blame(moves.failed_by))
            elif moves.complete:
                await self._end(TaskStatus.COMPLETED, "completed")
            elif not (moves.skip or moves.start):
                break
        await self._store()

    @property
    def _subject(self) -> str:
        return f"run:{self.run.id}"

    @property
    def _statuses(self) -> dict[str, StepStatus]:
        return {name: step.status for name, step in self.steps.items()}

    @property
    def _scope(self) -> dict[str, Any]:
        given = {
            name: (step.status, step.output, step.error.message if step.error else None)
            for name, step in self.steps.items()
        }
        return scope_of(self.run.inputs, given)

    async def _begin(self, step_id: str) -> None:
        asked = self.graph.steps[step_id]
        self._set(step_id, status=StepStatus.RUNNING, started_at=record.now(), due_at=self._due(asked))
        try:
            match asked:
                case ApprovalStep():
                    await self._ask(asked)
                case MapStep():
                    await self._begin_map(asked)
                case _:
                    await self._begin_task(asked)
        except InputError as problem:
            await self._give_up(step_id, problem)

    async def _give_up(self, step_id: str, problem: InputError) -> None:
        """Fail a step that cannot ask; what it has asked is stopped."""
        await self._stop(await step_tasks.unended(self.tx, self.run.id, step_id))
        await self._fail(step_id, TaskError(code=problem.code, message=str(problem)))

    async def _ask(self, asked: ApprovalStep) -> None:
        question = self.graph.texts[asked.id].render(self._scope)
        if len(question) > MAX_PROMPT_CHARACTERS:
            raise InputError("What is to be approved is too long; it holds outputs of other steps; ask with less.")
        human = asked.human or self.steps[asked.id].insists
        self._set(asked.id, status=StepStatus.AWAITING_APPROVAL, seen={"prompt": question, "human": human})
        self._note(asked.id, StepStatus.AWAITING_APPROVAL, f"{asked.id} waits for a decision", look=True)
        await self._audit("approval_requested", asked.id, human=human)

    async def _begin_task(self, asked: TaskStep) -> None:
        earlier = await step_tasks.of_item(self.tx, self.run.id, asked.id)
        self._note(asked.id, "started", f"{asked.id} begins")
        if earlier is None:
            await self._make(asked, 0, self._scope)
        elif earlier.status is TaskStatus.COMPLETED:  # its answer came when the run had ended already
            await self._complete(asked.id, given_by(earlier))
        else:
            await self._reopen(earlier, asked.retry.attempts - 1)

    async def _begin_map(self, asked: MapStep) -> None:
        if (seen := self.steps[asked.id].seen) is None:
            items = lookup(self._scope, self.graph.lists[asked.id])
            if not isinstance(items, list) or len(items) > MOST_ITEMS:
                raise InputError(
                    f"There is no list to map over; {asked.over} must be a list of at most {MOST_ITEMS:,} items; "
                    "correct the inputs, or the step that gives it."
                )
            self._set(asked.id, seen={"items": items})
        else:
            items = seen["items"]
            for task in await step_tasks.of_step(self.tx, self.run.id, asked.id):
                if task.status is not TaskStatus.COMPLETED and not _was_refused(task):
                    await self._reopen(task, asked.retry.attempts - 1, step_tasks.PARKED)
        self._note(asked.id, "started", f"{asked.id} begins, over {len(items)} items")
        await self._next_items(asked)

    async def _next_items(self, asked: MapStep) -> None:
        """Begin as many items as may be done at once; with the last of them the step ends."""
        step = self.steps[asked.id]
        assert step.seen is not None
        items: list[Any] = step.seen["items"]
        have = await step_tasks.items(self.tx, self.run.id, asked.id)
        made, busy, parked = have.made, have.open, have.parked
        if step.error is None and parked:
            released = await step_tasks.release(self.tx, self.run.id, asked.id, asked.parallel - busy)
            busy, parked = busy + released, parked - released
        scope = self._scope
        while step.error is None and made < len(items) and busy < asked.parallel:
            busy += await self._make(asked, made, scope | {"item": items[made], "index": made})
            made += 1
        if busy:
            done = made - busy - parked
            self._note(asked.id, "items", f"{asked.id}: {done} of {len(items)} done", share=done / len(items))
        else:
            await self._end_map(asked.id, items)

    async def _end_map(self, step_id: str, items: Sequence[Any]) -> None:
        output = of_map(items, await step_tasks.of_step(self.tx, self.run.id, step_id), self.steps[step_id].error)
        self._set(step_id, error=None)
        if items and output["succeeded"] == 0:
            first = output["errors"][0]["message"]
            message = f"None of {len(items)} items succeeded; the first says: {first}"
            self._set(step_id, output=output)
            await self._fail(step_id, TaskError(code="no_item_succeeded", message=message))
        else:
            await self._complete(step_id, output)

    async def _make(self, asked: TaskStep | MapStep, item: int, scope: Mapping[str, Any]) -> bool:
        """Store the task of an item; returns whether it waits for its turn: one that cannot be asked has failed."""
        request = TaskRequest(
            prompt=self.graph.texts[asked.id].render(scope),
            agent=asked.agent,
            task_type=asked.task_type,
            priority=asked.priority,
            response_schema=asked.response_schema,
            max_cost_usd=asked.max_cost_usd,
        )
        problem = _refusal(request)
        if problem is not None and isinstance(asked, TaskStep):
            raise problem
        if problem is not None:
            request = replace(request, prompt=storable(request.prompt)[:MAX_PROMPT_CHARACTERS].strip() or "(empty)")
        agent = await usable_agent(self.tx, self.owner, asked.agent)
        place = Place(run_id=self.run.id, step_id=asked.id, item=item, retries_left=asked.retry.attempts - 1)
        subject = Subject(intake.new_task(self.owner, agent, request, place), self.owner, self.after)
        await intake.store(self.tx, subject, request, agent)
        if problem is not None:
            error = TaskError(code=problem.code, message=str(problem))
            await record.end(self.tx, subject, TaskStatus.FAILED, f"failed: {problem}", error=error)
        return problem is None

    async def _reopen(self, task: Task, retries_left: int, not_before: datetime | None = None) -> None:
        await usable_agent(self.tx, self.owner, task.agent_id)
        subject = Subject(task, self.owner, self.after)
        await intake.reopen(self.tx, subject, self.executor, not_before=not_before, retries_left=retries_left)

    async def _retry(self, asked: Step, task: Task) -> None:
        assert not isinstance(asked, ApprovalStep)
        failed = asked.retry.attempts - task.retries_left
        pause = min(_LONGEST_BACKOFF_SECONDS, asked.retry.backoff_seconds * 2 ** (failed - 1))
        at = record.now() + timedelta(seconds=pause)
        await self._reopen(task, task.retries_left - 1, at)
        if isinstance(asked, TaskStep):
            self._set(asked.id, error=None, due_at=self._due(asked, pause))
        self._note(
            asked.id, "retrying", f"{asked.id} is tried again in {pause:g} s ({failed + 1} of {asked.retry.attempts})"
        )

    async def _complete(self, step_id: str, output: Any, told: str = "completed") -> None:
        self._close(step_id, StepStatus.COMPLETED, output=output, error=None)
        self._note(step_id, "completed", f"{step_id} {told}")
        await self._audit("step_completed", step_id)

    async def _fail(self, step_id: str, error: TaskError) -> None:
        self._close(step_id, StepStatus.FAILED, error=error)
        self._note(step_id, "failed", f"{step_id} failed: {error.message}")
        await self._audit("step_failed", step_id, error=error.code)

    async def _skip(self, step_id: str, why: str) -> None:
        self._close(step_id, StepStatus.SKIPPED)
        self._note(step_id, "skipped", f"{step_id} is skipped: {why}")
        await self._audit("step_skipped", step_id)

    async def _end(self, status: TaskStatus, message: str, error: TaskError | None = None) -> None:
        for name, step in self.steps.items():
            if not step.status.ended:
                self._close(name, StepStatus.CANCELLED)
        await self._stop(await step_tasks.unended(self.tx, self.run.id))
        self.run = replace(self.run, status=status, error=error, ended_at=record.now())
        self._note(None, status, message, look=True)
        await self._audit(f"run_{status}", None, **({"error": error.code} if error else {}))

    async def _stop(self, unended: Sequence[Task]) -> list[Task]:
        """Stop these tasks; returns those that had not begun, and so have ended now."""
        ended = []
        for task in unended:
            if task.status is TaskStatus.PENDING:
                subject = Subject(task, self.owner, self.after)
                await record.end(self.tx, subject, TaskStatus.CANCELLED, "cancelled before it began")
                ended.append(replace(task, status=TaskStatus.CANCELLED))
            else:
                await tasks.change(self.tx, task.id, record.now(), cancel_requested=True)
                self.after.stop.append(task.id)
        return ended

    def _blame(self, step_id: str) -> TaskError:
        error = self.steps[step_id].error
        assert error is not None
        return TaskError(code=error.code, message=f"Step {step_id}: {error.message}")

    def _due(self, asked: Step, after_seconds: float = 0) -> datetime | None:
        limit = asked.timeout_seconds
        return None if limit is None else record.now() + timedelta(seconds=limit + after_seconds)

    def _set(self, step_id: str, **values: Any) -> None:
        self.steps[step_id] = replace(self.steps[step_id], **values)

    def _close(self, step_id: str, status: StepStatus, **values: Any) -> None:
        self._set(step_id, status=status, due_at=None, ended_at=record.now(), **values)

    def _note(self, step_id: str | None, kind: str, message: str, *, look: bool = False, share: float = 0.0) -> None:
        """Add a line to the history; `look` wakes whoever waits for the run, `share` is done of a step that runs."""
        ended = sum(step.status.ended for step in self.steps.values()) + share
        percent = 100 if self.run.status.ended else min(99, int(100 * ended / len(self.steps)))
        self._events.append(RunEvent(step_id=step_id, kind=kind, message=message, percent=percent, at=record.now()))
        self.after.news.append((self.run.id, News(percent, message, ended=look)))

    async def _audit(self, action: str, step_id: str | None, **facts: Any) -> None:
        payload = facts | ({"step": step_id} if step_id else {})
        await audit.append(self.tx, self.owner, action, self._subject, payload, record.now())

    async def _store(self) -> None:
        if not self.run.status.ended:
            asks = StepStatus.AWAITING_APPROVAL in self._statuses.values()
            status = TaskStatus.AWAITING_APPROVAL if asks else TaskStatus.IN_PROGRESS
            self.run = replace(self.run, status=status)
        for name, step in self.steps.items():
            if step is not self._stored[name]:
                await runs.change_step(self.tx, step)
        self.run = replace(self.run, updated_at=record.now())
        await runs.change(self.tx, self.run)
        await runs.add_events(self.tx, self.run, self._events, self.executor)


def _is_retried(asked: Step, step: RunStep, task: Task) -> bool:
    """Whether the step asks again: after a failure, or where its time was over, but not where a person cancelled it."""
    timed_out = step.error is not None
    if isinstance(asked, MapStep) and timed_out:
        return False
    return task.retries_left > 0 and (
        task.status is TaskStatus.FAILED or (timed_out and task.status is TaskStatus.CANCELLED)
    )


def _was_refused(task: Task) -> bool:
    """Whether the item could not even be asked; it is the same item still, and what is kept of its prompt is not."""
    return task.error is not None and task.error.code == InputError.code


def _refusal(request: TaskRequest) -> InputError | None:
    try:
        intake.check(request)
    except InputError as problem:
        return problem
    return None

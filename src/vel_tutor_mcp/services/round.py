"""One round of a run: what has happened is settled, and what follows from it is begun, in the caller's transaction.

So a run has no process of its own that could die: it is taken on by whatever ends one of its tasks, decides one of its
approvals, or finds that its time is over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Principal, Task, TaskError, TaskRequest, TaskStatus
from vel_tutor_mcp.services import errands, intake, record
from vel_tutor_mcp.services.inputs import storable
from vel_tutor_mcp.services.outputs import CANCELLED, given_by, none_succeeded, of_map
from vel_tutor_mcp.services.reports import moment
from vel_tutor_mcp.services.stage import Stage
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.store import audit, step_tasks
from vel_tutor_mcp.taskmaster.benches import bench_of
from vel_tutor_mcp.workflows.definition import (
    MOST_ITEMS,
    ApprovalStep,
    MapStep,
    PlanStep,
    Step,
    TaskMasterStep,
    TaskStep,
)
from vel_tutor_mcp.workflows.model import How, RunStep, StepStatus
from vel_tutor_mcp.workflows.plan import next_moves
from vel_tutor_mcp.workflows.text import Text, TooLong, lookup

# As much as a definition may ask for at first (`definition.Retry`): doubled eight times that would be ten days.
_LONGEST_BACKOFF_SECONDS = 3600.0


class Round(Stage):
    """Call `proceed` last: it stores what has changed."""

    async def settle(self, task: Task) -> None:
        """Take note of a task of the run that has ended."""
        assert task.step_id is not None
        step = self.steps[task.step_id]
        # The step ended before this task of it had stopped, as where it was given up.
        if step.status is not StepStatus.RUNNING:
            return
        asked = self.graph.steps[step.step_id]
        try:
            await self._settle(asked, step, task)
        except InputError as problem:  # its agent is gone: nobody can be asked again
            await self._give_up(step.step_id, problem)

    async def _settle(self, asked: Step, step: RunStep, task: Task) -> None:
        match asked:
            case _ if _is_retried(asked, step, task):
                await self._retry(asked, task)
            case MapStep():
                await self._next_items(asked)
            case TaskMasterStep():
                await errands.settle(self, asked, task)
            case _ if task.status is not TaskStatus.COMPLETED:
                await self.fail(step.step_id, step.error or task.error or CANCELLED)
            case PlanStep():
                pass  # its answer is worked on first
            case _:
                await self.complete(step.step_id, given_by(task))

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
        self.change(step_id, output=output)
        facts = {"step": step_id, "approved": approve, "how": how.value}
        await audit.append(self.tx, by, "approval_decided", self.subject, facts, record.now())
        word = "approved" if approve else "rejected"
        told = f"{word} by {who}" + (", relayed" if how is How.RELAYED else "")
        if approve:
            await self.complete(step_id, output, told)
        else:
            await self.fail(step_id, TaskError(code="rejected", message=f"It was {told}."))

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
        self.note(step_id, "timeout", f"{step_id} is stopped: its time is over")
        await self.halt(step_id, TaskError(code="timeout", message=message))

    async def halt(self, step_id: str, error: TaskError) -> None:
        """Stop a running step: it ends when its tasks have."""
        self.change(step_id, error=error, due_at=None)
        unended = await step_tasks.unended(self.tx, self.run.id, step_id)
        for task in await self.stop(unended):
            await self.settle(task)
        if isinstance(self.graph.steps[step_id], PlanStep) and not unended:  # it asks nobody just now
            await self.fail(step_id, error)
        self.after.bridged.append(step_id)

    async def cancel(self) -> None:
        """End the run as cancelled."""
        await self.end(TaskStatus.CANCELLED, "cancelled")

    async def break_off(self, fault: TaskError) -> None:
        """End the run as failed: a fault of ours keeps it from going on."""
        await self.end(TaskStatus.FAILED, f"failed: {fault.message}", fault)

    def begin_again(self, step_ids: Sequence[str]) -> None:
        """Let these steps wait for their turn once more, in a run that had ended."""
        for step_id in step_ids:
            if self.steps[step_id].refused_in_person:  # no model may turn a person's no into a yes
                self.change(step_id, seen={"human": True})
            # `seen` stays: a map goes on with the items that it had.
            self.change(
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
            moves = next_moves(self.graph, self.statuses, self.scope)
            for step_id, why in moves.skip.items():
                await self.skip(step_id, why)
            for step_id in moves.start:
                await self._begin(step_id)
            if moves.failed_by is not None:
                await self.end(TaskStatus.FAILED, f"failed at {moves.failed_by}", self._blame(moves.failed_by))
            elif moves.complete:
                await self.end(TaskStatus.COMPLETED, "completed")
            elif not (moves.skip or moves.start):
                break
        await self.store()

    async def _begin(self, step_id: str) -> None:
        asked = self.graph.steps[step_id]
        at = record.now()
        self.change(step_id, status=StepStatus.RUNNING, started_at=at, due_at=self.due(asked))
        try:
            match asked:
                case ApprovalStep():
                    await self._ask_person(asked)
                case MapStep():
                    await self._begin_map(asked)
                case TaskMasterStep():
                    await errands.begin(self, asked)
                case PlanStep():
                    self.note(step_id, "started", f"{step_id} begins")
                    self.after.plans.append(bench_of(self.run.id, at))
                case _:
                    await self._begin_task(asked)
        except InputError as problem:
            await self._give_up(step_id, problem)

    async def _give_up(self, step_id: str, problem: InputError) -> None:
        """Fail a step that cannot ask; what it has asked is stopped."""
        await self.stop(await step_tasks.unended(self.tx, self.run.id, step_id))
        await self.fail(step_id, TaskError(code=problem.code, message=str(problem)))

    async def _ask_person(self, asked: ApprovalStep) -> None:
        try:
            question = self.graph.texts[asked.id].render(self.scope)
        except TooLong:
            problem = "What is to be approved is too long; it holds outputs of other steps; ask with less."
            raise InputError(problem) from None
        human = asked.human or self.steps[asked.id].insists
        self.change(asked.id, status=StepStatus.AWAITING_APPROVAL, seen={"prompt": question, "human": human})
        self.note(asked.id, StepStatus.AWAITING_APPROVAL, f"{asked.id} waits for a decision", look=True)
        await self.audit("approval_requested", asked.id, human=human)
        approval = {"step": asked.id, "prompt": question, "human": human, "due_at": moment(self.steps[asked.id].due_at)}
        status = TaskStatus.AWAITING_APPROVAL
        await self.tell(Event.RUN_AWAITING_APPROVAL, {"status": status.value, "approval": approval})

    async def _begin_task(self, asked: TaskStep) -> None:
        earlier = await step_tasks.of_item(self.tx, self.run.id, asked.id)
        self.note(asked.id, "started", f"{asked.id} begins")
        if earlier is None:
            await self._make(asked, 0, self.graph.texts[asked.id], self.scope)
        elif earlier.status is TaskStatus.COMPLETED:  # its answer came when the run had ended already
            await self.complete(asked.id, given_by(earlier))
        else:
            await self.reopen(earlier, asked.retry.attempts - 1)

    async def _begin_map(self, asked: MapStep) -> None:
        if (seen := self.steps[asked.id].seen) is None:
            items = lookup(self.scope, self.graph.lists[asked.id])
            if not isinstance(items, list) or len(items) > MOST_ITEMS:
                raise InputError(
                    f"There is no list to map over; {asked.over} must be a list of at most {MOST_ITEMS:,} items; "
                    "correct the inputs, or the step that gives it."
                )
            self.change(asked.id, seen={"items": items})
        else:
            items = seen["items"]
            for task in await step_tasks.of_step(self.tx, self.run.id, asked.id):
                if task.status is not TaskStatus.COMPLETED and not _was_refused(task):
                    # Parked, or all would begin at once: `_next_items` releases as many as `parallel` says.
                    await self.reopen(task, asked.retry.attempts - 1, step_tasks.PARKED)
        self.note(asked.id, "started", f"{asked.id} begins, over {len(items)} items")
        await self._next_items(asked)

    async def _next_items(self, asked: MapStep) -> None:
        """Begin as many items as may be done at once; with the last of them the step ends."""
        step = self.steps[asked.id]
        assert step.seen is not None
        items: list[Any] = step.seen["items"]
        have = await step_tasks.items(self.tx, self.run.id, asked.id)
        made, busy, parked = have.made, have.open, have.parked
        # A running step with an error is being stopped: no more of it is begun.
        if step.error is None and parked:
            released = await step_tasks.release(self.tx, self.run.id, asked.id, asked.parallel - busy)
            busy, parked = busy + released, parked - released
        # What is alike for all is written once: it may be megabytes, and then all are refused in this very round.
        text = self.graph.texts[asked.id].given(self.scope, later=("item", "index"))
        while step.error is None and made < len(items) and busy < asked.parallel:
            busy += await self._make(asked, made, text, {"item": items[made], "index": made})
            made += 1
        if busy:
            done = made - busy - parked
            self.note(asked.id, "items", f"{asked.id}: {done} of {len(items)} done", share=done / len(items))
        else:
            await self._end_map(asked.id, items)

    async def _end_map(self, step_id: str, items: Sequence[Any]) -> None:
        output = of_map(items, await step_tasks.of_step(self.tx, self.run.id, step_id), self.steps[step_id].error)
        # Why it was stopped stands with each item that was not done.
        self.change(step_id, error=None)
        if items and output["succeeded"] == 0:
            self.change(step_id, output=output)
            await self.fail(step_id, none_succeeded(len(items), output["errors"][0]["message"]))
        else:
            await self.complete(step_id, output)

    async def _make(self, asked: TaskStep | MapStep, item: int, text: Text, scope: Mapping[str, Any]) -> bool:
        """Store the task of an item; returns whether it waits for its turn: one that cannot be asked has failed."""
        prompt, too_long = _prompt(text, scope)
        request = TaskRequest(
            prompt=prompt,
            agent=asked.agent,
            task_type=asked.task_type,
            priority=asked.priority,
            response_schema=asked.response_schema,
            max_cost_usd=asked.max_cost_usd,
        )
        problem = too_long or _refusal(request)
        if problem is not None and isinstance(asked, TaskStep):
            raise problem
        if problem is not None:
            # It is stored as a task that failed, beside the others of the map: so it needs a prompt that can be stored.
            request = replace(request, prompt=storable(request.prompt).strip() or "(empty)")
        subject = await self.ask(asked, item, request)
        if problem is not None:
            error = TaskError(code=problem.code, message=str(problem))
            await record.end(self.tx, subject, TaskStatus.FAILED, f"failed: {problem}", error=error)
        return problem is None

    async def _retry(self, asked: Step, task: Task) -> None:
        assert isinstance(asked, TaskStep | MapStep)
        failed = asked.retry.attempts - task.retries_left
        pause = min(_LONGEST_BACKOFF_SECONDS, asked.retry.backoff_seconds * 2 ** (failed - 1))
        at = record.now() + timedelta(seconds=pause)
        await self.reopen(task, task.retries_left - 1, at)
        if isinstance(asked, TaskStep):
            # Its time begins anew; that of a map is for all of its items together.
            self.change(asked.id, error=None, due_at=self.due(asked, pause))
        self.note(
            asked.id, "retrying", f"{asked.id} is tried again in {pause:g} s ({failed + 1} of {asked.retry.attempts})"
        )

    def _blame(self, step_id: str) -> TaskError:
        error = self.steps[step_id].error
        assert error is not None
        return TaskError(code=error.code, message=f"Step {step_id}: {error.message}")


def _is_retried(asked: Step, step: RunStep, task: Task) -> bool:
    """Whether the step asks again: after a failure, or where its time was over, but not where a person cancelled it."""
    timed_out = step.error is not None
    if isinstance(asked, MapStep | TaskMasterStep) and timed_out:
        return False
    return task.retries_left > 0 and (
        task.status is TaskStatus.FAILED or (timed_out and task.status is TaskStatus.CANCELLED)
    )


def _was_refused(task: Task) -> bool:
    """Whether the item could not even be asked; it is the same item still, and what is kept of its prompt is not."""
    return task.error is not None and task.error.code == InputError.code


def _prompt(text: Text, scope: Mapping[str, Any]) -> tuple[str, InputError | None]:
    """The text over a scope, cut where it is too long, and then why it cannot be asked."""
    try:
        return text.render(scope), None
    except TooLong as problem:
        return problem.beginning, problem


def _refusal(request: TaskRequest) -> InputError | None:
    try:
        intake.check(request)
    except InputError as problem:
        return problem
    return None

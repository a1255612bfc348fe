"""Tasks from the outside: submit, look, wait, cancel, retry, rate. `services.answers` does the work itself."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.execution.engine import Engine
from vel_tutor_mcp.models import Agent, Page, Principal, Start, Task, TaskRequest, TaskStatus
from vel_tutor_mcp.routing.book import NoKey
from vel_tutor_mcp.services import intake, learning, record
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.following import Following, Looks, Tell
from vel_tutor_mcp.services.inputs import check_text, is_text, moment_of
from vel_tutor_mcp.services.intake import usable_agent
from vel_tutor_mcp.services.lookup import agent_of, spelt, task_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.record import Aftermath, Subject
from vel_tutor_mcp.services.repeats import made_before
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.services.task_export import Format, written
from vel_tutor_mcp.store import attempts, audit, comparisons, history, task_lists, tasks
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.task_lists import TaskQuery
from vel_tutor_mcp.task_lists import EVERY, ListedTask, TaskFilter

_EXPORTED_AT_ONCE = 500


class Tasks:
    """What the product does with tasks, for every door."""

    def __init__(
        self,
        database: Database,
        engine: Engine,
        admission: Admission,
        calls: Calls,
        conductor: Conductor,
        following: Following,
    ) -> None:
        self._database = database
        self._engine = engine
        self._admission = admission
        self._calls = calls
        self._conductor = conductor
        self._following = following

    @allows(Operation.TASK_SUBMIT)
    @unbroken
    async def submit(self, principal: Principal, request: TaskRequest) -> Task:
        """Store the task and begin it, or let it wait its turn. The same key with the same request: the same task.

        Raises:
            InputError: a field is out of bounds, or the key was used for another request.
            NotFound: no such agent. Conflict: the agent is not active. NoCandidate: no provider can be called at all.
        """
        intake.check(request)
        async with self._database.write(principal.organisation_id) as tx:
            # Before all that may have changed since: who asks again gets the task, though its agent is paused by now.
            if earlier := await made_before(tx, principal, "task", request, tasks.by_key):
                return await task_of(tx, principal, earlier)
            await self._admission.refuse_without_providers(tx, principal.user_id)
            agent = await usable_agent(tx, principal, request.agent)
            subject = Subject(intake.new_task(principal, agent, request), principal)
            await intake.store(tx, subject, request, agent)
            self._admission.own(subject.task.id)
            admitted = await self._admission.admit(tx)
        await self._admission.begin(admitted)
        return subject.task

    @allows(Operation.TASK_READ)
    @unbroken
    async def get(self, principal: Principal, task_id: str) -> Task:
        """The task.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            return await task_of(tx, principal, task_id)

    @allows(Operation.TASK_READ)
    @unbroken
    async def tell(self, principal: Principal, task_id: str) -> Told:
        """The task with its attempts, decision and history.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            task = await task_of(tx, principal, task_id)
            left = task.status is TaskStatus.PENDING and not await self._admission.can_ask(tx, task.owner_id)
            return Told(
                task=task,
                attempts=await attempts.of_task(tx, task.id),
                decision=await history.decision(tx, task.id, task.attempt_set),
                history=await history.events(tx, task.id),
                waits=NoKey.told if left else None,
            )

    @allows(Operation.TASK_READ)
    @unbroken
    async def list(
        self,
        principal: Principal,
        wanted: TaskFilter = EVERY,
        *,
        limit: int = 20,
        cursor: Start = None,
    ) -> Page[ListedTask]:
        """Those of the wanted tasks that the principal may see, newest first.

        Raises:
            NotFound: there is no such agent. InputError: a time is not ISO 8601, or the cursor is not of this list.
        """
        async with self._database.read(principal.organisation_id) as tx:
            sought = await _sought(tx, principal, wanted)
            if sought is None:
                return Page((), (), more=False, total=0)
            return await task_lists.page(tx, principal, limit, cursor, sought)

    @allows(Operation.TASK_READ)
    async def export(self, principal: Principal, wanted: TaskFilter, form: Format) -> AsyncGenerator[str]:
        """The text of a file of what `list` would list, to be read bit by bit; nothing of the database is held
        meanwhile, and what is submitted meanwhile is not in it. Raises as `list` does.
        """
        first = await self.list(principal, wanted, limit=_EXPORTED_AT_ONCE)

        async def batches() -> AsyncIterator[Sequence[ListedTask]]:
            page = first
            yield page.rows
            while page.cursor:
                page = await self.list(principal, wanted, limit=_EXPORTED_AT_ONCE, cursor=page.cursor)
                yield page.rows

        return written(batches(), form)

    @allows(Operation.TASK_READ)
    async def follow(self, principal: Principal, task_id: str, seconds: float, tell: Tell | None = None) -> Told:
        """Wait until the task ends or the product closes, at most `seconds`, telling its news four times a second.

        Raises:
            NotFound: no such task. Unavailable: the database was away when the time was over.
        """
        return await self._following.follow(
            spelt(task_id),
            seconds,
            Looks(lambda: self.get(principal, task_id), lambda: self.tell(principal, task_id)),
            tell,
        )

    @allows(Operation.TASK_CHANGE)
    @unbroken
    async def cancel(self, principal: Principal, task_id: str) -> Told:
        """Stop the task; its partial text is kept. Returns when it has stopped, or after a second.

        Raises:
            NotFound: no such task. Conflict: it has ended already.
        """
        async with self._database.write(principal.organisation_id) as tx:
            task = await task_of(tx, principal, task_id)
            subject = Subject(task, principal)
            if task.status.ended:
                raise Conflict(
                    f"Task {task.id} is {task.status.value} already; only a task that has not ended can be "
                    "cancelled; see its result with task_get."
                )
            await tasks.change(tx, task.id, record.now(), cancel_requested=True)
            if task.status is TaskStatus.PENDING:
                waited = f"while it waited for {task.waits_for}" if task.waits_for else "before it began"
                await self._conductor.end_task(tx, subject, TaskStatus.CANCELLED, f"cancelled {waited}")
            # Its run may go on by this, with tasks that can begin at once.
            admitted = await self._admission.admit(tx) if task.run_id else []
        self._conductor.follow_up(subject.after)
        # After the commit: a call that opens just now is not known here yet, and finds the wish in the row.
        self._calls.stop(subject.work)
        await self._admission.begin(admitted)
        return await self.follow(principal, task.id, 1)

    @allows(Operation.TASK_CHANGE)
    @unbroken
    async def retry(self, principal: Principal, task_id: str) -> Task:
        """Run a failed or cancelled task again, as a new attempt set with a fresh route. Its budget goes on.

        Raises:
            NotFound: no such task, or its agent is gone. NoCandidate: as `submit`.
            Conflict: it has not failed or been cancelled, or its agent is not active.
        """
        async with self._database.write(principal.organisation_id) as tx:
            task = await task_of(tx, principal, task_id)
            await self._admission.refuse_without_providers(tx, task.owner_id)
            if task.status not in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
                raise Conflict(
                    f"Task {task.id} is {task.status.value}; only a failed or cancelled one can be retried; "
                    "submit a new task to ask again."
                )
            if task.run_id is not None:
                raise Conflict(
                    f"Task {task.id} belongs to run {task.run_id}; its step is what is tried again; use workflow_retry "
                    f"with step {task.step_id}."
                )
            await usable_agent(tx, principal, task.agent_id)
            await learning.note_retry(tx, task, record.now())
            await intake.reopen(tx, Subject(task, principal), self._engine.executor)
            admitted = await self._admission.admit(tx)
        await self._admission.begin(admitted)
        return await self.get(principal, task.id)

    @allows(Operation.TASK_CHANGE)
    @unbroken
    async def rate(self, principal: Principal, task_id: str, rating: int, comment: str | None = None) -> Task:
        """Keep a rating of 1-5 for the answer, from which the router learns; a later one replaces it.

        Raises:
            NotFound: no such task. Conflict: it has no answer.
            InputError: the rating is not 1-5, or the comment no text.
        """
        if rating not in range(1, 6):
            raise InputError("The rating is out of range; it must be a whole number from 1 (useless) to 5 (perfect).")
        check_text("comment", comment)
        async with self._database.write(principal.organisation_id) as tx:
            task = await task_of(tx, principal, task_id)
            if task.status is not TaskStatus.COMPLETED:
                raise Conflict(
                    f"Task {task.id} is {task.status.value}; only a completed task has an answer to rate; "
                    "wait for it with task_get."
                )
            at = record.now()
            await learning.rate(tx, principal, task, rating, comment, at)
            await comparisons.touch(tx, task.id, at)
            await audit.append(tx, principal, "task_rated", f"task:{task.id}", {"rating": rating}, at)
        return task

    async def cancel_pending_of(self, tx: Transaction, principal: Principal, agent: Agent, after: Aftermath) -> int:
        """Cancel the agent's tasks that have not begun; returns how many."""
        pending = await tasks.pending_of_agent(tx, agent.id)
        for task in pending:
            subject = Subject(task, principal, after)
            message = "cancelled: its agent was deleted"
            await self._conductor.end_task(tx, subject, TaskStatus.CANCELLED, message)
        return len(pending)


async def _sought(tx: Transaction, principal: Principal, wanted: TaskFilter) -> TaskQuery | None:
    """What is to be looked for; None where no task can be so."""
    agent_id = (await agent_of(tx, principal, wanted.agent)).id if wanted.agent else None
    since, until = moment_of("since", wanted.since), moment_of("until", wanted.until)
    if not all(is_text(text) for text in (wanted.query, wanted.provider, wanted.model) if text is not None):
        return None
    return TaskQuery(
        status=wanted.status,
        agent_id=agent_id,
        text=wanted.query or None,
        provider=wanted.provider,
        model=wanted.model,
        task_type=wanted.task_type,
        since=since,
        until=until,
    )

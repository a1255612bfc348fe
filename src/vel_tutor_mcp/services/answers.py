"""The work itself: what the engine runs for a task, from the route to the stored answer.

It may be run again after a crash at any point. What is done is read from the store: an ended task is left alone, a
failed attempt stays failed, a call that a crash cut is booked and repeated.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any

from vel_tutor_mcp.errors import NoCandidate
from vel_tutor_mcp.execution.engine import Engine
from vel_tutor_mcp.models import AgentConfig, Attempt, Decision, Outcome, Task, TaskError, TaskStatus, Work
from vel_tutor_mcp.routing.book import Answered, MustWait, NoKey, Order
from vel_tutor_mcp.routing.policy import RouteRequest
from vel_tutor_mcp.routing.reasons import no_candidate_sentence
from vel_tutor_mcp.routing.router import Router
from vel_tutor_mcp.services import funds, record, traced
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.booking import Booking, Tools
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.faults import told, too_often
from vel_tutor_mcp.services.inputs import merged
from vel_tutor_mcp.services.lines import Lines
from vel_tutor_mcp.services.outputs import CUTS
from vel_tutor_mcp.services.persist import persisted
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.routes import Routes
from vel_tutor_mcp.services.settling import Call, close_open
from vel_tutor_mcp.store import agents, attempts, history, integrations, people, tasks
from vel_tutor_mcp.store.budgets import Payer
from vel_tutor_mcp.store.database import INSTALLATION, Transaction, unbroken
from vel_tutor_mcp.store.integrations import Integration
from vel_tutor_mcp.store.isolation import act_for

MOST_RECOVERIES = 5
# Enough for a hundred calls to be booked on a busy machine; else they would count as cut by a crash.
_RELEASE_SECONDS = 5.0
_TAKEN_OVER = "taken over"


class _OfAnotherError(Exception):
    """The task is another process's, as its row says; `executor` names it."""

    def __init__(self, executor: str) -> None:
        super().__init__(executor)
        self.executor = executor


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a task, begun."""

    subject: Subject
    config: AgentConfig
    decision: Decision
    earlier: tuple[Attempt, ...]
    own: tuple[Integration, ...]
    book: Booking


class Answers:
    """Runs tasks, and stops them."""

    def __init__(
        self,
        tools: Tools,
        engine: Engine,
        routes: Routes,
        router: Router,
        calls: Calls,
        conductor: Conductor,
        admission: Admission,
        lines: Lines,
    ) -> None:
        self._lines = lines
        self._calls = calls
        self._conductor = conductor
        self._admission = admission
        self._tools = tools
        self._engine = engine
        self._routes = routes
        self._router = router
        self._runs: dict[asyncio.Task[Any], str] = {}

    async def rest(self, seconds: float) -> None:
        """Take up no more work, and let what was begun end for a while."""
        self._admission.resting = True
        self._engine.rest()
        deadline = time.monotonic() + seconds
        while self._runs and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait(set(self._runs), timeout=left)

    async def stop(self) -> None:
        """Cut what runs: whoever comes next runs their tasks again."""
        self._admission.resting = self._admission.closing = True
        for call in self._calls.running:
            call.cancel()
        if self._runs:
            await asyncio.wait(set(self._runs), timeout=_RELEASE_SECONDS)
        for run in self._runs:  # those that still wait for the database
            run.cancel()

    async def run(self, work: Work) -> str:
        """Do the work, or what is left of it, and return the state that it ended in."""
        this = asyncio.current_task()
        assert this is not None
        if self._admission.closing:
            raise asyncio.CancelledError  # as in `_conclude`
        # Others may have believed this process dead, and handed its own work back to it.
        earlier = [run for run, task_id in self._runs.items() if task_id == work.task_id]
        self._runs[this] = work.task_id
        try:
            if earlier:
                await asyncio.wait(earlier)
            return await traced.whole(self._tools.database, work, self._run)
        except _OfAnotherError:
            return _TAKEN_OVER
        finally:
            del self._runs[this]

    async def _run(self, work: Work) -> str:
        mine = {self._engine.executor}
        try:
            job = await self._begun(work, mine)
            return "nothing left to do" if job is None else await self._work(job)
        except _OfAnotherError:
            return _TAKEN_OVER
        except Exception as problem:  # noqa: BLE001 - a fault of ours must end the task, not leave it hanging for ever
            reason = told(problem)
        try:
            return await persisted(lambda: self._give_up(work, reason, mine))
        except _OfAnotherError:
            return _TAKEN_OVER
        except Exception as problem:  # noqa: BLE001 - of its run: it cannot go on from this, and must not hang either
            fault = told(problem)
        return await persisted(lambda: self._give_up(work, fault, mine, breaks_run=True))

    async def _begun(self, work: Work, mine: set[str]) -> Job | None:
        """The run, begun. A process that was frozen before it could begin must not take the task from its successor.

        `mine` are the processes whose tasks it may begin: also the one that died, where the engine gave us its work.
        """
        try:
            return await persisted(lambda: self._begin(work, mine))
        except _OfAnotherError as other:
            if not await persisted(lambda: self._holds(work)):
                raise
            mine.add(other.executor)
        job = await persisted(lambda: self._begin(work, mine))
        # The row names us now: should another one take it over from here on, that one has the only say.
        mine.intersection_update({self._engine.executor})
        return job

    async def _holds(self, work: Work) -> bool:
        with self._tools.database.translated():
            return await self._engine.holds(work)

    async def _work(self, job: Job) -> str:
        work = job.subject.work
        call = asyncio.create_task(self._answer(job))
        self._calls.begin(work, call)
        # `stop` cuts the calls that it finds: this one may have come a moment after.
        if self._admission.closing:
            call.cancel()
        try:
            # Not `await call`: a cancellation of the call would look like one of this run.
            await asyncio.wait({call})
        except asyncio.CancelledError:
            call.cancel()
            raise
        finally:
            self._calls.end(work)
        return await persisted(lambda: self._conclude(job, call))

    @unbroken
    async def _give_up(self, work: Work, reason: TaskError, mine: set[str], *, breaks_run: bool = False) -> str:
        async with self._tools.database.write(INSTALLATION) as tx:
            subject = await self._subject(tx, work, mine)
            if subject is not None:
                await close_open(tx, subject, self._tools.settings, Outcome.FAILED)
                await self._fail(tx, subject, reason, breaks_run=breaks_run)
        if subject is not None:
            self._conductor.follow_up(subject.after)
        return TaskStatus.FAILED.value

    @unbroken
    async def _begin(self, work: Work, mine: set[str]) -> Job | None:
        async with self._tools.database.write(INSTALLATION) as tx:
            subject = await self._subject(tx, work, mine)
            if subject is None:
                return None
            job = await self._job(tx, subject)
            admitted = await self._admission.admit(tx) if job is None else []
        self._conductor.follow_up(subject.after)
        await self._admission.start(admitted)
        return job

    async def _subject(self, tx: Transaction, work: Work, mine: set[str]) -> Subject | None:
        """The task, where this run of it is still to be done."""
        task = await tasks.get(tx, work.task_id)
        if task is None or task.status.ended or (task.attempt_set, task.turn) != (work.attempt_set, work.turn):
            return None
        if task.executor and task.executor not in mine:
            raise _OfAnotherError(task.executor)
        await act_for(tx, task.organisation_id)
        return Subject(task, await people.principal(tx, task.owner_id))

    async def _job(self, tx: Transaction, subject: Subject) -> Job | None:
        """The run, with what an earlier one left of it; None where there is nothing to run, which is then recorded."""
        task = subject.task
        earlier = await attempts.of_run(tx, subject.work)
        # First, whatever follows: a cut call may have been billed, and holds money of a budget until it is closed.
        if any(attempt.outcome is Outcome.OPEN for attempt in earlier):
            await close_open(tx, subject, self._tools.settings, Outcome.CUT, "cut by a crash of the server; repeated")
        if task.cancel_requested:
            await self._conductor.end_task(tx, subject, TaskStatus.CANCELLED, "cancelled")
            return None
        if not await self._admission.can_ask(tx, task.owner_id):
            await self._wait(tx, subject, NoKey())
            # The mark of a crash stays: who takes the task up counts it.
            await tasks.change(tx, task.id, record.now(), running=task.running)
            return None
        # Who closes in good order takes the mark away (`_release`): still there, it tells of a crash.
        recoveries = task.recoveries + task.running
        if recoveries > MOST_RECOVERIES:
            await self._fail(tx, subject, too_often(recoveries))
            return None
        if task.running:
            await record.note(tx, subject, "recovered", f"recovered after a crash ({recoveries})", 5)
        config = merged(await agents.config(tx, task.agent_id, task.agent_version), task.config_changes or {})
        standings = await funds.standings(tx, Payer.of(task), self._tools.settings, record.now())
        own = await integrations.of_owner(tx, task.owner_id)
        asked = self._routes.request_of_task(task, config)
        request = funds.at_best(await self._routes.informed(tx, task.organisation_id, asked, own), standings)
        made = await history.decision(tx, task.id, task.attempt_set)
        # A route that was chosen stays; with it a call that lacks money waits by itself, in `Booking.open`.
        if made is None and (held := funds.held(self._routes, task, request, standings)):
            await self._wait(tx, subject, held)
            return None
        decision = made or await self._decided(tx, subject, request)
        await self._claim(tx, task, decision, recoveries)
        if not decision.candidates:
            why = no_candidate_sentence(decision) + funds.refused(decision, standings)
            await self._fail(tx, subject, TaskError(code=NoCandidate.code, message=why))
            return None
        book = Booking(self._tools, subject, config, request)
        return Job(subject, config, decision, tuple(earlier), tuple(own), book)

    async def _claim(self, tx: Transaction, task: Task, decision: Decision, recoveries: int) -> None:
        """Mark the task as running here."""
        at = record.now()
        await tasks.change(
            tx,
            task.id,
            at,
            executor=self._engine.executor,
            running=True,
            recoveries=recoveries,
            started_at=task.started_at or at,
            inferred_type=decision.task_type,
        )

    async def _decided(self, tx: Transaction, subject: Subject, request: RouteRequest) -> Decision:
        task = subject.task
        decision = traced.decided(lambda: self._routes.choose(request))
        await history.keep_decision(tx, task, decision, record.now())
        order = [candidate.name for candidate in decision.candidates]
        payload = {"task_type": decision.task_type.value, "policy": decision.policy.value, "candidates": order}
        message = f"{decision.task_type.value}: {' -> '.join(order) or 'no candidate'}"
        await record.note(tx, subject, "route", message, 10, action="route_decided", payload=payload)
        return decision

    async def _answer(self, job: Job) -> Answered[Call]:
        order = Order(
            decision=job.decision,
            failures=[attempt for attempt in job.earlier if attempt.outcome is Outcome.FAILED],
            max_retries=job.config.max_retries,
            fallback=job.config.fallback,
            waited=job.subject.task.waits_for is not None,
        )
        async with self._lines.held(job.own) as lines:
            return await self._router.on(lines).answer(order, job.book)

    @unbroken
    async def _conclude(self, job: Job, call: "asyncio.Task[Answered[Call]]") -> str:
        if call.cancelled() and self._admission.closing:
            await self._release(job)
            # Nothing is recorded by the engine for what does not return: the work stays, and is run again.
            raise asyncio.CancelledError
        job.subject.after.clear()  # of an earlier try to store this, which was rolled back
        async with self._tools.database.write(job.subject.task.organisation_id) as tx:
            if not await job.book.is_ours(tx):
                return _TAKEN_OVER
            if call.cancelled():
                state = await self._cancelled(tx, job)
            elif isinstance(problem := call.exception(), MustWait):
                state = await self._put_back(tx, job, problem)
            elif problem:
                await job.book.close_open(tx, Outcome.FAILED)
                state = await self._fail(tx, job.subject, told(problem, job.book.shortage))
            else:
                state = await self._completed(tx, job, call.result())
            admitted = await self._admission.admit(tx)
        self._conductor.follow_up(job.subject.after)
        await self._admission.start(admitted)
        return state.value

    async def _completed(self, tx: Transaction, job: Job, answered: Answered[Call]) -> TaskStatus:
        completion = answered.ended.completion
        assert completion is not None
        await job.book.settle(tx, answered.slot, Outcome.COMPLETED, answered.ended)
        cut = CUTS.get(completion.finish_reason or "", "")
        by: dict[str, Any] = {"provider": answered.candidate.provider, "model": answered.candidate.model}
        # What fits a schema is whole.
        partial = bool(cut) and job.subject.task.response_schema is None
        kept = by | {"output": completion.text, "partial": partial, "recoveries": 0}
        message = f"answered by {answered.candidate.name}{cut}"
        await self._conductor.end_task(tx, job.subject, TaskStatus.COMPLETED, message, payload=by, **kept)
        return TaskStatus.COMPLETED

    async def _put_back(self, tx: Transaction, job: Job, refusal: MustWait) -> TaskStatus:
        task = await tasks.get(tx, job.subject.task.id)
        assert task is not None
        # `cancel` left the end to this run, which was in progress: put back, nobody would end it.
        if task.cancel_requested:
            return await self._cancelled(tx, job)
        await self._wait(tx, replace(job.subject, task=task), refusal)
        return TaskStatus.PENDING

    async def _wait(self, tx: Transaction, subject: Subject, refusal: MustWait) -> None:
        """Let the task wait outside of the places in progress; its next turn is another run."""
        task, at = subject.task, record.now()
        if task.waits_for != refusal.waits_for:
            await record.note(tx, subject, "waiting", refusal.told, 10)
        called = bool(await attempts.of_run(tx, subject.work))
        await tasks.change(
            tx,
            task.id,
            at,
            status=TaskStatus.PENDING,
            turn=task.turn + 1,
            waits_for=refusal.waits_for,
            not_before=at + refusal.pause if refusal.pause else None,
            executor=None,
            running=False,
            started_at=task.started_at if called else None,
        )

    async def _cancelled(self, tx: Transaction, job: Job) -> TaskStatus:
        call = await job.book.close_open(tx, Outcome.CANCELLED)
        kept: dict[str, Any] = {}
        message = "cancelled"
        if call is not None:
            message = f"cancelled while {call.row.name} answered"
            text = call.text()
            kept = {"output": text, "partial": text is not None}
            kept |= {"provider": call.row.provider, "model": call.row.model}
        await self._conductor.end_task(tx, job.subject, TaskStatus.CANCELLED, message, **kept)
        return TaskStatus.CANCELLED

    async def _fail(
        self, tx: Transaction, subject: Subject, error: TaskError, *, breaks_run: bool = False
    ) -> TaskStatus:
        message = f"failed: {error.message}"
        await self._conductor.end_task(tx, subject, TaskStatus.FAILED, message, error=error, breaks_run=breaks_run)
        return TaskStatus.FAILED

    async def _release(self, job: Job) -> None:
        """This process closes in good order: book the cut call, and do not count it as a crash."""
        async with self._tools.database.write(job.subject.task.organisation_id) as tx:
            if not await job.book.is_ours(tx):
                return
            await job.book.close_open(tx, Outcome.CUT, "cut by the server's closing; repeated at its next start")
            await tasks.change(tx, job.subject.task.id, record.now(), running=False)
        job.subject.publish(self._tools.hub)

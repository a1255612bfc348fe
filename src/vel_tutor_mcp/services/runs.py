"""Runs of workflows from the outside: start, look, wait, decide, cancel, retry. `Round` takes them on."""

from contextlib import AbstractAsyncContextManager, suppress
from typing import Any
from uuid import uuid4

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import Conflict, InputError, NotFound
from vel_tutor_mcp.models import Page, Principal, Start, TaskStatus
from vel_tutor_mcp.routing.ledger import nano_usd
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.following import Following, Looks, Tell
from vel_tutor_mcp.services.going_on import going_on
from vel_tutor_mcp.services.inputs import body_hash, check_budget, check_key, check_text, json_bytes
from vel_tutor_mcp.services.lookup import run_of, spelt, workflow_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.record import Aftermath
from vel_tutor_mcp.services.repeats import made_before
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.services.run_reports import Asked, ToldRun, ToldWorkflow
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.services.workflows import Workflows
from vel_tutor_mcp.store import audit, budgets, errands, runs, step_tasks
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.store.standing import Budget, Period, Scope
from vel_tutor_mcp.tracing import spans
from vel_tutor_mcp.workflows.again import again
from vel_tutor_mcp.workflows.definition import ApprovalStep
from vel_tutor_mcp.workflows.graph import Graph
from vel_tutor_mcp.workflows.model import How, Run, RunRequest, RunStep, StepStatus, Workflow

_MAX_INPUT_BYTES = 500_000
_MAX_COMMENT_CHARACTERS = 2000


class Runs:
    """What the product does with runs, for every door."""

    def __init__(
        self,
        database: Database,
        admission: Admission,
        conductor: Conductor,
        following: Following,
        tasks: Tasks,
        workflows: Workflows,
    ) -> None:
        self._tasks = tasks
        self._workflows = workflows
        self._database = database
        self._admission = admission
        self._conductor = conductor
        self._following = following

    @allows(Operation.RUN_START)
    @unbroken
    async def start(self, principal: Principal, request: RunRequest) -> Run:
        """Store a run of the workflow's newest version and begin it. The same key with the same request: the same run.

        Raises:
            InputError: the inputs do not fit, a field is out of bounds, or the key was used for another request.
            NotFound: no such workflow. NoCandidate: it asks models, and no provider can be called at all.
        """
        _check(request)
        async with self._going_on(principal) as (tx, after):
            if earlier := await made_before(tx, principal, "run", request, runs.by_key):
                return await runs.get(tx, earlier)
            workflow = await workflow_of(tx, principal, request.workflow)
            graph = await self._conductor.graph(tx, workflow.id, workflow.version)
            await self._refuse_without_models(tx, principal.user_id, graph)
            run = _run(principal, workflow, graph.given(request.inputs), request)
            await _store(tx, principal, run, graph, request)
            round_ = await self._conductor.round(tx, run, after)
            await round_.proceed()
        return round_.run

    @allows(Operation.RUN_READ)
    @unbroken
    async def get(self, principal: Principal, run_id: str) -> Run:
        """The run.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            return await run_of(tx, principal, run_id)

    @allows(Operation.RUN_READ)
    @unbroken
    async def tell(self, principal: Principal, run_id: str) -> ToldRun:
        """The run with its steps, their tasks, its cost and history.

        Raises:
            NotFound: there is none of this id that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            run = await run_of(tx, principal, run_id)
            return ToldRun(
                run=run,
                graph=await self._conductor.graph(tx, run.workflow_id, run.workflow_version),
                steps=await runs.steps(tx, run.id),
                tasks=await step_tasks.overview(tx, run.id),
                errands=await errands.of_run(tx, run.id),
                cost_nanousd=await step_tasks.cost(tx, run.id),
                history=await runs.events(tx, run.id),
            )

    @allows(Operation.RUN_READ)
    @unbroken
    async def list(
        self,
        principal: Principal,
        *,
        status: TaskStatus | None = None,
        workflow: str | None = None,
        limit: int = 20,
        cursor: Start = None,
    ) -> Page[Run]:
        """Runs that the principal may see, newest first."""
        async with self._database.read(principal.organisation_id) as tx:
            workflow_id = (await workflow_of(tx, principal, workflow)).id if workflow else None
            return await runs.page(tx, principal, limit, cursor, status=status, workflow_id=workflow_id)

    @allows(Operation.RUN_READ)
    async def follow(
        self,
        principal: Principal,
        run_id: str,
        seconds: float,
        tell: Tell | None = None,
        *,
        past_approvals: bool = False,
    ) -> ToldRun:
        """Wait until the run ends or asks for an approval, or with `past_approvals` until it ends; see `Following`.

        Raises:
            NotFound: no such run. Unavailable: the database was away when the time was over.
        """

        def rests(status: TaskStatus) -> bool:
            return status.ended or (status is TaskStatus.AWAITING_APPROVAL and not past_approvals)

        looks = Looks(lambda: self.get(principal, run_id), lambda: self.tell(principal, run_id))
        return await self._following.follow(spelt(run_id), seconds, looks, tell, rests)

    @allows(Operation.RUN_READ)
    async def find(
        self, principal: Principal, id_or_name: str, seconds: float, tell: Tell | None = None
    ) -> ToldRun | ToldWorkflow:
        """The run of this id, followed for a while where it has not ended, or the workflow of this id or name.

        Raises:
            NotFound: there is neither that the principal may see.
        """
        try:
            told = await self.tell(principal, id_or_name)
        except NotFound:
            return await self._workflow(principal, id_or_name)
        if told.status.ended or not seconds:
            return told
        # Who looks at a run that rests on an approval waits for what comes after: else it would come back at once.
        waits = told.status is TaskStatus.AWAITING_APPROVAL
        return await self.follow(principal, told.run.id, seconds, tell, past_approvals=waits)

    async def _workflow(self, principal: Principal, id_or_name: str) -> ToldWorkflow:
        with suppress(NotFound):
            return await self._workflows.get(principal, id_or_name)
        raise NotFound(
            "There is no such run or workflow; no run of yours has this id, and no workflow this id or name; see "
            "workflow_get without an id."
        )

    @allows(Operation.RUN_READ)
    async def look(self, principal: Principal, thing_id: str) -> Told | ToldRun:
        """The task or the run of this id.

        Raises:
            NotFound: there is neither that the principal may see.
        """
        with suppress(NotFound):
            return await self._tasks.tell(principal, thing_id)
        with suppress(NotFound):
            return await self.tell(principal, thing_id)
        raise _neither()

    @allows(Operation.RUN_CHANGE)
    async def stop(self, principal: Principal, thing_id: str) -> Told | ToldRun:
        """Cancel the task or the run of this id; see `Tasks.cancel` and `cancel`.

        Raises:
            NotFound: there is neither that the principal may see. Conflict: it has ended already.
        """
        with suppress(NotFound):
            return await self._tasks.cancel(principal, thing_id)
        with suppress(NotFound):
            return await self.cancel(principal, thing_id)
        raise _neither()

    @allows(Operation.RUN_READ)
    @unbroken
    async def asked(self, principal: Principal, run_id: str, step_id: str) -> tuple[Run, RunStep]:
        """The approval that waits for its decision.

        Raises:
            NotFound: no such run. InputError: it has no such approval. Conflict: it does not wait for one now.
        """
        async with self._database.read(principal.organisation_id) as tx:
            run = await run_of(tx, principal, run_id)
            graph = await self._conductor.graph(tx, run.workflow_id, run.workflow_version)
            _check_approval(graph, step_id)
            step = {step.step_id: step for step in await runs.steps(tx, run.id)}[step_id]
        _refuse_decided(step)
        return run, step

    @allows(Operation.RUN_CHANGE)
    @unbroken
    async def awaiting(self, principal: Principal, *, limit: int = 20, offset: int = 0) -> Page[Asked]:
        """The approvals that wait for a decision of the principal's, the longest waiting first."""
        async with self._database.read(principal.organisation_id) as tx:
            page = await runs.awaiting(tx, principal, limit, offset)
            graphs = [await self._conductor.graph(tx, row.workflow_id, row.workflow_version) for row in page.rows]
        return Page(tuple(map(Asked, page.rows, graphs)), page.cursors, page.more, page.total)

    @allows(Operation.RUN_CHANGE)
    @unbroken
    async def decide(
        self, principal: Principal, run_id: str, step_id: str, how: How, comment: str | None = None, *, approve: bool
    ) -> None:
        """Decide an approval; the first decision counts.

        Raises:
            NotFound, InputError, Conflict: as `asked`; or the step takes a person's own word only, and this is relayed.
        """
        _check_comment(comment)
        async with self._going_on(principal) as (tx, after):
            run = await run_of(tx, principal, run_id)
            round_ = await self._conductor.round(tx, run, after)
            _check_approval(round_.graph, step_id)
            _refuse_decided(round_.steps[step_id])
            refused = round_.steps[step_id].insists and how is How.RELAYED
            if refused:
                facts = {"step": step_id, "approved": approve, "how": how.value}
                await audit.append(tx, principal, "approval_refused", f"run:{run.id}", facts, record.now())
            else:
                await round_.decide(step_id, principal, how, comment, approve=approve)
                await round_.proceed()
        # After the commit, which keeps on record that it was tried.
        if refused:
            raise Conflict(
                f"The step {step_id} takes a person's own word only; this client cannot ask them, and what a model "
                f"relays does not count; let them run: vel-tutor-mcp run decide {run.id} {step_id} --approve (or "
                "--reject)."
            )

    @allows(Operation.RUN_CHANGE)
    @unbroken
    async def cancel(self, principal: Principal, run_id: str) -> ToldRun:
        """End the run now; its running steps stop within a second, and what their tasks had is kept.

        Raises:
            NotFound: no such run. Conflict: it has ended already.
        """
        after = Aftermath()
        async with self._database.write(principal.organisation_id) as tx:
            run = await run_of(tx, principal, run_id)
            if run.status.ended:
                raise Conflict(
                    f"Run {run.id} is {run.status.value} already; only a run that has not ended can be cancelled; see "
                    "it with workflow_get."
                )
            round_ = await self._conductor.round(tx, run, after)
            await round_.cancel()
            await round_.proceed()
        self._conductor.follow_up(after)
        return await self.tell(principal, run.id)

    @allows(Operation.RUN_CHANGE)
    @unbroken
    async def retry(self, principal: Principal, run_id: str, step_id: str | None = None) -> Run:
        """Go on with a failed or cancelled run from what failed it, and from this step; what is completed is kept.

        Raises:
            NotFound: no such run. InputError: it has no such step.
            Conflict: it has not failed or been cancelled, something of it still stops, the step has not failed, or
                another one has begun with what it saw of it.
        """
        async with self._going_on(principal) as (tx, after):
            run = await run_of(tx, principal, run_id)
            if run.status not in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
                raise Conflict(
                    f"Run {run.id} is {run.status.value}; only a failed or cancelled one can be continued; start a "
                    "new one with workflow_run."
                )
            round_ = await self._conductor.round(tx, run, after)
            bridged = any(step.home is not None for step in round_.steps.values())
            if bridged or await step_tasks.unended(tx, run.id):
                raise Conflict(f"Run {run.id} is still stopping; a task of it has not ended; try again in a second.")
            await self._refuse_without_models(tx, run.owner_id, round_.graph)
            round_.begin_again(again(round_.graph, round_.steps, step_id))
            facts = {"step": step_id} if step_id else {}
            await audit.append(tx, principal, "run_retried", f"run:{run.id}", facts, record.now())
            await round_.proceed()
        return round_.run

    def _going_on(self, principal: Principal) -> AbstractAsyncContextManager[tuple[Transaction, Aftermath]]:
        return going_on(self._database, self._admission, self._conductor, principal.organisation_id)

    async def _refuse_without_models(self, tx: Transaction, owner_id: str, graph: Graph) -> None:
        """Approvals alone ask no model."""
        if not all(isinstance(step, ApprovalStep) for step in graph.steps.values()):
            await self._admission.refuse_without_providers(tx, owner_id)


def _neither() -> NotFound:
    return NotFound(
        "There is no such task or run; nothing of yours has this id; see task_list, or workflow_get for runs."
    )


def _check_approval(graph: Graph, step_id: str) -> None:
    if not isinstance(graph.steps.get(step_id), ApprovalStep):
        names = [name for name, step in graph.steps.items() if isinstance(step, ApprovalStep)]
        has = f"its approvals are {', '.join(names)}" if names else "it has none"
        raise InputError(f"The run has no such approval; {has}; see it with workflow_get.")


def _check_comment(comment: str | None) -> None:
    check_text("comment", comment)
    if comment is not None and len(comment) > _MAX_COMMENT_CHARACTERS:
        raise InputError(
            f"The comment has {len(comment):,} characters; at most {_MAX_COMMENT_CHARACTERS:,} are kept; nothing was "
            "decided, so decide again with less."
        )


def _refuse_decided(step: RunStep) -> None:
    if step.status is StepStatus.AWAITING_APPROVAL:
        return
    if isinstance(step.output, dict):
        word = "approved" if step.output["approved"] else "rejected"
        raise Conflict(
            f"The step {step.step_id} was {word} already, by {step.output['by']} at {step.output['at']}; the first "
            "decision counts; see the run with workflow_get."
        )
    raise Conflict(
        f"The step {step.step_id} is {step.status.value}; it does not wait for a decision now; see the run with "
        "workflow_get."
    )


def _check(request: RunRequest) -> None:
    check_budget("max_cost_usd", request.max_cost_usd)
    check_key(request.idempotency_key)
    length = json_bytes(request.inputs)
    if length is None:
        raise InputError("The inputs are not JSON; they are kept as JSON; send an object.")
    if length > _MAX_INPUT_BYTES:
        raise InputError(f"The inputs are {length:,} bytes of JSON; at most {_MAX_INPUT_BYTES:,} are taken; send less.")


def _run(principal: Principal, workflow: Workflow, inputs: dict[str, Any], request: RunRequest) -> Run:
    at = record.now()
    return Run(
        id=str(uuid4()),
        owner_id=principal.user_id,
        organisation_id=principal.organisation_id,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        workflow_version=workflow.version,
        status=TaskStatus.IN_PROGRESS,
        inputs=inputs,
        max_cost_nanousd=None if request.max_cost_usd is None else nano_usd(request.max_cost_usd),
        created_at=at,
        updated_at=at,
        traceparent=spans.traceparent(),
    )


async def _store(tx: Transaction, principal: Principal, run: Run, graph: Graph, request: RunRequest) -> None:
    steps = [RunStep(run_id=run.id, step_id=name, position=place) for place, name in enumerate(graph.steps)]
    await runs.insert(tx, run, steps, request.idempotency_key, body_hash(request))
    if run.max_cost_nanousd is not None:
        budget = Budget(scope=Scope.RUN, subject_id=run.id, period=Period.RUN, limit_nanousd=run.max_cost_nanousd)
        await budgets.put(tx, budget, run.organisation_id, run.owner_id, run.created_at)
    facts = {"workflow": run.workflow_name, "version": run.workflow_version}
    await audit.append(tx, principal, "run_started", f"run:{run.id}", facts, run.created_at)

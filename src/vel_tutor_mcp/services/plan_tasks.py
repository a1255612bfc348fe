"""What a plan asks of models: tasks of its run's step, so that they are stopped, counted and paid for with the run."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from vel_tutor_mcp.auth.roles import Operation, permit
from vel_tutor_mcp.errors import Conflict, VelError
from vel_tutor_mcp.models import Agent, Principal, Task, TaskRequest
from vel_tutor_mcp.services import intake
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.agents import DEFAULT_AGENT
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.following import MAX_WAIT_SECONDS
from vel_tutor_mcp.services.going_on import going_on
from vel_tutor_mcp.services.intake import Place, usable_agent
from vel_tutor_mcp.services.plans import STEP
from vel_tutor_mcp.services.record import Subject
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.store import people, runs, step_tasks
from vel_tutor_mcp.store.database import Database, Transaction, unbroken
from vel_tutor_mcp.taskmaster.benches import bench_of
from vel_tutor_mcp.workflows.model import Run, RunStep, StepStatus

Make = Callable[[Agent], TaskRequest]
Ask = Callable[[Make], Awaitable[Told]]
"""Has the agent do what is made for it, and tells of it when that has ended."""

# Answers are long: a dozen tasks with details.
_CHANGES = {"max_output_tokens": 16_000, "timeout_seconds": 270}
# Task Master asks once, and once more for each role of a model where it does not like the answer.
_MOST_TASKS = 6


class PlanTasks:
    """The tasks of a run's try, whose bench this is.

    Attributes:
        problem: why one was refused, None where none was.
    """

    def __init__(
        self, database: Database, conductor: Conductor, admission: Admission, tasks: Tasks, run: Run, bench: str
    ) -> None:
        self._database = database
        self._conductor = conductor
        self._admission = admission
        self._tasks = tasks
        self._run = run
        self._bench = bench
        self.problem: VelError | None = None

    @unbroken
    async def check_wanted(self) -> None:
        """Go on only where the plan is still to be made.

        Raises:
            Conflict: it is not. Forbidden: the run's owner may not have it made.
        """
        async with self._database.read(self._run.organisation_id) as tx:
            await running(tx, self._run, self._bench)
            permit(await people.principal(tx, self._run.owner_id), Operation.TASKMASTER_PLAN)

    async def ask(self, make: Make) -> Told:
        """Have a task done, and wait for its end; what was asked before in this try is not asked again.

        Raises:
            VelError: it cannot be asked; says why.
        """
        try:
            owner, task_id = await self._asked(make)
            while True:
                told = await self._tasks.follow(owner, task_id, MAX_WAIT_SECONDS)
                if told.status.ended:
                    return told
        except VelError as problem:
            self.problem = problem
            raise

    @unbroken
    async def _asked(self, make: Make) -> tuple[Principal, str]:
        """The task's owner and id."""
        run = self._run
        async with going_on(self._database, self._admission, self._conductor, run.organisation_id) as (tx, after):
            step = await running(tx, run, self._bench)
            owner = await people.principal(tx, run.owner_id)
            agent = await usable_agent(tx, owner, DEFAULT_AGENT)
            asked = make(agent)
            request = replace(asked, config=(asked.config or {}) | _CHANGES)
            intake.check(request)
            made = await step_tasks.of_step(tx, run.id, STEP)
            # A step that is tried again asks anew: what it was answered before did not do.
            of_this_try = [task for task in made if step.started_at and task.created_at >= step.started_at]
            task = next((task for task in of_this_try if _is_same(task, request)), None)
            if task is None:
                _refuse_more_than(_MOST_TASKS, of_this_try)
                place = Place(run_id=run.id, step_id=STEP, item=len(made), retries_left=0, traceparent=run.traceparent)
                task = intake.new_task(owner, agent, request, place)
                await intake.store(tx, Subject(task, owner, after), request, agent)
        return owner, task.id


async def running(tx: Transaction, run: Run, bench: str) -> RunStep:
    """The step of the run, whose plan is still to be made on this bench.

    Raises:
        Conflict: it is not; what a later try wants is made on a bench of its own.
    """
    for step in await runs.steps(tx, run.id):
        wanted = step.step_id == STEP and step.status is StepStatus.RUNNING and step.error is None
        if wanted and step.started_at and bench_of(run.id, step.started_at) == bench:
            return step
    raise Conflict("The plan is not wanted any more; its run has ended; begin another one with taskmaster_plan.")


def _is_same(task: Task, request: TaskRequest) -> bool:
    """Whether the task is what is asked now."""
    asked = (request.prompt, request.response_schema, request.config)
    return (task.prompt, task.response_schema, task.config_changes) == asked


def _refuse_more_than(most: int, made: Sequence[Task]) -> None:
    if len(made) >= most:
        raise Conflict("The plan was given up; Task Master asked for more and more; begin another one.")

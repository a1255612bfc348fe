"""Makes plans: Task Master's own AI tools work in a private copy of the project, with our gateway as their model.

What comes of it is merged into the project when all is there, in one write. A plan that was cut off is begun again by
whoever has its bench, and asks for nothing that was answered.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Conflict, Unavailable, VelError
from vel_tutor_mcp.models import TaskError
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.plan_tasks import Ask, PlanTasks, running
from vel_tutor_mcp.services.plans import STEP, wanted_by
from vel_tutor_mcp.services.record import Aftermath
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.store import audit, runs
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken
from vel_tutor_mcp.taskmaster import copying, keeping, merging
from vel_tutor_mcp.taskmaster.benches import Benches, run_of
from vel_tutor_mcp.taskmaster.child import Child, Unsure
from vel_tutor_mcp.taskmaster.planning import Plan
from vel_tutor_mcp.taskmaster.project import Project
from vel_tutor_mcp.workflows.model import Run

Gateway = Callable[[Ask], AbstractAsyncContextManager[str]]
"""Serves an `Ask` as OpenAI's API does, at the base URL that it gives, as long as it is open."""

# Each plan has a process of Task Master, of nearly 300 MB.
_AT_ONCE = 2
_FAULT = "The plan could not be made; a fault of the server's own, of which its log says more; nothing was written."
# A bench may be another process's, which cues nobody here when it dies.
_LOOK_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Planner:
    """Makes the plans that are wanted on these benches. `command` starts Task Master."""

    def __init__(
        self,
        database: Database,
        command: str,
        benches: Benches,
        conductor: Conductor,
        admission: Admission,
        tasks: Tasks,
    ) -> None:
        self._database = database
        self._command = command
        self._benches = benches
        self._conductor = conductor
        self._admission = admission
        self._tasks = tasks
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def loop(self, gateway: Gateway) -> None:
        """Make what is wanted, until cancelled."""
        begun: set[str] = set()
        async with asyncio.TaskGroup() as making:
            while True:
                for bench in await self._wanted() - begun:
                    begun.add(bench)
                    plan = making.create_task(self._make(bench, gateway))
                    plan.add_done_callback(partial(_forget, begun, bench))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._benches.called.wait()
                self._benches.called.clear()

    async def _wanted(self) -> set[str]:
        try:
            return set(await in_thread(self._benches.wanted))
        except OSError as problem:
            _log.debug("Plans cannot be looked for now; %s", problem)
            return set()

    async def _make(self, bench: str, gateway: Gateway) -> None:
        """Make the plan unless another process does; a fault must not keep others from being made."""
        try:
            async with self._room:
                with self._benches.held(bench) as folder:
                    if folder is None:
                        return
                    if (run := await self._stored(run_of(bench))) is not None:
                        await self._end(run, bench, await self._outcome(run, bench, folder, gateway))
                # Only now that the end is stored: whoever finds the bench makes the plan again.
                await in_thread(lambda: self._benches.done(bench))
        except Unavailable as problem:
            _log.warning("The plan of run %s waits; %s", run_of(bench), problem)
        except Exception:  # noqa: BLE001 - it is looked at again in a few seconds
            _log.exception("The plan of run %s waits; a fault keeps its outcome from being stored.", run_of(bench))

    @unbroken
    async def _stored(self, run_id: str) -> Run | None:
        async with self._database.read(INSTALLATION) as tx:  # a bench does not say whose it is
            return await runs.stored(tx, run_id)

    async def _outcome(self, run: Run, bench: str, folder: Path, gateway: Gateway) -> dict[str, Any] | TaskError:
        """What the plan gives, or why nothing.

        Raises:
            Unavailable: that cannot be known now.
        """
        tasks = PlanTasks(self._database, self._conductor, self._admission, self._tasks, run, bench)
        try:
            await tasks.check_wanted()
            return await self._made(run, folder, gateway, tasks)
        # Before `Unavailable`, of which it is one: what may have been written is not tried again.
        except Unsure as problem:
            return TaskError(code=problem.code, message=str(problem))
        except Unavailable:
            raise
        except VelError as problem:
            first = tasks.problem or problem  # what Task Master was refused, it tells in words of its own
            return TaskError(code=first.code, message=str(first))
        except Exception:  # noqa: BLE001 - whoever waits for the run is told
            _log.exception("A fault keeps the plan of run %s from being made.", run.id)
            return TaskError(code=VelError.code, message=_FAULT)

    async def _made(self, run: Run, folder: Path, gateway: Gateway, tasks: PlanTasks) -> dict[str, Any]:
        project, plan = await in_thread(lambda: merging.full(wanted_by(run), run.id))
        # A process may have died between its write and the end of the step.
        if (earlier := await in_thread(lambda: merging.merged_before(project, plan))) is not None:
            return earlier
        async with gateway(tasks.ask) as base_url:
            copy = await in_thread(lambda: merging.copied(folder / "copy", project, plan, base_url))
            child = Child(self._command, copy, folder / "home", asks=True)
            try:
                tool, arguments = copying.call_of(copy, plan)
                await child.call(tool, **arguments)
            finally:
                await child.close()
        async with keeping.alone(project):
            # The last look before the write: Task Master takes minutes, in which the run may have been cancelled.
            await tasks.check_wanted()
            return await _merged(project, copy, plan)

    @unbroken
    async def _end(self, run: Run, bench: str, outcome: dict[str, Any] | TaskError) -> None:
        """End the step, unless this try of it has ended: its task failed, it was cancelled, or its time was over."""
        after = Aftermath()
        with suppress(Conflict):
            async with self._database.write(run.organisation_id) as tx:
                await running(tx, run, bench)
                round_ = await self._conductor.round(tx, await runs.get(tx, run.id), after)
                if isinstance(outcome, TaskError):
                    await round_.fail(STEP, outcome)
                else:
                    facts = {name: value for name, value in outcome.items() if name != "made"}
                    await audit.append(tx, round_.owner, "taskmaster_planned", f"run:{run.id}", facts, record.now())
                    await round_.complete(STEP, outcome)
                await round_.proceed()
            self._conductor.follow_up(after)


@unbroken  # nobody else may write meanwhile, even where we are being stopped
async def _merged(project: Project, copy: Project, plan: Plan) -> dict[str, Any]:
    return await in_thread(lambda: merging.merge(project, copy, plan))


def _forget(begun: set[str], bench: str, _: "asyncio.Task[None]") -> None:
    begun.discard(bench)

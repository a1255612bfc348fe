"""Takes runs on: whatever ends a task does so here, so that its run goes on in the same transaction."""

import asyncio
from collections import OrderedDict
from typing import Any

from vel_tutor_mcp.models import TaskError, TaskStatus
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.record import Aftermath, Subject
from vel_tutor_mcp.services.round import Round
from vel_tutor_mcp.store import people, runs, tasks, workflows
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.isolation import act_for
from vel_tutor_mcp.taskmaster.benches import Benches
from vel_tutor_mcp.workflows.graph import Graph, read
from vel_tutor_mcp.workflows.model import Run

_MOST_KEPT = 256


class Conductor:
    """`executor` names this process in the history of the runs that it takes on.

    Attributes:
        bridged: set where the bridge to Task Master has something to do.
    """

    def __init__(self, hub: Hub, calls: Calls, executor: str, benches: Benches) -> None:
        self._benches = benches
        self._hub = hub
        self._calls = calls
        self._executor = executor
        self.bridged = asyncio.Event()
        self._graphs: OrderedDict[tuple[str, int], Graph] = OrderedDict()

    def follow_up(self, after: Aftermath) -> None:
        """See to what follows a transaction, once it is committed."""
        after.publish(self._hub)
        # All of it is emptied as it is done: a task keeps its aftermath over many transactions.
        for work in after.stop:
            self._calls.stop(work)
        after.stop.clear()
        for bench in after.plans:
            self._benches.want(bench)
        after.plans.clear()
        if after.bridged:
            self.bridged.set()
            after.bridged.clear()

    async def end_task(
        self,
        tx: Transaction,
        subject: Subject,
        status: TaskStatus,
        message: str,
        *,
        error: TaskError | None = None,
        payload: dict[str, Any] | None = None,
        breaks_run: bool = False,
        **values: Any,
    ) -> bool:
        """`record.end` for a task that may belong to a run, which then goes on, or with `breaks_run` fails too."""
        if not await record.end(tx, subject, status, message, error=error, payload=payload, **values):
            return False
        if subject.task.run_id is not None:
            await self._take_on(tx, subject, subject.task.run_id, error if breaks_run else None)
        return True

    async def round(self, tx: Transaction, run: Run, after: Aftermath) -> Round:
        """A round of the run, in a writer's transaction."""
        return Round(
            tx=tx,
            run=run,
            owner=await people.principal(tx, run.owner_id),
            graph=await self.graph(tx, run.workflow_id, run.workflow_version),
            steps={step.step_id: step for step in await runs.steps(tx, run.id)},
            executor=self._executor,
            after=after,
        )

    async def graph(self, tx: Transaction, workflow_id: str, version: int) -> Graph:
        """The graph of a stored definition, which never changes."""
        key = (workflow_id, version)
        if key not in self._graphs:
            self._graphs[key] = read(await workflows.definition(tx, workflow_id, version))
            if len(self._graphs) > _MOST_KEPT:
                # The oldest, used or not: it is read again in a moment.
                self._graphs.popitem(last=False)
        return self._graphs[key]

    async def time_out(self, tx: Transaction, run_id: str, step_id: str, after: Aftermath) -> None:
        """Take note that the time of a step is over."""
        run = await runs.get(tx, run_id)
        # Another process may have seen it first.
        if run.status.ended:
            return
        await act_for(tx, run.organisation_id)
        round_ = await self.round(tx, run, after)
        await round_.time_out(step_id)
        await round_.proceed()

    async def _take_on(self, tx: Transaction, subject: Subject, run_id: str, fault: TaskError | None) -> None:
        run = await runs.get(tx, run_id)
        # As it ended; the subject has it as it was before.
        ended = await tasks.get(tx, subject.task.id)
        if run.status.ended or ended is None:
            return
        round_ = await self.round(tx, run, subject.after)
        await (round_.settle(ended) if fault is None else round_.break_off(fault))
        await round_.proceed()

"""The engine on DBOS, in the same database as our own tables.

Three of its habits are set aside: work is started at once after our commit rather than picked up by polling, the death
of a process is found by its lease (`liveness`) because DBOS does not look for it, and a database that was away is asked
again soon. `_recover_pending_workflows`, the internal queue, what ends the background jobs, the module that tries again
and whether it does are private names: dbos is pinned to one version, and the crash tests run against it.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from typing import Any, TypeVar

from dbos import DBOS, DBOSConfig, SetWorkflowID, _sys_db
from dbos._serialization import DBOSPortableJSONSerializer

from vel_tutor_mcp.background import in_thread, look_names_up_apart, look_names_up_as_before
from vel_tutor_mcp.bearings import take_up
from vel_tutor_mcp.execution.engine import Run
from vel_tutor_mcp.execution.liveness import Lease
from vel_tutor_mcp.models import Work
from vel_tutor_mcp.store.database import Database

# The version of the workflow's shape, not of the program: recorded work is only run by the version that wrote it.
_WORKFLOW_VERSION = "1"
_THREADS = 16
_LEASE_SECONDS = 0.25
# On SQLite DBOS asks for the name of a schema and makes none.
_NO_SCHEMA = "dbos"
_RESULT_POLL_SECONDS = 1.0
# We have none of its notifications: who sends and who looks for them wakes once, so late, and ends.
_NOTIFYING_SECONDS = 0.02
_OUTCOME_WAIT_SECONDS = 0.3
_START_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]

Result = TypeVar("Result")


class _Time:
    """`time` for the part of DBOS that tries again where the database is away: it would wait twice as long each time,
    90 s in the end, with the database long back, and whoever submits a task, and the care loop, would wait with it.
    """

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, _RETRY_SECONDS))

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class DbosEngine:
    """See `engine.Engine`. `prepare` blocks and belongs in a thread; `launch` belongs on the loop."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self.executor = lease.executor
        self._database = database
        self._lease = lease
        self._system = database.blocking_engine()
        self._open: set[asyncio.Task[Any]] = set()
        self._holders: set[str] = set()

    def migrate(self) -> None:
        """Create or update DBOS's own tables. Blocks."""
        logging.getLogger("dbos").setLevel(logging.CRITICAL)  # what it raises is told by us
        DBOS.migrate(self._database.engine_url, schema=self._database.engine_schema or _NO_SCHEMA)

    async def launch(self, run: Run, room: int) -> None:
        async def durable(work_id: str) -> str:
            work = Work.of(work_id)
            # Whoever started it was about something else: a request, or the task that made room.
            take_up(task=work.task_id, request=None, run=None, attempt=None)
            return await run(work)

        # No limit of its own: the services count recoveries, and end a task with a sentence (`tasks.recoveries`).
        self._workflow = DBOS.workflow(name="work", max_recovery_attempts=None)(durable)
        logging.getLogger("dbos").setLevel(logging.ERROR)
        vars(_sys_db)["time"] = _Time()
        config = DBOSConfig(
            name="vel-tutor-mcp",
            system_database_url=self._database.engine_url,
            system_database_engine=self._system,
            dbos_system_schema=self._database.engine_schema or _NO_SCHEMA,
            application_version=_WORKFLOW_VERSION,
            executor_id=self.executor,
            # The one that it has by default pickles: who can write to the database could have code run here.
            serializer=DBOSPortableJSONSerializer(),
            # `migrate` has, under the lock for upgrades: two processes that migrate at once fail.
            run_migrations=False,
            log_level="ERROR",
            max_executor_threads=_THREADS,
            notification_coalesce_sec=_NOTIFYING_SECONDS,
            notification_listener_polling_interval_sec=_NOTIFYING_SECONDS,
        )
        await asyncio.to_thread(self._connect)
        look_names_up_apart(asyncio.get_running_loop())  # DBOS puts its own pool in the place of the loop's
        instance = DBOS(config=config)
        # What is recovered passes through this queue, which every process would empty; it has no public setting.
        self._recovered = instance._registry.get_internal_queue()  # noqa: SLF001
        self._recovered._worker_concurrency = room  # noqa: SLF001
        # These look each second for delayed and timed work, which we have not, and keep a transaction open meanwhile.
        instance._background_jobs_stop_event.set()  # noqa: SLF001
        try:
            DBOS.launch()
            # Else closing would wait for the next time that these wake.
            instance._sys_db._run_background_processes = False  # noqa: SLF001
            self._rows = instance._sys_db  # noqa: SLF001
            held = await DBOS.list_workflows_async(status="PENDING", load_input=False, load_output=False)
        except BaseException:
            DBOS.destroy(destroy_registry=True)  # so that it can be launched again
            raise
        self._holders = {workflow.executor_id for workflow in held if workflow.executor_id}
        self._keeping = asyncio.create_task(self._keep_lease())

    def _connect(self) -> None:
        """Fill the pool, so that what forbids it is told now: DBOS itself would try for ever, without a word."""
        with ExitStack() as stack:
            for _ in range(self._system.pool.size()):  # type: ignore[attr-defined]  # the pool's kind
                stack.enter_context(self._system.connect())

    async def start(self, work: Work) -> bool:
        starting = self._kept(_apart(self._start(work)))
        # Never cut: DBOS could have stored that it began, and nobody would run it.
        await asyncio.wait({starting}, timeout=_START_SECONDS)
        if starting.done():
            starting.result()
        return starting.done()

    async def _start(self, work: Work) -> None:
        with SetWorkflowID(work.id):
            handle = await DBOS.start_workflow_async(self._workflow, work.id)
        self._kept(asyncio.create_task(handle.get_result(polling_interval_sec=_RESULT_POLL_SECONDS)))

    async def not_begun(self, works: Iterable[Work]) -> list[Work]:
        asked = {work.id: work for work in works}
        if not asked:
            return []
        known = await DBOS.list_workflows_async(workflow_ids=list(asked), load_input=False, load_output=False)
        begun = {workflow.workflow_id for workflow in known}
        return [work for work_id, work in asked.items() if work_id not in begun]

    async def holds(self, work: Work) -> bool:
        found = await _apart(DBOS.list_workflows_async(workflow_ids=[work.id], load_input=False, load_output=False))
        return any(each.status == "PENDING" and each.executor_id == self.executor for each in found)

    async def take_over(self, executors: Iterable[str]) -> set[str]:
        dead = await in_thread(lambda: self._lease.dead(set(executors) | self._holders))
        if dead:
            await asyncio.to_thread(DBOS._recover_pending_workflows, sorted(dead))  # noqa: SLF001 - see the module's docstring
        self._holders -= dead
        return dead

    def rest(self) -> None:
        self._recovered._worker_concurrency = 0  # noqa: SLF001

    async def prune(self, before: datetime, most: int) -> int:
        ended = await DBOS.list_workflows_async(
            status=_ENDED, completed_before=before.isoformat(), limit=most, load_input=False, load_output=False
        )
        if ended:
            await DBOS.delete_workflows_async([workflow.workflow_id for workflow in ended])
        return len(ended)

    async def _keep_lease(self) -> None:
        """Others must not take this process for dead because one connection broke, or it had nothing to ask."""
        while True:
            await asyncio.sleep(_LEASE_SECONDS)
            if self._lease.due:
                await in_thread(self._lease.keep)  # a thread of its own: DBOS's may all wait for the database

    async def stop(self) -> None:
        # An answer that was just stored leaves its outcome to be written; losing that costs one empty run later.
        if self._open:
            await asyncio.wait(self._open, timeout=_OUTCOME_WAIT_SECONDS)
        self._keeping.cancel()
        self._lease.release()

    def abandon(self) -> None:
        """Free what it has where it could not be launched, the lease too. Blocks."""
        self._lease.release()
        self._system.dispose()

    async def dispose(self) -> None:
        # Else a thread that still asks would try again for ever, should the database go now, and the loop wait for it.
        self._rows._retry_connection_errors = False  # noqa: SLF001
        await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
        # DBOS had put its own pool in this place, which it has shut down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())
        look_names_up_as_before(asyncio.get_running_loop())
        self._system.dispose()

    def _kept(self, task: "asyncio.Task[Result]") -> "asyncio.Task[Result]":
        # asyncio holds tasks by weak references alone.
        self._open.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._open.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()


def _apart(asked: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
    """In a context of its own: what work asks of the engine must not become a part of that work."""
    return asyncio.create_task(asked, context=contextvars.Context())

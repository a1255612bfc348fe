"""The loop that mends what a crash leaves behind, here or in a process that died: once at start, then every second."""

import asyncio
import logging
from datetime import timedelta

from vel_tutor_mcp.execution.engine import Engine
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.answers import Answers
from vel_tutor_mcp.store import tasks
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.store.tasks import Unfinished

_EVERY_SECONDS = 1.0
_PRUNE_EVERY = 3600

_log = logging.getLogger(__name__)


class Care:
    """Stops what was cancelled elsewhere, takes over from the dead, starts what was stored but never begun."""

    def __init__(self, database: Database, engine: Engine, answers: Answers, history_days: int) -> None:
        self._database = database
        self._engine = engine
        self._answers = answers
        self._keep = timedelta(days=history_days)

    async def loop(self) -> None:
        """Run until cancelled; a fault is logged and the next round tries again."""
        rounds = 0
        while True:
            try:
                await self.once()
                if rounds % _PRUNE_EVERY == 0:
                    await self._engine.prune(record.now() - self._keep)
            except Exception:  # noqa: BLE001 - a fault of one round must not end the mending
                _log.exception("The care loop met a fault and goes on.")
            rounds += 1
            await asyncio.sleep(_EVERY_SECONDS)

    @unbroken
    async def once(self) -> None:
        async with self._database.read() as tx:
            unfinished = await tasks.unfinished(tx)
        for task in unfinished:
            if task.cancel_requested:
                self._answers.cancel(task.work.task_id)
        dead = await self._engine.take_over({task.executor for task in unfinished if task.executor})
        await self._start_forgotten(unfinished, dead)
        await self._admit_waiting(unfinished)

    async def _start_forgotten(self, unfinished: list[Unfinished], dead: set[str]) -> None:
        ours = dead | {self._engine.executor}
        claimed = [
            task.work
            for task in unfinished
            if task.status is TaskStatus.IN_PROGRESS
            and task.executor in ours
            and not self._answers.is_running(task.work.task_id)
        ]
        await self._answers.start(await self._engine.not_begun(claimed))

    async def _admit_waiting(self, unfinished: list[Unfinished]) -> None:
        for owner_id in {task.owner_id for task in unfinished if task.status is TaskStatus.PENDING}:
            async with self._database.write() as tx:
                admitted = await self._answers.admit(tx, owner_id)
            await self._answers.start(admitted)

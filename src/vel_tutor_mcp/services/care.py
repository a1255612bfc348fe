"""The loop that mends what a crash leaves behind, here or in a process that died: once at start, then every second."""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta

from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.execution.engine import Engine
from vel_tutor_mcp.news import News
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.hub import Hub
from vel_tutor_mcp.services.record import Aftermath
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import grants, runs, set_back, task_texts, tasks, webhook_deliveries
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken
from vel_tutor_mcp.store.tasks import Claimed

_EVERY_SECONDS = 1.0
_AT_MOST_EVERY_SECONDS = 0.1
_TIDY_EVERY = timedelta(hours=1)
# Of each kind in one transaction, for which all other writers wait; the next so many follow in the next round.
_MOST_PRUNED = 1000
# Longer than a request that began before takes: none has it in hand any more.
_EXPIRED_STAYS = timedelta(hours=1)
_TEXTS_AT_ONCE = 500
# Much longer than from one look to the next: no look reads all tasks there are.
_TEXTS_LATE = timedelta(days=1)
_DELIVERIES_STAY = timedelta(days=30)

_log = logging.getLogger(__name__)


class Care:
    """Stops what was cancelled elsewhere, takes over from the dead, starts what was stored but never begun, and wakes
    those who wait for what ended unheard. Steps whose time is over are stopped, whoever runs them.
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        admission: Admission,
        calls: Calls,
        conductor: Conductor,
        hub: Hub,
        settings: Settings,
    ) -> None:
        self._calls = calls
        self._conductor = conductor
        self._database = database
        self._engine = engine
        self._admission = admission
        self._hub = hub
        self._settings = settings
        self._called = asyncio.Event()
        self._ended: set[str] = set()
        self._fault: str | None = None
        self._tidied_at = record.now() - _TIDY_EVERY
        self._ahead: timedelta | None = None

    def call(self) -> None:
        """Look soon: there is work that waits."""
        self._called.set()

    async def loop(self) -> None:
        """Run until cancelled; a fault is logged and the next round tries again."""
        while True:
            try:
                await self._heed_the_clock()
                await self.once()
                await self._tidy_in_turn()
                self._recover_from(None)
            except VelError as problem:
                self._recover_from(str(problem))
            except Exception:  # noqa: BLE001 - a fault of one round must not end the mending
                _log.exception("The care loop met a fault and goes on.")
            await asyncio.sleep(_AT_MOST_EVERY_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS - _AT_MOST_EVERY_SECONDS):
                    await self._called.wait()
            self._called.clear()

    @unbroken
    async def once(self) -> None:
        """Raises:
        Unavailable: the database cannot be used now.
        """
        running = self._calls.works  # as it was before: what begins meanwhile is not among the claimed
        async with self._database.read(INSTALLATION) as tx:
            claimed = await tasks.claimed(tx)
            in_turn = await self._admission.could_admit(tx)
            ended = {*await tasks.ended_of(tx, self._hub.listened), *await runs.ended_of(tx, self._hub.listened)}
            overdue = await runs.overdue(tx, record.now())
        for subject_id in ended & self._ended:  # whose last news had a second to come, and got lost
            self._hub.hear(subject_id, News(100, "ended", ended=True))
        self._ended = ended
        kept = {task.work for task in claimed if task.executor == self._engine.executor}
        asked = {task.work for task in claimed if task.cancel_requested}
        for work in (running - kept) | asked:  # another process has it: this one was frozen
            self._calls.cancel(work)
        for run_id, step_id in overdue:
            await self._time_out(run_id, step_id)
        # The engine has connections of its own, whose failures have no sentence yet.
        with self._database.translated():
            dead = await self._dead_of(claimed)
            await self._start_forgotten(claimed, dead)
        if in_turn:
            await self._admit()

    async def _heed_the_clock(self) -> None:
        """Nobody waits longer because the clock was set back, while we ran or before."""
        now = record.now()
        ahead = timedelta(seconds=now.timestamp() - time.monotonic())
        if self._ahead is None or ahead < self._ahead - set_back.SLACK:
            await self._end_waits(now)
        self._ahead = ahead

    @unbroken
    async def _end_waits(self, now: datetime) -> None:
        async with self._database.write(INSTALLATION) as tx:
            await set_back.end_waits(tx, now)

    async def prune(self) -> bool:
        """Take away what nobody asks for any more: the engine's old history, what people came in by, and what
        webhooks were told. Whether there may be more of it.

        Raises:
            Unavailable: the database cannot be used now.
        """
        at = record.now()
        with self._database.translated():
            ended = await self._engine.prune(at - timedelta(days=self._settings.history_days), _MOST_PRUNED)
        return max(ended, await self._forget_expired(at - _EXPIRED_STAYS)) == _MOST_PRUNED

    async def complete_texts(self) -> None:
        """Of tasks of the last day that an older server has added beside us, so that they are found.

        Raises:
            Unavailable: the database cannot be used now.
        """
        while await self._lacks_texts():
            await self._add_texts()

    @unbroken
    async def _forget_expired(self, before: datetime) -> int:
        async with self._database.write(INSTALLATION) as tx:
            expired = await grants.forget_expired(tx, before, _MOST_PRUNED)
            return max(expired, await webhook_deliveries.forget(tx, before - _DELIVERIES_STAY, _MOST_PRUNED))

    async def _dead_of(self, claimed: list[Claimed]) -> set[str]:
        """The processes whose work is ours now."""
        # Who takes up no work must not take over any: it would be ours and lie there.
        if self._admission.guest or self._admission.resting or not self._settings.concurrency:
            return set()
        return await self._engine.take_over({task.executor for task in claimed if task.executor})

    async def _start_forgotten(self, claimed: list[Claimed], dead: set[str]) -> None:
        ours = dead | {self._engine.executor}
        running = self._calls.tasks
        idle = [task.work for task in claimed if task.executor in ours and task.work.task_id not in running]
        await self._admission.start(await self._engine.not_begun(idle))

    async def _admit(self) -> None:
        async with self._database.write(INSTALLATION) as tx:
            admitted = await self._admission.admit(tx)
        await self._admission.start(admitted)

    async def _time_out(self, run_id: str, step_id: str) -> None:
        """End the step's time; a fault in it must not keep from others what is theirs."""
        after = Aftermath()
        try:
            async with self._database.write(INSTALLATION) as tx:
                await self._conductor.time_out(tx, run_id, step_id, after)
        except VelError:
            raise
        except Exception:  # noqa: BLE001 - as above
            _log.exception("The time of step %s of run %s is over, but a fault keeps it from ending.", step_id, run_id)
        else:
            self._conductor.follow_up(after)

    async def _tidy_in_turn(self) -> None:
        at = record.now()
        if at - self._tidied_at >= _TIDY_EVERY and not await self.prune():
            await self.complete_texts()
            self._tidied_at = at

    @unbroken
    async def _lacks_texts(self) -> bool:
        async with self._database.read(INSTALLATION) as tx:
            return await task_texts.some_missing(tx, record.now() - _TEXTS_LATE)

    @unbroken
    async def _add_texts(self) -> None:
        async with self._database.write(INSTALLATION) as tx:
            await task_texts.complete(tx, record.now() - _TEXTS_LATE, _TEXTS_AT_ONCE)

    def _recover_from(self, fault: str | None) -> None:
        """Say it once when the database goes, and once when it is back."""
        if fault is not None and self._fault is None:
            _log.warning("%s", fault)
        if fault is None and self._fault is not None:
            _log.warning("Work goes on: %s is back.", self._database.place)
        self._fault = fault

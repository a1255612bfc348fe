"""The loop that rolls up usage: each hour and each day once it is over, so that reports need not read every attempt.

It writes nothing that could not be made anew: whatever a crash, another process or an older version left out is due
again at the next look. Reports are right at any moment, for they read the attempts of what is not rolled up yet.
"""

import logging
from datetime import datetime

from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.repeating import repeated
from vel_tutor_mcp.store import rollups
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken
from vel_tutor_mcp.store.spans import Span, Step, days_since, due, hours_since

# Later than what a start has to do, and short of the margin that a span is given.
_LOOK_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Rollups:
    """Any number of processes may do so at once: who comes second finds it done."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tidied = False

    async def loop(self) -> None:
        """Run until cancelled; a fault is logged and tried again."""
        await repeated(self.once, _LOOK_SECONDS, _log, "The rolling up of usage")

    async def once(self) -> int:
        """Roll up what is due, each hour and day in a transaction of its own; so many of them.

        Raises:
            Unavailable: the database cannot be used now.
        """
        now = record.now()
        await self._forget_coming(now)
        done = 0
        for span in await self._due(now):
            done += await self._roll(span)
        # The first time too: what came to be over while no server ran may have been rolled up before it was.
        if done or not self._tidied:
            await self._tidy(now)
            self._tidied = True
        return done

    async def backlog(self) -> int:
        """How many hours and days are due.

        Raises:
            Unavailable: the database cannot be used now.
        """
        return len(await self._due(record.now()))

    async def rebuild(self) -> int:
        """Forget all that is rolled up, and do it anew; safe beside running servers.

        Raises:
            Unavailable: the database cannot be used now.
        """
        await self._forget_all()
        return await self.once()

    @unbroken
    async def _forget_coming(self, now: datetime) -> None:
        """Let go of spans that are not over: they were rolled up while a clock was ahead."""
        async with self._database.read(INSTALLATION) as tx:
            coming = [span for span in await rollups.rolled(tx, now - Step.DAY.length) if span.end > now]
        if not coming:
            return
        async with self._database.write(INSTALLATION) as tx:
            for span in coming:
                await rollups.forget(tx, span)

    @unbroken
    async def _due(self, now: datetime) -> list[Span]:
        async with self._database.read(INSTALLATION) as tx:
            first = await rollups.first_ended(tx)
            return [] if first is None else due(now, first, await rollups.rolled(tx, days_since(now)))

    @unbroken
    async def _roll(self, span: Span) -> bool:
        async with self._database.read(INSTALLATION) as tx:
            # Without the writer's lock: `put` finds out whether another process was faster.
            cells = await rollups.summed(tx, span)
        async with self._database.write(INSTALLATION) as tx:
            return await rollups.put(tx, span, cells)

    @unbroken
    async def _tidy(self, now: datetime) -> None:
        """Let go of what is old, and of spans that an attempt was added to since: a clock was set back."""
        async with self._database.read(INSTALLATION) as tx:
            changed = await rollups.changed(tx, hours_since(now))
        async with self._database.write(INSTALLATION) as tx:
            await rollups.forget_old(tx, now)
            for span in changed:
                await rollups.forget(tx, span)

    @unbroken
    async def _forget_all(self) -> None:
        async with self._database.write(INSTALLATION) as tx:
            await rollups.forget_all(tx)

"""What is measured of the installation for who watches over it: how it stands, and the calls that have ended.

It is read from the database, so every server of an installation tells the same, workers' calls included.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.histograms import Histogram
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.rollups import Rollups
from vel_tutor_mcp.store import figures
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken
from vel_tutor_mcp.store.figures import Ended, Figures
from vel_tutor_mcp.store.spans import MARGIN

KEPT_SECONDS, WAIT_SECONDS = 5.0, 5.0

Model = tuple[str, str]
"""Provider and model."""


@dataclass(slots=True)
class CallSums:
    """The calls of providers that have ended, summed."""

    ended: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    tokens: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    nanousd: Counter[Model] = field(default_factory=Counter)
    total: defaultdict[Model, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    first_token: defaultdict[Model, Histogram] = field(default_factory=lambda: defaultdict(Histogram))

    def add(self, call: Ended) -> None:
        model = call.provider, call.model
        self.ended[*model, call.outcome, call.failure or ""] += 1
        self.tokens[*model, "in"] += call.tokens_in or 0
        self.tokens[*model, "out"] += call.tokens_out or 0
        self.nanousd[model] += call.cost_nanousd or 0
        if call.total_ms is not None:
            self.total[model].add(call.total_ms / 1000)
        if call.first_token_ms is not None:
            self.first_token[model].add(call.first_token_ms / 1000)


@dataclass(frozen=True, slots=True)
class Measured:
    """One look: `calls` are all since this process began, `rollups` the hours and days that are not rolled up yet."""

    at: datetime
    figures: Figures
    calls: CallSums
    rollups: int


class Measuring:
    """Looks at most every few seconds, however many ask."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rollups = Rollups(database)
        self._settled = CallSums()
        self._since = record.now()
        self._looking: asyncio.Task[Measured | None] | None = None
        self._looked = 0.0

    @allows(Operation.METRICS_READ)
    async def look(self, principal: Principal) -> Measured | None:  # noqa: ARG002 - who may, sees all there is
        """How it stands now; None where the database cannot be used, or does not answer soon.

        Raises:
            Forbidden: the principal may not read it.
        """
        if self._looking is None or (self._looking.done() and time.monotonic() - self._looked > KEPT_SECONDS):
            self._looking = asyncio.create_task(self._look())
        # A look that takes longer is not cut: it is for whoever asks next.
        await asyncio.wait({self._looking}, timeout=WAIT_SECONDS)
        return self._looking.result() if self._looking.done() else None

    async def _look(self) -> Measured | None:
        try:
            return await self._read()
        except VelError:
            return None
        finally:
            self._looked = time.monotonic()

    @unbroken
    async def _read(self) -> Measured:
        at = record.now()
        async with self._database.read(INSTALLATION) as tx:
            stands = await figures.figures(tx)
            ended = await figures.ended_since(tx, self._since)
        return Measured(at, stands, self._count(ended, at), await self._rollups.backlog())

    def _count(self, ended: Sequence[Ended], at: datetime) -> CallSums:
        """All that ended. What is newer than the margin is read again the next time: others of then may come late."""
        settled = at - MARGIN
        for call in ended:
            if call.ended_at < settled:
                self._settled.add(call)
        self._since = max(self._since, settled)
        calls = deepcopy(self._settled)
        for call in ended:
            if call.ended_at >= settled:
                calls.add(call)
        return calls

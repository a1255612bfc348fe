"""Which waiting tasks this process takes up, and when: the claim in a transaction, and the start after its commit."""

import logging
from collections.abc import Iterable, Sequence

from vel_tutor_mcp.errors import NoCandidate
from vel_tutor_mcp.execution.engine import Engine
from vel_tutor_mcp.models import Work
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.booking import Tools
from vel_tutor_mcp.services.calls import Calls
from vel_tutor_mcp.services.wire import Wire
from vel_tutor_mcp.store import admission, integrations
from vel_tutor_mcp.store.admission import Bounds
from vel_tutor_mcp.store.database import Transaction
from vel_tutor_mcp.store.isolation import everywhere

_log = logging.getLogger(__name__)


class Admission:
    """A guest is a process that soon leaves: it takes up what was submitted to it, no more.

    Attributes:
        resting: nothing more is taken up, for the process is about to leave.
        closing: nor is anything started that was.
    """

    def __init__(
        self, tools: Tools, engine: Engine, calls: Calls, wire: Wire, configured: frozenset[str], *, guest: bool = False
    ) -> None:
        self.guest = guest
        self.resting = False
        self.closing = False
        self._engine = engine
        self._calls = calls
        self._wire = wire
        self._configured = configured
        self._own: set[str] = set()
        self._bounds = Bounds(
            of_owner=tools.settings.tasks_in_progress,
            of_executor=tools.settings.concurrency,
            own_keys=not configured,
            providers=tools.catalog.limits,
        )

    async def refuse_without_providers(self, tx: Transaction, owner_id: str) -> None:
        """Raises:
        NoCandidate: no provider can be called at all, not even with a key of the owner's own.
        """
        if not await self.can_ask(tx, owner_id):
            raise NoCandidate(
                "No model can be asked; no provider has a key; set OPENAI_API_KEY, GROQ_API_KEY or PERPLEXITY_API_KEY, "
                "or VEL_TUTOR_LOCAL_BASE_URL, in this server's environment and start it again."
            )

    async def can_ask(self, tx: Transaction, owner_id: str) -> bool:
        """Whether there is anything here to call a model with for this owner's tasks."""
        return bool(self._configured) or await integrations.calls_models(tx, owner_id)

    def own(self, task_id: str) -> None:
        """The task was submitted here: a guest takes up such tasks only."""
        if self.guest:
            self._own.add(task_id)

    async def admit(self, tx: Transaction) -> list[Work]:
        """Claim the tasks whose turn it is and that this process has room for; `start` them after the commit."""
        if self.resting:
            return []
        async with everywhere(tx):  # it is one line for the tasks of all
            return await admission.admit(tx, self._engine.executor, record.now(), self._bounds, self._only)

    async def could_admit(self, tx: Transaction) -> bool:
        """Whether `admit` would claim anything; for a transaction that only reads."""
        return bool(await admission.next_in_turn(tx, self._engine.executor, record.now(), self._bounds, self._only))

    async def begin(self, admitted: Sequence[Work]) -> None:
        """Start what was admitted; where this process is full, another one may have room for the rest."""
        # Where there is room and nothing was admitted, nothing waits that could begin: then nobody need be told.
        if not admitted and (self.resting or len(self._calls.tasks) >= self._bounds.of_executor):
            self._wire.tell_work()
        await self.start(admitted)

    async def start(self, works: Iterable[Work]) -> None:
        for work in works:
            if self.closing:
                return
            try:
                if not await self._engine.start(work):
                    return  # nor would the others begin now: the care loop starts them
            except Exception:  # noqa: BLE001 - it is committed and the care loop starts it: no caller must believe it lost
                _log.exception("Work %s could not be started now; it is tried again within a second.", work.id)

    @property
    def _only(self) -> set[str] | None:
        return self._own if self.guest else None

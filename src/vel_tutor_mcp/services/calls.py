"""The calls to models that run in this process, by the work that they are for."""

import asyncio
from typing import Any

from vel_tutor_mcp.models import Work
from vel_tutor_mcp.services.wire import Wire


class Calls:
    """Which tasks' calls run here, and the way to stop one wherever it runs.

    What stops a call names its work: who asks late means an earlier set of a task that was tried again meanwhile.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._running: dict[Work, asyncio.Task[Any]] = {}

    @property
    def tasks(self) -> set[str]:
        """The ids of the tasks whose calls run here."""
        return {work.task_id for work in self._running}

    @property
    def works(self) -> set[Work]:
        return set(self._running)

    @property
    def running(self) -> set["asyncio.Task[Any]"]:
        return set(self._running.values())

    def begin(self, work: Work, call: "asyncio.Task[Any]") -> None:
        self._running[work] = call

    def end(self, work: Work) -> None:
        del self._running[work]

    def cancel(self, work: Work) -> None:
        """Stop its call, where it runs here; its end is recorded as cancelled."""
        if call := self._running.get(work):
            call.cancel()

    def stop(self, work: Work) -> None:
        """Stop its call, here or in the process that has it."""
        self.cancel(work)
        self._wire.tell_cancel(work)

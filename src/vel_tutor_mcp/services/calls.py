"""The calls to models that run in this process, by their task."""

import asyncio
from typing import Any

from vel_tutor_mcp.services.wire import Wire


class Calls:
    """Which tasks' calls run here, and the way to stop one wherever it runs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._running: dict[str, asyncio.Task[Any]] = {}

    @property
    def tasks(self) -> set[str]:
        """The ids of the tasks whose calls run here."""
        return set(self._running)

    @property
    def running(self) -> set["asyncio.Task[Any]"]:
        return set(self._running.values())

    def begin(self, task_id: str, call: "asyncio.Task[Any]") -> None:
        self._running[task_id] = call

    def end(self, task_id: str) -> None:
        del self._running[task_id]

    def cancel(self, task_id: str) -> None:
        """Stop the task's call, where it runs here; its end is recorded as cancelled."""
        if call := self._running.get(task_id):
            call.cancel()

    def stop(self, task_id: str) -> None:
        """Stop the task's call, here or in the process that has it."""
        self.cancel(task_id)
        self._wire.tell_cancel(task_id)

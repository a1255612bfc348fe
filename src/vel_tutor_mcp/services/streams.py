"""The history of a task as it grows, from any point of it: for who follows a task and may lose the connection."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import Principal, Task
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.services.hub import Hear, Hub, Listener
from vel_tutor_mcp.services.lookup import spelt, task_of
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.store import history
from vel_tutor_mcp.store.database import Database, unbroken


@dataclass(frozen=True, slots=True)
class Chapter:
    """How the task stands, with the events that are newer than those seen, each with its number."""

    task: Task
    events: Sequence[tuple[int, TaskEvent]]


class Streams:
    """Reads what is new of a task; nothing of the database is held while nothing is. After `closing` nothing comes."""

    def __init__(self, database: Database, hub: Hub, closing: Callable[[], bool]) -> None:
        self._database = database
        self._hub = hub
        self.closing = closing

    @allows(Operation.TASK_READ)
    @unbroken
    async def read(self, principal: Principal, task_id: str, after: int) -> Chapter:
        """What is newer than the event of the number `after`.

        Raises:
            NotFound: there is no such task that the principal may see.
        """
        async with self._database.read(principal.organisation_id) as tx:
            task = await task_of(tx, principal, task_id)
            return Chapter(task, await history.numbered(tx, task.id, after))

    def listen(self, task_id: str) -> AbstractContextManager[Listener]:
        """Hears of the task while it is open; what is read after that misses nothing."""
        return self._hub.listen(spelt(task_id))

    def reading(self, task_id: str, hear: Hear) -> AbstractContextManager[None]:
        """Reads along what the task's model writes, while it is open and where the task is run by this process."""
        return self._hub.reading(spelt(task_id), hear)

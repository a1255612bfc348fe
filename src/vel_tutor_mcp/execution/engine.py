"""The port to the durable execution engine: what the services ask of it, and nothing of how it does it.

It is deliberately unaware of tasks, agents and money: it is given ids of work and a function that does it, and sees to
it that the function runs to its end, again after a crash if need be. That function must therefore tolerate being run
again: it reads from the store what is done already.
"""

from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Protocol

from vel_tutor_mcp.models import Work

Run = Callable[[Work], Awaitable[str]]


class Engine(Protocol):
    """Runs work so that a crash of the process loses none of it."""

    executor: str
    """Names this process among all that share the database."""

    async def launch(self, run: Run, room: int) -> None:
        """Begin to run work, on the event loop of the caller; take up at most `room` that the dead have left."""
        ...

    async def start(self, work: Work) -> bool:
        """Begin the work and return; no effect where it began before, here or in another process.

        False where the database keeps it waiting: it begins later, or by a `start` of then.
        """
        ...

    async def not_begun(self, works: Iterable[Work]) -> list[Work]:
        """Those that `start` was never called for: a crash came between their commit and their start."""
        ...

    async def holds(self, work: Work) -> bool:
        """Whether it is this process that the engine has given the work to, at this moment."""
        ...

    async def take_over(self, executors: Iterable[str]) -> set[str]:
        """Of these and of all that hold work, find the dead, and run their unfinished work here. Returns the dead."""
        ...

    def rest(self) -> None:
        """Take up nothing more that the dead have left; what was begun goes on."""
        ...

    async def prune(self, before: datetime, most: int) -> int:
        """Forget work that ended before this time, at most so much of it; returns how much."""
        ...

    async def stop(self) -> None:
        """Let the outcomes of ended work be written; work that has not ended is run again by whoever comes next."""
        ...

    async def dispose(self) -> None:
        """After `stop`, free every thread and connection: for a process that lives on."""
        ...

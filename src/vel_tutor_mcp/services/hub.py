"""News of tasks: whoever waits for a task hears of it at once instead of asking the database.

Nothing depends on it being heard: what matters is stored. `wire` brings the news of other processes.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from vel_tutor_mcp.news import News


class Listener:
    """What one waiter has heard and not yet taken."""

    def __init__(self) -> None:
        self._heard: list[News] = []
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def has_heard(self) -> bool:
        return bool(self._heard)

    def hear(self, news: News) -> None:
        # What passes is out of date with whatever comes after it.
        if self._heard and self._heard[-1].passing:
            self._heard.pop()
        self._heard.append(news)
        self._changed.set()
        if news.ended:
            self._ended.set()

    async def wait(self, seconds: float) -> None:
        """Until there is news, at most this long."""
        await _until(self._changed, seconds)

    async def pause(self, seconds: float) -> None:
        """Let news gather for so long, unless it is the last."""
        await _until(self._ended, seconds)

    def take(self) -> News | None:
        """All that was heard since the last time, as one; None where nothing was."""
        heard, self._heard = self._heard, []
        self._changed.clear()
        self._ended.clear()
        if not heard:
            return None
        return News(
            percent=max(news.percent for news in heard),
            message="; ".join(news.message for news in heard),
            ended=any(news.ended for news in heard),
        )


async def _until(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


Hear = Callable[[str, int, str], None]
"""Takes a piece of text, with the id of the attempt that it is of, and how many characters came before it."""


class Hub:
    """Hands news of a task to those who listen for it, here and, by `relay`, in other processes.

    What models write is handed on here alone, to those who read along. Each of `cues` is told of whom there is news.
    """

    def __init__(self, relay: Callable[[str, News], None], *cues: Callable[[str], None]) -> None:
        self._relay = relay
        self._cues = cues
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._readers: defaultdict[str, list[Hear]] = defaultdict(list)
        self._left = asyncio.Event()

    @property
    def listened(self) -> set[str]:
        """The ids of the tasks that somebody here waits for."""
        return set(self._listeners)

    def publish(self, task_id: str, news: News) -> None:
        self.hear(task_id, news)
        self._relay(task_id, news)

    async def dismiss(self, seconds: float) -> None:
        """Let nobody wait any longer, and give them so long to look for the last time."""
        for task_id in self.listened:
            # Heard here alone: other processes go on.
            self.hear(
                task_id, News(0, "the server is being stopped; the task goes on after its next start", ended=True)
            )
        deadline = time.monotonic() + seconds
        while self._listeners and (left := deadline - time.monotonic()) > 0:
            self._left.clear()
            await _until(self._left, left)

    def hear(self, task_id: str, news: News) -> None:
        for cue in () if news.passing else self._cues:
            cue(task_id)
        for listener in self._listeners.get(task_id, ()):
            listener.hear(news)

    def write(self, task_id: str, attempt_id: str, before: int, text: str) -> None:
        """Hand on what a model has written; see `Hear`."""
        for hear in self._readers.get(task_id, ()):
            hear(attempt_id, before, text)

    @contextmanager
    def reading(self, task_id: str, hear: Hear) -> Iterator[None]:
        self._readers[task_id].append(hear)
        try:
            yield
        finally:
            self._readers[task_id].remove(hear)
            if not self._readers[task_id]:
                del self._readers[task_id]

    @contextmanager
    def listen(self, task_id: str) -> Iterator[Listener]:
        listener = Listener()
        self._listeners[task_id].add(listener)
        try:
            yield listener
        finally:
            self._listeners[task_id].discard(listener)
            if not self._listeners[task_id]:
                del self._listeners[task_id]
            self._left.set()

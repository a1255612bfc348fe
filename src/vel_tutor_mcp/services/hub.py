"""News of tasks, inside this process: whoever waits for a task hears of it at once instead of asking the database.

Nothing depends on it being heard: what matters is stored, and a task of another process is followed by reading its row.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class News:
    """`percent` 0-100; `passing` news (tokens so far) is made stale by the next."""

    percent: float
    message: str
    passing: bool = False
    ended: bool = False


class Listener:
    """What one waiter has heard and not yet taken."""

    def __init__(self) -> None:
        self._heard: list[News] = []
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()

    def hear(self, news: News) -> None:
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


class Hub:
    """Hands news of a task to those who listen for it."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)

    def publish(self, task_id: str, news: News) -> None:
        for listener in self._listeners.get(task_id, ()):
            listener.hear(news)

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

"""Waiting for a task or a run: its news are passed on as they come, and what is told in the end is what is stored."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.news import News
from vel_tutor_mcp.services.hub import Hub, Listener

MAX_WAIT_SECONDS = 50
_DATABASE_AWAY_SECONDS = 0.25
_NEWS_SECONDS = 0.25

Tell = Callable[[News], Awaitable[None]]
Looked = TypeVar("Looked")


class HasStatus(Protocol):
    @property
    def status(self) -> TaskStatus: ...


Whole = TypeVar("Whole", bound=HasStatus)


@dataclass(frozen=True, slots=True)
class Looks(Generic[Whole]):
    """How what is waited for is looked at: cheaply, to see how it stands, and as a whole."""

    glance: Callable[[], Awaitable[HasStatus]]
    whole: Callable[[], Awaitable[Whole]]


class Following:
    """Follows tasks and runs for those who wait; nobody waits any longer once `closing` says so."""

    def __init__(self, hub: Hub, closing: Callable[[], bool]) -> None:
        self._hub = hub
        self._closing = closing

    async def follow(
        self,
        subject_id: str,
        seconds: float,
        looks: Looks[Whole],
        tell: Tell | None = None,
        rests: Callable[[TaskStatus], bool] = lambda status: status.ended,
    ) -> Whole:
        """Wait until it `rests` or the product closes, at most `seconds`, telling its news four times a second.

        Raises:
            NotFound: there is no such thing. Unavailable: the database was away when the time was over.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(seconds, MAX_WAIT_SECONDS)
        # Listens before it looks: what happens in between is heard.
        with self._hub.listen(subject_id) as listener:
            status = (await _patient(looks.glance, subject_id, deadline)).status
            if tell and not rests(status) and not listener.has_heard:
                await tell(News(0, status.value.replace("_", " ")))  # for who joins late
            if not (rests(status) or self._closing()):
                await _hear(listener, deadline, tell)
            told = await _patient(looks.whole, subject_id, deadline)
            while not (rests(told.status) or self._closing() or loop.time() >= deadline):
                await _hear(listener, deadline, tell)
                told = await _patient(looks.whole, subject_id, deadline)
        return told


async def _patient(look: Callable[[], Awaitable[Looked]], subject_id: str, deadline: float) -> Looked:
    """Look at it; who waits for work waits for the database too."""
    while True:
        try:
            return await look()
        except Unavailable as problem:
            if asyncio.get_running_loop().time() >= deadline:
                raise Unavailable(
                    f"{subject_id} cannot be seen now, but what was stored goes on; ask for it later: {problem}"
                ) from None
        await asyncio.sleep(_DATABASE_AWAY_SECONDS)


async def _hear(listener: Listener, deadline: float, tell: Tell | None) -> None:
    """Pass on the news until they say that it is time to look, or the time is over."""
    loop = asyncio.get_running_loop()
    news: News | None = None
    while not (news and news.ended) and (left := deadline - loop.time()) > 0:
        await listener.wait(left)
        news = listener.take()
        if news and tell:
            await tell(news)
        if news and not news.ended:
            await listener.pause(min(left, _NEWS_SECONDS))

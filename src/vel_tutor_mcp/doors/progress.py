"""MCP progress of one call. It grows with each message, and goes on where there is no news: clients give up on calls
that they hear nothing of.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from vel_tutor_mcp.news import News

_WHOLE = 100
# Of what is left: so each message is more than the one before, and none reaches the whole.
_SMALLEST_SHARE = 0.001
# docs/how-it-works.md promises a word within a second, and then at least every eight.
_FIRST_SECONDS = 0.8
_QUIET_SECONDS = 8.0

Report = Callable[[float, float, str], Awaitable[None]]
"""Sends so much, of how much, and in words."""


class Progress:
    """What a call's caller is told. After `first` seconds without a word, and after each further `quiet` ones, they are
    told that it goes on.
    """

    def __init__(self, report: Report, first: float = _FIRST_SECONDS, quiet: float = _QUIET_SECONDS) -> None:
        self._report = report
        self._first = first
        self._quiet = quiet
        self._loop = asyncio.get_running_loop()
        self._begun = self._told_at = self._loop.time()
        self._told = 0.0
        self._words = "at work"

    async def tell(self, news: "News") -> None:
        self._words = news.message
        await self._send(news.percent, news.message)

    async def beat(self) -> None:
        """Until it is cancelled."""
        await asyncio.sleep(self._first)
        while True:
            now = self._loop.time()
            quiet = now - self._told_at
            if self._told == 0.0 or quiet >= self._quiet:
                await self._send(0, f"{self._words} ({now - self._begun:.0f} s so far)")
                quiet = 0.0
            await asyncio.sleep(self._quiet - quiet)

    async def _send(self, percent: float, message: str) -> None:
        self._told_at = self._loop.time()
        least = self._told + (_WHOLE - self._told) * _SMALLEST_SHARE
        if least > self._told:  # else it has come to the whole
            # A MUST of MCP (utilities/progress): each has more than the one before, whatever percentage the task tells.
            self._told = max(percent, least)
            await self._report(self._told, _WHOLE, message)


_of_this_call: ContextVar[Progress] = ContextVar("progress")


@asynccontextmanager
async def telling(ctx: "Context[Any, Any]") -> AsyncIterator[None]:
    """Meanwhile the caller hears of the call, if they asked for it."""
    progress = Progress(ctx.report_progress)
    before = _of_this_call.set(progress)
    beating = asyncio.create_task(progress.beat())
    try:
        yield
    finally:
        beating.cancel()
        _of_this_call.reset(before)


def progress() -> "Callable[[News], Awaitable[None]]":
    """Tells the caller of this call a task's news."""
    return _of_this_call.get().tell

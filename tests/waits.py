"""How tests wait: until something is so, with an end; and where time itself is the point, for that long."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio.lowlevel import checkpoint

Found = TypeVar("Found")

_LOOK_SECONDS = 0.02


async def until(so: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as it is so, where nobody tells when that is."""
    async with asyncio.timeout(seconds):
        while not so():
            await lapse(_LOOK_SECONDS)


async def found(look: Callable[[], Awaitable[Found | None]], seconds: float = 20) -> Found:
    """What is found, as soon as there is something."""
    async with asyncio.timeout(seconds):
        while (seen := await look()) is None:
            await lapse(_LOOK_SECONDS)
    return seen


def block_until(so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline
        time.sleep(_LOOK_SECONDS)


async def turns(count: int = 1) -> None:
    """Let all others of this loop have their turn, so often."""
    for _ in range(count):
        await checkpoint()


async def lapse(seconds: float) -> None:
    """Let time go by, where its length is the point: a lease that ends, a moment left to chance, a fake's pace."""
    await asyncio.sleep(seconds)


async def closed(server: asyncio.Server) -> None:
    """Once all connections of a server that takes no more are closed.

    Python 3.11 does not wait for them where a server is closed, and what the end of the loop finds open is told of, as
    an error here, in whichever test comes next.
    """
    await until(lambda: not getattr(server, "_active_count", 0))

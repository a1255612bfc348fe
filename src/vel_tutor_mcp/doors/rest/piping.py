"""Text that a thread writes, on its way to a client: little of it is held, however much there is."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import anyio

from vel_tutor_mcp.doors.reply import sentence
from vel_tutor_mcp.errors import VelError

Write = Callable[[str], object]

_PIECES_AHEAD = 2
_STALLED_SECONDS = 60.0

_log = logging.getLogger(__name__)


async def piped(
    work: Callable[[Write], Awaitable[object]], stalled_seconds: float = _STALLED_SECONDS
) -> AsyncIterator[str]:
    """What `work` writes, the first piece of it at once.

    A writer that is ahead waits. One whose reader has gone, or takes nothing for so long, is stopped.

    Raises:
        VelError: whatever kept `work` from writing anything.
    """
    return await begun(_pieces(work, stalled_seconds))


async def begun(pieces: AsyncGenerator[str]) -> AsyncIterator[str]:
    """The pieces, the first of which is there.

    Raises:
        VelError: whatever kept it from coming; what happens later cuts the answer.
    """
    first = await anext(pieces, "")

    async def all_of_it() -> AsyncIterator[str]:
        try:
            async with aclosing(pieces):
                yield first
                async for piece in pieces:
                    yield piece
        except (VelError, TimeoutError) as problem:
            why = sentence(problem) if isinstance(problem, VelError) else "its client took nothing for too long."
            _log.warning("An answer was cut in the middle: %s", why)
            raise anyio.BrokenResourceError from problem  # nothing else tells a client that there should be more

    return all_of_it()


async def _pieces(work: Callable[[Write], Awaitable[object]], stalled_seconds: float) -> AsyncGenerator[str]:
    loop = asyncio.get_running_loop()
    writer, reader = anyio.create_memory_object_stream[str](_PIECES_AHEAD)

    async def put(piece: str) -> None:
        async with asyncio.timeout(stalled_seconds):
            await writer.send(piece)

    def write(piece: str) -> None:
        # Waits in the writer's thread until there is room: so little is held.
        asyncio.run_coroutine_threadsafe(put(piece), loop).result()

    async def run() -> None:
        with writer, suppress(anyio.BrokenResourceError):  # the reader has gone
            await work(write)

    working = asyncio.create_task(run())
    with reader:
        async for piece in reader:
            yield piece
    # What it has met, if anything: the reader sees only that no more comes.
    await working

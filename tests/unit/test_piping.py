"""Text of a thread on its way to a client: little is held, and a thread whose reader has gone ends."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from typing import cast

import anyio
import pytest

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.doors.rest.piping import Write, piped
from vel_tutor_mcp.errors import Conflict, InputError

pytestmark = pytest.mark.anyio

WAIT_SECONDS = 10


class Counter:
    """Writes as many pieces as it may, and counts them."""

    def __init__(self, pieces: int) -> None:
        self.written = 0
        self.ended = threading.Event()
        self._pieces = pieces

    async def __call__(self, write: Write) -> None:
        def work() -> None:
            try:
                for number in range(self._pieces):
                    write(f"{number},")
                    self.written += 1
            finally:
                self.ended.set()

        await in_thread(work)


async def test_a_writer_is_never_far_ahead_of_its_reader() -> None:
    counter, read = Counter(200), list[str]()
    async with asyncio.timeout(WAIT_SECONDS):
        async for piece in await piped(counter):
            read.append(piece)
            assert counter.written <= len(read) + 3
    assert read == [f"{number}," for number in range(200)]


async def test_a_writer_whose_reader_goes_ends() -> None:
    counter = Counter(10**9)
    async with asyncio.timeout(WAIT_SECONDS):
        text = cast("AsyncGenerator[str]", await piped(counter))
        await anext(text)
        await text.aclose()
        assert await asyncio.to_thread(counter.ended.wait, WAIT_SECONDS)


async def test_a_writer_whose_reader_takes_nothing_ends_and_the_rest_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter(10**9)
    async with asyncio.timeout(WAIT_SECONDS):
        text = await piped(counter, stalled_seconds=0.01)
        assert await asyncio.to_thread(counter.ended.wait, WAIT_SECONDS)
        with pytest.raises(anyio.BrokenResourceError):
            async for _ in text:
                pass
    assert "took nothing for too long" in caplog.text


async def test_what_keeps_it_from_beginning_is_told_and_what_comes_later_cuts_it() -> None:
    async def refused(_: Write) -> None:
        raise InputError("It is no time.")

    async def broken(write: Write) -> None:
        await in_thread(lambda: write("some"))
        raise Conflict("It changed meanwhile.")

    async def empty(_: Write) -> None: ...

    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(InputError):
            await piped(refused)
        text = await piped(broken)
        assert await anext(text) == "some"
        with pytest.raises(anyio.BrokenResourceError):
            await anext(text)
        assert [piece async for piece in await piped(empty)] == [""]

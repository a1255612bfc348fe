"""A caller hears of a call within a second and from then on, and each message tells of more."""

import asyncio
from itertools import pairwise

import pytest
from mcp import Client
from world import ERAS, Era

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.doors.progress import _FIRST_SECONDS, _QUIET_SECONDS, Progress
from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.news import News

pytestmark = pytest.mark.anyio


class Caller:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[float, float, str]] = []
        self._heard = asyncio.Event()

    async def hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.told.append((progress, total or 0, message or ""))
        self._heard.set()

    async def has_heard(self, messages: int) -> None:
        async with asyncio.timeout(20):
            while len(self.told) < messages:
                self._heard.clear()
                await self._heard.wait()


def said(message: str) -> tuple[str, int]:
    """The words of a message that says that it goes on, and the seconds so far."""
    words, _, so_far = message.partition(" (")
    return words, int(so_far.removesuffix(" s so far)"))


async def test_news_are_told_as_they_are_and_those_of_less_as_a_little_more() -> None:
    caller = Caller()
    progress = Progress(caller.hear)
    for percent in (0, 10, 10, 5, 99.999, 50, 100):
        await progress.tell(News(percent, f"at {percent}"))

    amounts = [amount for amount, _, _ in caller.told]
    assert all(earlier < later for earlier, later in pairwise(amounts))
    assert amounts[1] == 10
    assert amounts[-1] == 100
    assert {whole for _, whole, _ in caller.told} == {100}


async def test_nothing_is_told_beyond_the_whole() -> None:
    caller = Caller()
    progress = Progress(caller.hear)
    for _ in range(3):
        await progress.tell(News(100, "done"))

    assert caller.told == [(100, 100, "done")]


async def test_who_hears_no_news_is_told_the_last_ones_again_and_that_it_goes_on() -> None:
    caller = Caller()
    progress = Progress(caller.hear, first=0.01, quiet=0.01)
    beating = asyncio.create_task(progress.beat())
    await caller.has_heard(2)
    await progress.tell(News(40, "asking groq"))
    before = len(caller.told)
    await caller.has_heard(before + 2)
    beating.cancel()

    words = [said(message)[0] for _, _, message in (caller.told[0], *caller.told[before:])]
    assert words == ["at work", *["asking groq"] * (len(caller.told) - before)]
    assert all(earlier[0] < later[0] for earlier, later in pairwise(caller.told))


async def test_nothing_is_repeated_while_there_are_news() -> None:
    caller = Caller()
    progress = Progress(caller.hear, first=0.01, quiet=60)
    await progress.tell(News(1, "queued"))
    beating = asyncio.create_task(progress.beat())
    await asyncio.wait([beating], timeout=0.05)
    beating.cancel()

    assert [words for _, _, words in caller.told] == ["queued"]


@pytest.mark.parametrize("era", ERAS)
async def test_any_call_is_heard_of_within_a_second_even_before_the_product_is_open(era: Era) -> None:
    desk, caller = Desk(), Caller()
    loop = asyncio.get_running_loop()
    async with Client(make_server(desk), mode=era) as client:
        begun = loop.time()
        call = asyncio.create_task(client.call_tool("audit_verify", {}, progress_callback=caller.hear))
        await caller.has_heard(1)
        heard = loop.time() - begun
        desk.failed(Unavailable("The database is away."))
        assert (await call).is_error

    assert _FIRST_SECONDS < 1
    assert _FIRST_SECONDS <= heard < _QUIET_SECONDS  # a busy machine tells it later than it was due
    ((progress, whole, message),) = caller.told
    assert (progress, whole, said(message)[0]) == (0.1, 100, "at work")
    assert 1 <= said(message)[1] <= round(heard)

"""When a second request is made, and that the first to say a word goes on alone."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import candidate

from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.providers.base import Delta
from vel_tutor_mcp.routing.book import Failed
from vel_tutor_mcp.routing.hedge import LEAST_TIMES, Hedging, Race, second

pytestmark = pytest.mark.anyio


def failed(name: str) -> Failed:
    provider, _, model = name.partition("/")
    return Failed(provider, model, FailureKind.TIMEOUT, None, "", "")


LLAMA = candidate("groq/llama")


@pytest.mark.parametrize(
    ("times", "patience"),
    [
        ([], None),
        ([0.1] * (LEAST_TIMES - 1), None),
        ([0.1] * 18 + [5.0, 6.0], 0.1),
        ([0.1] * 17 + [5.0, 6.0, 7.0], 5.0),
        ([float(second) for second in range(1, 101)], 90.0),
        ([9.0] * 1000 + [0.2] * 100, 0.2),
    ],
)
def test_late_is_what_nine_of_ten_lately_were_not(times: list[float], patience: float | None) -> None:
    hedging = Hedging()
    for seconds in times:
        hedging.heard(LLAMA, seconds)
    assert hedging.patience(LLAMA) == patience
    assert hedging.patience(candidate("openai/gpt")) is None


@given(st.lists(st.integers(0, 30), max_size=200))
def test_at_most_one_request_in_ten_is_hedged_however_they_come(bursts: list[int]) -> None:
    hedging, requests, hedges = Hedging(), 0, 0
    for burst in bursts:
        for _ in range(burst):
            hedging.count()
        requests += burst
        hedges += sum(hedging.take() for _ in range(burst + 1))
        assert 10 * hedges <= requests


def test_a_quiet_time_does_not_pay_for_a_burst_of_hedges() -> None:
    hedging = Hedging()
    for _ in range(100_000):
        hedging.count()
    assert sum(hedging.take() for _ in range(100_000)) <= 100


@pytest.mark.parametrize(
    ("order", "failures", "other"),
    [
        ("groq/llama groq/gemma openai/gpt", [], "openai/gpt"),
        ("openai/gpt groq/llama", [], "openai/gpt"),
        ("groq/llama openai/gpt perplexity/sonar", ["openai/mini"], "perplexity/sonar"),
        ("groq/llama groq/gemma", [], None),
        ("groq/llama openai/gpt", ["openai/gpt"], None),
    ],
)
def test_the_second_is_of_another_provider_that_has_not_failed(
    order: str, failures: list[str], other: str | None
) -> None:
    chosen = second([candidate(name) for name in order.split()], [failed(name) for name in failures], LLAMA)
    assert (chosen.name if chosen else None) == other


class Speaker:
    """A call that says a word when it is told to, and ends when it is told to."""

    def __init__(self) -> None:
        self.may_speak, self.may_end = asyncio.Event(), asyncio.Event()
        self.was_cut = False

    async def call(self, on_delta: Delta) -> str:
        try:
            await self.may_speak.wait()
            on_delta("word")
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cut = True
            raise
        return "answer"


async def test_only_the_winners_words_are_heard_and_the_loser_is_cut() -> None:
    first, other = Speaker(), Speaker()
    heard: list[str] = []
    async with Race[str, str]() as race:
        race.run("first", first.call, lambda word: heard.append(f"first: {word}"))
        race.run("other", other.call, lambda word: heard.append(f"other: {word}"))
        other.may_speak.set()
        await race.news()
        first.may_speak.set()

        assert await race.losers() == ["first"]
        assert (race.winner, first.was_cut, heard) == ("other", True, ["other: word"])
        other.may_end.set()
        await race.news()

        assert race.ended() == [("other", "answer")]
        assert not race.runs


async def test_whoever_leaves_a_race_leaves_nobody_running() -> None:
    first, other = Speaker(), Speaker()
    async with Race[str, str]() as race:
        race.run("first", first.call, lambda _: None)
        race.run("other", other.call, lambda _: None)
        await race.news(0)

    assert (first.was_cut, other.was_cut) == (True, True)


async def test_a_race_is_open_until_a_word_is_said_or_the_last_call_ends() -> None:
    first = Speaker()
    async with Race[str, str]() as race:
        race.run("first", first.call, lambda _: None)
        await race.news(0)
        assert race.is_open
        first.may_speak.set()
        await race.news()
        assert not race.is_open

"""How fast a model may be asked, and servers of every pace played through in virtual time."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vel_tutor_mcp.providers.base import Announced, Limit
from vel_tutor_mcp.providers.simulated import RateLimit
from vel_tutor_mcp.providers.simulated_answers import Window
from vel_tutor_mcp.providers.wire import announced
from vel_tutor_mcp.routing.pace import LOOK_AGAIN, Level, Pace, Pass

NOW = 1_800_000_000.0
DAY = 86_400.0


def heard(most: int, left: int, full_in: float, *, unit: str = "requests") -> Pace:
    pace = Pace()
    given = pace.begin("groq", "llama", 0, NOW)
    assert isinstance(given, Pass)
    pace.heard("groq", "llama", given, Announced(**{unit: Limit(most, left, full_in)}), NOW)
    return pace


@pytest.mark.parametrize(
    ("most", "left", "full_in", "after", "delay"),
    [
        (30, 29, 2.0, 0, 0),
        (30, 0, 37.0, 0, 37),  # a window: all comes back at its end
        (30, 0, 37.0, 30, 7),
        (30, 0, 37.0, 38, 0),
        (60, 0, 60.0, 0, 1),  # a bucket of a minute: one a second
        (60, 0, 60.0, 0.4, 0.6),
        (14_400, 14_370, 179.56, 0, 0),  # Groq's requests of a day
        (14_400, 0, DAY, 0, 6),
        (10, 0, 0.0, 0, 0),
    ],
)
def test_a_call_waits_until_a_request_is_left(most: int, left: int, full_in: float, after: float, delay: float) -> None:
    assert heard(most, left, full_in).delay("groq", "llama", 1, NOW + after) == pytest.approx(delay, abs=0.001)


@pytest.mark.parametrize(
    ("left", "tokens", "delay"),
    [(1000, 1000, 0), (999, 1000, 20), (0, 1, 20), (0, 99_999, 20), (6000, 99_999, 0)],
)
def test_a_call_waits_until_its_tokens_are_left_and_no_longer_than_for_all(
    left: int, tokens: int, delay: float
) -> None:
    assert heard(6000, left, 20.0, unit="tokens").delay("groq", "llama", tokens, NOW) == delay


def test_what_is_on_its_way_counts_until_its_headers_do() -> None:
    pace = heard(10, 2, 37.0)
    first, second = pace.begin("groq", "llama", 1, NOW), pace.begin("groq", "llama", 1, NOW)
    assert isinstance(first, Pass)
    assert isinstance(second, Pass)

    assert pace.begin("groq", "llama", 1, NOW) == 37
    pace.end("groq", "llama", first)

    assert isinstance(pace.begin("groq", "llama", 1, NOW), Pass)


def test_where_the_whole_limit_is_on_its_way_one_looks_again_soon() -> None:
    pace = heard(1, 1, 0.0)
    assert isinstance(pace.begin("groq", "llama", 1, NOW), Pass)
    assert pace.begin("groq", "llama", 1, NOW) == LOOK_AGAIN


def test_headers_that_overtake_each_other_do_not_raise_what_is_left() -> None:
    pace = heard(10, 9, 50.0)
    first, second = pace.begin("groq", "llama", 1, NOW), pace.begin("groq", "llama", 1, NOW)
    assert isinstance(first, Pass)
    assert isinstance(second, Pass)

    pace.heard("groq", "llama", second, Announced(Limit(10, 1, 49.0)), NOW + 1)
    pace.heard("groq", "llama", first, Announced(Limit(10, 8, 49.0)), NOW + 1)

    assert isinstance(pace.begin("groq", "llama", 1, NOW + 1), Pass)
    assert pace.begin("groq", "llama", 1, NOW + 1) == 49


@pytest.mark.parametrize(("after", "delay"), [(0, 20), (15, 5), (20, 0), (-3600, 20)])
def test_a_refusal_holds_all_calls_to_the_model_for_as_long_as_it_says(after: float, delay: float) -> None:
    pace = Pace()
    pace.refused("groq", "llama", 20, NOW)
    pace.refused("groq", "llama", 3, NOW)

    assert pace.delay("groq", "llama", 1, NOW + after) == delay
    assert pace.delays(1, NOW + after) == ({"groq/llama": delay} if delay else {})
    assert pace.delay("groq", "gemma", 1, NOW + after) == 0


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, DAY), st.floats(0, 10**6), st.floats(-DAY, DAY))
def test_a_wait_is_never_longer_than_until_all_is_left(
    most: int, share: float, full_in: float, wanted: float, after: float
) -> None:
    level = Level.of(Limit(most, int(most * share), full_in), NOW)
    assert 0 <= level.wait(wanted, NOW + after) <= max(LOOK_AGAIN, full_in + 0.001)
    assert 0 <= level.left_at(NOW + after) <= most


@dataclass
class Bucket:
    """A server that gives requests back evenly, as OpenAI and Groq do."""

    most: int
    whole: float
    left: float = 0.0
    at: float = 0.0

    def book(self, now: float) -> tuple[bool, Announced]:
        self.left = min(self.most, self.left + (now - self.at) * self.most / self.whole)
        self.at = now
        fits = self.left >= 1
        self.left -= fits
        left = int(self.left)
        return fits, Announced(Limit(self.most, left, (self.most - self.left) * self.whole / self.most))


def window(limit: RateLimit, tokens: int) -> Callable[[float], tuple[bool, Announced]]:
    """A server that gives all back at once."""
    booked = Window(limit)

    def book(now: float) -> tuple[bool, Announced]:
        fits = booked.book(tokens, now)
        limits = announced(dict(booked.headers(now)))
        assert limits
        return fits, limits

    return book


def played(
    book: Callable[[float], tuple[bool, Announced]], calls: int, at_once: int, ways: Iterator[float], tokens: int
) -> int:
    """How many of the calls were refused, where one goes ahead and each then tries until it was sent."""
    pace, order, refused, done = Pace(), count(), 0, 0
    todo: list[tuple[float, int, Callable[[float], None]]] = []

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(todo, (when, next(order), what))

    def send(now: float) -> None:
        given = pace.begin("p", "m", tokens, now)
        if isinstance(given, Pass):
            at(now + next(ways), lambda then: arrive(given, then))
        else:
            at(now + given, send)

    def arrive(given: Pass, now: float) -> None:
        nonlocal refused
        fits, limits = book(now)
        refused += not fits
        at(now + next(ways), lambda then: hear(given, limits, then))

    def hear(given: Pass, limits: Announced, now: float) -> None:
        nonlocal done
        pace.heard("p", "m", given, limits, now)
        done += 1
        for _ in range(at_once if done == 1 else 1):
            if next(left, None) is not None:
                at(now, send)

    left = iter(range(calls - 1))
    at(NOW, send)
    while todo:
        when, _, what = heapq.heappop(todo)
        what(when)
    assert done == calls
    return refused


@st.composite
def ways(draw: st.DrawFn) -> Iterator[float]:
    """How long each message takes, in seconds."""
    times = draw(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=5))
    return (times[number % len(times)] for number in count())


# Of windows that outlast the two seconds a call and its headers take: those of a shorter one speak of an earlier one.
@settings(max_examples=20)
@given(st.integers(1, 20), st.integers(1, 20), st.floats(3, 60), st.integers(1, 100), ways())
def test_a_hundred_calls_are_hardly_ever_refused_by_a_server_that_announces_a_window(
    requests: int, calls_of_tokens: int, seconds: float, at_once: int, times: Iterator[float]
) -> None:
    limit = RateLimit(requests=requests, tokens=100 * calls_of_tokens, seconds=seconds)
    assert played(window(limit, 100), 100, at_once, times, 100) <= 1


@settings(max_examples=20)
@given(st.integers(1, 60), st.sampled_from([60.0, DAY]), st.integers(1, 100), ways())
def test_a_hundred_calls_are_hardly_ever_refused_by_a_server_that_announces_a_bucket(
    most: int, whole: float, at_once: int, times: Iterator[float]
) -> None:
    bucket = Bucket(most, whole, left=most, at=NOW)
    assert played(bucket.book, 100, at_once, times, 1) <= 1

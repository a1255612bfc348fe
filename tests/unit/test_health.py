from dataclasses import asdict

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.health import (
    FAILURES_TO_OPEN,
    OPEN_SECONDS,
    PROBE_SECONDS,
    WINDOW_SECONDS,
    Breaker,
    BreakerState,
    Health,
)

CLOSED, OPEN, HALF_OPEN = BreakerState
GPT = Catalog.load().find("gpt-4o")
NAME = GPT.provider, GPT.model


def after(*events: str) -> Breaker:
    """The breaker after events such as `fail@3`, `ok@4`, `call@40` (at seconds)."""
    breaker = Breaker()
    for event in events:
        what, at = event.split("@")
        step = {"fail": breaker.failed, "ok": breaker.succeeded, "call": breaker.started}[what]
        breaker = step(float(at))
    return breaker


def catalogued_ms(tokens: int) -> int:
    return round(GPT.first_token_ms + 1000 * tokens / GPT.tokens_per_second)


FIVE = ["fail@0", "fail@1", "fail@2", "fail@3", "fail@4"]


@pytest.mark.parametrize(
    ("events", "now", "state", "allows"),
    [
        ([], 0, CLOSED, True),
        (FIVE[:4], 4, CLOSED, True),
        (FIVE, 4, OPEN, False),
        (FIVE, 33.9, OPEN, False),
        (FIVE, 34, HALF_OPEN, True),
        (["fail@0", "fail@20", "fail@40", "fail@59", "fail@60"], 60, CLOSED, True),
        (["fail@0", "fail@20", "ok@21", "fail@40", "fail@50", "fail@59"], 59, OPEN, False),
        ([*FIVE, "ok@10"], 20, OPEN, False),
        ([*FIVE, "call@40"], 41, HALF_OPEN, False),
        ([*FIVE, "call@40", "ok@42"], 42, CLOSED, True),
        ([*FIVE, "call@40", "ok@42", *(f"fail@{at}" for at in (43, 44, 45, 46))], 46, CLOSED, True),
        ([*FIVE, "call@40", "fail@42"], 42, OPEN, False),
        ([*FIVE, "call@40", "fail@42"], 72, HALF_OPEN, True),
        ([*FIVE, "call@40"], 160, HALF_OPEN, True),
        (FIVE, -1000, HALF_OPEN, True),
        ([*FIVE, "call@40"], -1000, HALF_OPEN, True),
    ],
)
def test_a_breaker_is_in_the_state_that_its_events_give(
    events: list[str], now: float, state: BreakerState, allows: bool
) -> None:
    breaker = after(*events)
    assert (breaker.state(now), breaker.allows(now)) == (state, allows)


class BreakerOnAnyClock(RuleBasedStateMachine):
    """Whatever happens and however the clock jumps, a breaker never stays shut and never lets two probes out."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker, self.now = Breaker(), 1_000_000.0

    @rule(seconds=st.floats(-500, 500))
    def time_jumps(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_fails(self) -> None:
        self.breaker = self.breaker.failed(self.now)

    @rule()
    def a_call_succeeds(self) -> None:
        self.breaker = self.breaker.succeeded(self.now)
        assert self.breaker.state(self.now) is not HALF_OPEN

    @precondition(lambda self: self.breaker.allows(self.now))
    @rule()
    def a_call_starts(self) -> None:
        self.breaker = self.breaker.started(self.now)
        assert self.breaker.allows(self.now) == (self.breaker.state(self.now) is CLOSED)

    @invariant()
    def it_lets_a_call_through_in_the_end(self) -> None:
        assert self.breaker.allows(self.now + 2 * (OPEN_SECONDS + PROBE_SECONDS) + 2000)

    @invariant()
    def it_remembers_no_more_than_it_needs(self) -> None:
        assert len(self.breaker.failures) <= FAILURES_TO_OPEN


test_a_breaker_on_any_clock = BreakerOnAnyClock.TestCase


def failing(kind: FailureKind | None, times: int = FAILURES_TO_OPEN) -> Health:
    health = Health()
    for second in range(times):
        health.record(*NAME, kind, float(second))
    return health


@pytest.mark.parametrize("kind", FailureKind)
def test_only_failures_of_the_model_open_its_breaker(kind: FailureKind) -> None:
    opening = {"server_error", "connection", "timeout", "rate_limited", "malformed"}
    assert failing(kind).state(*NAME, 5) is (OPEN if kind in opening else CLOSED)


def test_a_breaker_says_when_it_opens_and_closes_and_until_when_it_is_open() -> None:
    health = failing(FailureKind.TIMEOUT, 4)
    assert not health.any_open
    assert health.record(*NAME, FailureKind.TIMEOUT, 10) is OPEN
    assert health.any_open
    assert health.open_until(*NAME, 12) == 40
    assert health.start(*NAME, 50)
    assert health.open_until(*NAME, 51) == 50 + PROBE_SECONDS
    assert health.record(*NAME, None, 52) is CLOSED
    assert health.open_until(*NAME, 52) is None
    assert not health.any_open


def test_a_half_open_breaker_gives_its_probe_to_one_caller() -> None:
    health = failing(FailureKind.CONNECTION)
    assert [health.start(*NAME, 40) for _ in range(3)] == [True, False, False]
    assert health.record(*NAME, FailureKind.AUTHENTICATION, 41) is None
    assert health.allows(*NAME, 41)


def test_a_probe_that_ends_without_telling_anything_leaves_its_place_to_the_next() -> None:
    health = failing(FailureKind.CONNECTION)
    assert health.start(*NAME, 40)
    health.release(*NAME)
    assert health.start(*NAME, 41)


def test_a_breaker_survives_being_stored_but_its_probe_does_not() -> None:
    health, stored = Health(), failing(FailureKind.CONNECTION)
    stored.start(*NAME, 40)
    health.restore(*NAME, Breaker(**asdict(stored.snapshot(*NAME))))
    assert health.state(*NAME, 20) is OPEN
    assert health.any_open
    assert health.allows(*NAME, 41)


def test_uptime_falls_with_failures_and_comes_back_with_time() -> None:
    health = failing(FailureKind.SERVER_ERROR)
    assert health.known(*NAME).p_up(5) < 0.55
    assert health.known(*NAME).p_up(7200) > 0.98
    assert failing(FailureKind.BAD_REQUEST).known(*NAME).p_up(5) > 0.99


def test_speed_starts_at_the_catalogs_estimate_and_follows_the_measurements() -> None:
    health = Health()
    assert health.known(*NAME).total_ms(GPT, 0, 0) == GPT.first_token_ms
    for _ in range(50):
        health.record(*NAME, None, 1, first_token_ms=100, total_ms=1100, tokens_out=1000)
    known = health.known(*NAME)
    assert known.total_ms(GPT, 0, 1) == pytest.approx(100, abs=30)
    assert known.total_ms(GPT, 1000, 1) == pytest.approx(1100, rel=0.6)
    assert known.total_ms(GPT, 1000, 1 + 24 * 3600) == pytest.approx(catalogued_ms(1000), rel=0.01)


def test_a_window_forgets_what_is_older() -> None:
    spread = after(*(f"fail@{at * WINDOW_SECONDS / 4}" for at in range(20)))
    assert spread.state(20 * WINDOW_SECONDS / 4) is CLOSED


@pytest.mark.parametrize(
    ("first_token_ms", "total_ms", "tokens_out"),
    [(None, None, None), (0, 0, 0), (5, 5, 10), (5, 6, 0), (None, 900, 3), (5, 905, 10**9)],
)
def test_17_no_speed_or_uptime_is_divided_by_samples_that_there_are_not(
    first_token_ms: int | None, total_ms: int | None, tokens_out: int | None
) -> None:
    health = Health()
    assert (health.known(*NAME).p_up(0), health.known(*NAME).total_ms(GPT, 1000, 0)) == (0.99, catalogued_ms(1000))
    health.record(*NAME, None, 0, first_token_ms=first_token_ms, total_ms=total_ms, tokens_out=tokens_out)
    for later in (0.0, 1e9):
        assert 0 < health.known(*NAME).p_up(later) <= 1
        assert health.known(*NAME).total_ms(GPT, 1000, later) > 0


def test_17_two_models_share_no_record() -> None:
    health = failing(FailureKind.SERVER_ERROR)
    other = GPT.provider, "gpt-4o-mini"
    assert health.state(*NAME, 0) is OPEN
    assert (health.state(*other, 0), health.known(*other).p_up(0)) == (CLOSED, 0.99)
    assert Health().state(*NAME, 0) is CLOSED

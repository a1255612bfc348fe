"""When an alert is raised and when it is closed, as tables and for any numbers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.services.alerts import judging, rules
from vel_tutor_mcp.services.alerts.judging import Step, Usuals
from vel_tutor_mcp.services.alerts.kinds import AlertKind
from vel_tutor_mcp.services.alerts.rules import Usual, Verdict
from vel_tutor_mcp.store.alert_measures import Counts, History, Logs, Model, Recent, Unanswered

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINI, LARGE, OTHER = Model("openai", "mini"), Model("openai", "large"), Model("groq", "oss")
WELL = Counts(40, 0)
LONG = timedelta(days=7)
NOTHING = Logs()


def history_of(stretches: Sequence[Sequence[float]], since: datetime = NOW - LONG) -> History:
    """The history in which these values were measured, stretch by stretch."""
    values = [value for stretch in stretches for value in stretch]
    return History(
        calls=len(values),
        total=sum(values),
        squares=sum(value**2 for value in values),
        means=sum(sum(stretch) ** 2 / len(stretch) for stretch in stretches),
        squared_calls=sum(len(stretch) ** 2 for stretch in stretches),
        stretches=len(stretches),
        first=since,
    )


def steady(mean: float = log(20), spread: float = 0.3, stretches: int = 60) -> History:
    dice = Random(1)
    return history_of([[dice.gauss(mean, spread) for _ in range(10)] for _ in range(stretches)])


@pytest.mark.parametrize(
    ("calls", "errors", "verdict"),
    [
        (19, 19, Verdict.UNKNOWN),
        (20, 5, Verdict.BETWEEN),
        (20, 6, Verdict.OVER),
        (20, 1, Verdict.CALM),
        (100, 11, Verdict.BETWEEN),
        (100, 17, Verdict.BETWEEN),
        (100, 18, Verdict.OVER),
        (100, 5, Verdict.CALM),
        (1000, 110, Verdict.BETWEEN),
        (1000, 130, Verdict.OVER),
    ],
)
def test_an_error_rate_is_over_ten_percent_where_chance_is_no_excuse(calls: int, errors: int, verdict: Verdict) -> None:
    assert rules.error_rate(Counts(calls, errors)) is verdict


def unanswered(calls: int, minutes: float) -> Unanswered:
    return Unanswered(calls, NOW - timedelta(minutes=minutes), NOW)


@pytest.mark.parametrize(
    ("window", "since", "breakers", "verdict"),
    [
        (Counts(), Unanswered(), [], Verdict.UNKNOWN),
        (Counts(40, 39), Unanswered(), [False], Verdict.CALM),
        (Counts(40, 2), unanswered(2, 20), [False], Verdict.BETWEEN),
        (Counts(40, 9), unanswered(9, 4.9), [False], Verdict.BETWEEN),
        (Counts(40, 3), unanswered(3, 5), [False], Verdict.OVER),
        (Counts(40, 5), unanswered(5, 0.1), [True, True], Verdict.OVER),
        (Counts(40, 5), unanswered(5, 0.1), [True, False], Verdict.BETWEEN),
        (Counts(40, 0), Unanswered(), [True], Verdict.CALM),
        (Counts(300, 1), Unanswered(), [True], Verdict.CALM),
    ],
)
def test_a_provider_is_down_where_no_call_was_answered_for_a_while(
    window: Counts, since: Unanswered, breakers: list[bool], verdict: Verdict
) -> None:
    assert rules.provider_down(window, since, breakers) is verdict


@pytest.mark.parametrize(
    ("times", "calls", "verdict"),
    [
        (1.0, 15, Verdict.CALM),
        (1.4, 500, Verdict.CALM),
        (1.9, 500, Verdict.BETWEEN),
        (2.2, 500, Verdict.OVER),
        (3.0, 15, Verdict.OVER),
        (3.0, 14, Verdict.UNKNOWN),
        (0.1, 500, Verdict.CALM),
    ],
)
def test_what_is_more_than_twice_the_usual_is_over_where_that_is_steady(
    times: float, calls: int, verdict: Verdict
) -> None:
    usually = rules.usual(steady(), NOW)
    assert rules.compared(Logs(calls, calls * (log(20) + log(times))), usually) is verdict


def test_what_swings_from_stretch_to_stretch_may_be_more_than_twice_the_usual() -> None:
    dice = Random(2)
    levels = [dice.gauss(0, 0.5) for _ in range(200)]
    usually = rules.usual(history_of([[dice.gauss(level, 0.3) for _ in range(10)] for level in levels]), NOW)
    assert usually is not None
    assert usually.between == pytest.approx(0.25, rel=0.3)
    assert usually.within == pytest.approx(0.09, rel=0.2)
    assert rules.compared(Logs(100, 100 * log(3)), usually) is not Verdict.OVER
    assert rules.compared(Logs(100, 100 * log(6)), usually) is Verdict.OVER


@pytest.mark.parametrize(
    ("history", "known"),
    [
        (steady(), True),
        (steady(stretches=9), False),
        (history_of([[0.0, 1.0] * 25] * 4), False),
        (history_of([[0.0, 1.0] * 12] * 5), True),
        (history_of([[0.0, 1.0] * 12] * 5, NOW - timedelta(hours=23)), False),
        (history_of([[0.0, 1.0] * 12] * 5, NOW - timedelta(hours=24)), True),
        (history_of([[1.0]] * 200), False),
    ],
    ids=["long", "few calls", "few stretches", "enough", "23 hours", "24 hours", "one call a stretch"],
)
def test_nothing_is_usual_before_there_is_enough_history(history: History, known: bool) -> None:
    assert (rules.usual(history, NOW) is not None) is known


@pytest.mark.parametrize(
    ("verdict", "wrong_for", "step"),
    [
        (Verdict.OVER, None, Step.RAISE),
        (Verdict.BETWEEN, None, Step.NOTHING),
        (Verdict.CALM, None, Step.NOTHING),
        (Verdict.UNKNOWN, None, Step.NOTHING),
        (Verdict.OVER, 90, Step.KEEP),
        (Verdict.BETWEEN, 90, Step.KEEP),
        (Verdict.CALM, 9, Step.NOTHING),
        (Verdict.CALM, 10, Step.CLOSE),
        (Verdict.UNKNOWN, 59, Step.NOTHING),
        (Verdict.UNKNOWN, 60, Step.CLOSE),
    ],
)
def test_an_alert_is_raised_kept_and_closed(verdict: Verdict, wrong_for: int | None, step: Step) -> None:
    wrong_at = None if wrong_for is None else NOW - timedelta(minutes=wrong_for)
    assert judging.step(verdict, wrong_at, NOW) is step


def raised(
    models: dict[Model, Recent], breakers: Sequence[Model] = (), dear: Logs = NOTHING
) -> set[tuple[AlertKind, str]]:
    usuals = dict.fromkeys(models, Usuals(rules.usual(steady(), NOW), rules.usual(steady(), NOW), dear))
    reported, _ = judging.steps(judging.findings(models, usuals, breakers), {}, NOW)
    return {(wrong.key.kind, wrong.key.subject) for wrong in reported}


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ({MINI: Recent(WELL), LARGE: Recent(WELL), OTHER: Recent(WELL)}, set()),
        ({MINI: Recent(Counts(40, 20)), OTHER: Recent(WELL)}, {("error_rate", "openai")}),
        ({MINI: Recent(Counts(40, 20)), LARGE: Recent(Counts(200, 0))}, {("error_rate", "openai/mini")}),
        ({MINI: Recent(Counts(40, 20)), LARGE: Recent(Counts(40, 20))}, {("error_rate", "openai")}),
        ({MINI: Recent(Counts(9, 9), unanswered(9, 10)), OTHER: Recent(WELL)}, {("provider_down", "openai")}),
        ({MINI: Recent(WELL, pace=Logs(20, 20 * log(60)))}, {("latency", "openai/mini")}),
    ],
    ids=["well", "a provider", "one model", "all models", "down", "slow"],
)
def test_an_alert_names_the_provider_or_the_model(models: dict[Model, Recent], expected: set[tuple[str, str]]) -> None:
    assert raised(models) == expected


def test_a_model_that_is_dear_is_told_though_it_was_not_called_just_now() -> None:
    assert raised({MINI: Recent()}, dear=Logs(20, 20 * log(80))) == {(AlertKind.COST, "openai/mini")}


def test_a_provider_is_down_once_the_breakers_of_all_its_models_are_open() -> None:
    models = dict.fromkeys((MINI, LARGE), Recent(Counts(9, 5), unanswered(5, 0.1)))
    assert raised(models, [MINI]) == set()
    assert raised(models, [MINI, LARGE]) == {(AlertKind.PROVIDER_DOWN, "openai")}


values = st.floats(-20, 20)
histories = st.lists(st.lists(values, min_size=10, max_size=12), min_size=10, max_size=12).map(history_of)
logs = st.builds(lambda calls, mean: Logs(calls, calls * mean), st.integers(1, 300), values)
counts = st.integers(0, 400).flatmap(lambda calls: st.builds(Counts, st.just(calls), st.integers(0, calls)))


@settings(max_examples=examples(25))
@given(stretches=st.lists(st.lists(values, min_size=1, max_size=9), min_size=1, max_size=11), recent=logs)
def test_a_short_history_never_raises(stretches: list[list[float]], recent: Logs) -> None:
    history = history_of(stretches)
    if history.calls < rules.FEWEST_KNOWN:
        assert rules.compared(recent, rules.usual(history, NOW)) is Verdict.UNKNOWN
    young = history._replace(calls=1000, first=NOW - rules.SHORTEST_HISTORY + timedelta(seconds=1))
    assert rules.usual(young, NOW) is None


@settings(max_examples=examples(15))
@given(
    stretches=st.lists(st.lists(st.integers(-40, 40), min_size=10, max_size=12), min_size=10, max_size=12),
    sums=st.tuples(st.integers(1, 300), st.integers(-40, 40)),
    by=st.sampled_from([-64, -8, 8, 64]),
)
def test_in_other_units_the_verdict_is_the_same(stretches: list[list[int]], sums: tuple[int, int], by: int) -> None:
    """A unit a thousand times as great moves all logarithms by the same."""
    calls, mean = sums
    moved = [[value + by for value in stretch] for stretch in stretches]
    here, there = (rules.usual(history_of(each), NOW) for each in (stretches, moved))
    assert here is not None
    assert there is not None
    assert there.sigma(calls) == pytest.approx(here.sigma(calls), abs=1e-3)
    if abs(mean - here.mean - rules.RAISING_SIGMAS * here.sigma(calls)) > 0.01:  # not on the very edge
        before = rules.compared(Logs(calls, calls * mean), here) is Verdict.OVER
        assert (rules.compared(Logs(calls, calls * (mean + by)), there) is Verdict.OVER) is before


@settings(max_examples=examples(25))
@given(history=histories, recent=logs)
def test_what_is_over_is_above_the_threshold_that_is_told(history: History, recent: Logs) -> None:
    usually = rules.usual(history, NOW) or Usual(0.0, 0.1, 0.1)
    over = rules.compared(recent, usually) is Verdict.OVER
    if over:
        assert rules.times_usual(recent, usually) > rules.most_times(recent, usually) * (1 - 1e-9)


@settings(max_examples=examples(25))
@given(fewer=counts, more=st.integers(0, 50))
def test_more_errors_never_make_it_better(fewer: Counts, more: int) -> None:
    order = [Verdict.CALM, Verdict.BETWEEN, Verdict.OVER]
    worse = Counts(fewer.calls, min(fewer.calls, fewer.errors + more))
    if fewer.calls >= rules.FEWEST_COUNTED:
        assert order.index(rules.error_rate(fewer)) <= order.index(rules.error_rate(worse))
    else:
        assert rules.error_rate(worse) is Verdict.UNKNOWN


@settings(max_examples=examples(25))
@given(verdicts=st.lists(st.sampled_from(Verdict), max_size=120))
def test_alerts_do_not_flap(verdicts: list[Verdict]) -> None:
    """Minute by minute: one that is closed was calm for ten minutes, and what closes one raises none."""
    wrong_at, raised_at = None, []
    for minute, verdict in enumerate(verdicts):
        at = NOW + timedelta(minutes=minute)
        match judging.step(verdict, wrong_at, at):
            case Step.RAISE:
                raised_at.append(minute)
                wrong_at = at
            case Step.KEEP:
                wrong_at = at
            case Step.CLOSE:
                assert {Verdict.OVER, Verdict.BETWEEN}.isdisjoint(verdicts[minute - 9 : minute + 1])
                assert judging.step(verdict, None, at) is Step.NOTHING
                wrong_at = None
    assert all(later - earlier > 10 for earlier, later in pairwise(raised_at))

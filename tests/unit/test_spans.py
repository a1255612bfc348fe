"""Windows, what they are made of, and what is due: each moment once, whatever is rolled up."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.store.spans import ReportPeriod, Span, Step, Stretch, Window, cover, due

NOW = datetime(2026, 11, 26, 17, 42, 7, tzinfo=UTC)
TODAY = datetime(2026, 11, 26, tzinfo=UTC)


def hour(number: int, day: datetime = TODAY) -> Span:
    return Span(Step.HOUR, day + timedelta(hours=number))


def day(ago: int) -> Span:
    return Span(Step.DAY, TODAY - timedelta(days=ago))


@pytest.mark.parametrize(
    ("period", "since", "steps"),
    [
        ("day", datetime(2026, 11, 25, 17, tzinfo=UTC), 25),
        ("week", datetime(2026, 11, 19, tzinfo=UTC), 8),
        ("month", datetime(2026, 10, 27, tzinfo=UTC), 31),
        ("quarter", datetime(2026, 8, 28, tzinfo=UTC), 91),
    ],
)
def test_a_period_begins_with_a_whole_step(period: ReportPeriod, since: datetime, steps: int) -> None:
    window = Window.of(period, NOW)
    assert (window.since, window.until, len(window.steps())) == (since, NOW, steps)


SPANS = [*(day(ago) for ago in range(9)), *(hour(number, TODAY - timedelta(days=1)) for number in range(48))]


@given(period=st.sampled_from(["day", "week"]), rolled=st.sets(st.sampled_from(SPANS)))
def test_a_cover_has_each_moment_of_the_window_once(period: ReportPeriod, rolled: set[Span]) -> None:
    window = Window.of(period, NOW)
    made_of = cover(window, rolled)

    assert set(made_of.rolled) <= rolled
    parts = sorted([*made_of.raw, *(Stretch(span.at, span.end) for span in made_of.rolled)])
    assert parts[0].since == window.since
    assert parts[-1].until >= window.until
    assert all(before.until == after.since for before, after in pairwise(parts))
    assert all(stretch.until <= window.until for stretch in made_of.raw)


def test_days_are_used_where_steps_are_days_and_hours_alone_where_they_are_hours() -> None:
    rolled = {day(1), hour(0), hour(1), hour(23, TODAY - timedelta(days=1))}
    by_day, by_hour = (cover(Window(step, TODAY - timedelta(days=1), NOW), rolled) for step in (Step.DAY, Step.HOUR))

    assert (by_day.rolled, by_day.raw) == ([day(1), hour(0), hour(1)], [Stretch(hour(2).at, NOW)])
    assert by_hour.rolled == [hour(23, TODAY - timedelta(days=1)), hour(0), hour(1)]
    assert by_hour.raw == [Stretch(TODAY - timedelta(days=1), hour(-1).at), Stretch(hour(2).at, NOW)]


def test_what_is_over_for_a_while_is_due_the_newest_first() -> None:
    first = TODAY - timedelta(days=2, hours=-20)
    at_ten_past = TODAY + timedelta(hours=1, minutes=10)

    spans = due(at_ten_past, first, {day(1)})
    assert spans[:2] == [hour(0), hour(-1)]
    assert spans[-2:] == [hour(-28), day(2)]
    assert due(TODAY + timedelta(hours=1, minutes=4), first, {day(1)})[0] == hour(-1)


def test_hours_of_long_ago_and_days_that_no_report_reaches_are_not_due() -> None:
    spans = due(NOW, datetime(2020, 1, 1, tzinfo=UTC), set())
    assert min(span.at for span in spans if span.step is Step.HOUR) == TODAY - timedelta(days=2)
    assert min(span.at for span in spans if span.step is Step.DAY) == TODAY - timedelta(days=100)
    assert len(spans) == 48 + 17 + 100

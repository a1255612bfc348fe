"""Calls that ended are counted once each, however often it is looked and however late they come."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from vel_tutor_mcp.services.histograms import BOUNDS, Histogram
from vel_tutor_mcp.services.measuring import Measuring
from vel_tutor_mcp.store.figures import Ended
from vel_tutor_mcp.store.spans import MARGIN
from vel_tutor_mcp.store.sqlite import SqliteDatabase

MODEL = ("groq", "small")
SECOND = timedelta(seconds=1)


@pytest.fixture
def measuring(tmp_path: Path) -> Measuring:
    return Measuring(SqliteDatabase(tmp_path / "never-opened.db"))


def ended(at: datetime) -> Ended:
    return Ended(*MODEL, "completed", None, 10, 5, 7, 20, 300, at)


def test_a_call_is_read_again_until_it_is_settled_and_counts_once(measuring: Measuring) -> None:
    began = measuring._since
    first, late, last = ended(began + SECOND), ended(began + 2 * SECOND), ended(began + MARGIN)
    assert measuring._count([first], began + 2 * SECOND).ended.total() == 1
    assert measuring._count([first, late], began + 3 * SECOND).ended.total() == 2
    assert measuring._since == began
    calls = measuring._count([first, late, last], began + MARGIN + 3 * SECOND)
    assert measuring._since == began + 3 * SECOND  # those before it are asked for no more
    assert calls.ended == {(*MODEL, "completed", ""): 3}
    again = measuring._count([last], began + MARGIN + 3 * SECOND)
    assert again == calls
    assert (again.tokens[*MODEL, "in"], again.tokens[*MODEL, "out"], again.nanousd[MODEL]) == (30, 15, 21)
    assert again.total[MODEL].seconds == pytest.approx(0.9)


def test_a_clock_that_is_set_back_counts_nothing_twice(measuring: Measuring) -> None:
    began = measuring._since
    measuring._count([ended(began + SECOND)], began + MARGIN + 2 * SECOND)
    since = measuring._since
    measuring._count([], began - MARGIN)
    assert measuring._since == since


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0, 0), (BOUNDS[0], 0), (BOUNDS[0] + 1e-9, 1), (BOUNDS[-1], -2), (BOUNDS[-1] + 1, -1)]
)
def test_a_bound_is_in_its_bucket(seconds: float, bucket: int) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    assert histogram.counts[bucket] == 1
    assert sum(histogram.counts) == 1

"""Budgets as they stand: periods, what is left, which marks are passed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import NanoUsd
from vel_tutor_mcp.services.funds import shortage
from vel_tutor_mcp.store.standing import Budget, Period, Scope, Standing, available, begins, renews, tightest

NOON = datetime(2026, 11, 25, 12, 30, 7, 5, tzinfo=UTC)


def standing(limit: int, spent: int = 0, reserved: int = 0, held: int = 0, **of_budget: object) -> Standing:
    about: dict[str, object] = {"scope": Scope.AGENT, "period": Period.DAY} | of_budget
    return Standing(
        budget=Budget(subject_id="a", limit_nanousd=NanoUsd(limit), **about),  # type: ignore[arg-type]
        at=NOON,
        spent=NanoUsd(spent),
        reserved=NanoUsd(reserved),
        held=NanoUsd(held),
    )


@pytest.mark.parametrize(
    ("period", "at", "began", "anew"),
    [
        (Period.DAY, NOON, "2026-11-25", "2026-11-26"),
        (Period.DAY, datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "2026-12-31", "2027-01-01"),
        (Period.MONTH, NOON, "2026-11-01", "2026-12-01"),
        (Period.MONTH, datetime(2028, 2, 29, tzinfo=UTC), "2028-02-01", "2028-03-01"),
        (Period.MONTH, datetime(2026, 12, 1, tzinfo=UTC), "2026-12-01", "2027-01-01"),
        (Period.MONTH, datetime(2026, 1, 31, tzinfo=UTC), "2026-01-01", "2026-02-01"),
    ],
)
def test_days_and_months_are_those_of_utc(period: Period, at: datetime, began: str, anew: str) -> None:
    assert begins(period, at) == datetime.fromisoformat(f"{began}T00:00+00:00")
    assert renews(period, at) == datetime.fromisoformat(f"{anew}T00:00+00:00")


@given(
    st.sampled_from([Period.DAY, Period.MONTH]), st.datetimes(min_value=datetime(1990, 1, 1), timezones=st.just(UTC))
)
def test_every_moment_lies_in_one_period(period: Period, at: datetime) -> None:
    began, anew = begins(period, at), renews(period, at)
    assert began is not None
    assert anew is not None
    assert began <= at < anew
    assert (begins(period, began), begins(period, anew)) == (began, anew)


@pytest.mark.parametrize("period", [Period.TASK, Period.RUN])
def test_a_whole_life_does_not_begin_anew(period: Period) -> None:
    assert (begins(period, NOON), renews(period, NOON)) == (None, None)


@pytest.mark.parametrize(
    ("rows", "left", "at_best"),
    [
        ([], None, None),
        ([standing(10, hard=False)], None, None),
        ([standing(100, spent=30, reserved=50, held=40)], 20, 60),
        ([standing(100, spent=130)], 0, 0),
        ([standing(100, spent=30), standing(50, spent=10, reserved=20, held=20), standing(1, hard=False)], 20, 40),
    ],
)
def test_the_hard_budget_with_the_least_left_counts(
    rows: list[Standing], left: int | None, at_best: int | None
) -> None:
    assert (available(rows), available(rows, at_best=True)) == (left, at_best)
    assert (tightest(rows) is None) is (left is None)


@pytest.mark.parametrize(
    ("limit", "spent", "cost", "marks"),
    [
        (100, 79, 79, ()),
        (100, 80, 1, (80,)),
        (100, 81, 1, ()),
        (100, 100, 10, ()),
        (100, 101, 1, (100,)),
        (100, 101, 101, (80, 100)),
        (100, 150, 20, ()),
        (3, 3, 3, (80,)),
        (1000, 800, 1, (80,)),
    ],
)
def test_a_mark_is_passed_once(limit: int, spent: int, cost: int, marks: tuple[int, ...]) -> None:
    assert tuple(standing(limit, spent).crossed(NanoUsd(cost))) == marks


@given(st.integers(1, 1000), st.lists(st.integers(0, 300), max_size=20))
def test_no_order_of_costs_passes_a_mark_twice(limit: int, costs: list[int]) -> None:
    spent = 0
    marks: list[int] = []
    for cost in costs:
        spent += cost
        marks += standing(limit, spent).crossed(NanoUsd(cost)) if cost else []
    assert sorted(marks) == [80] * (100 * spent >= 80 * limit) + [100] * (spent > limit)


def test_a_shortage_names_the_budget_how_it_stands_when_it_begins_anew_and_how_to_raise_it() -> None:
    short = standing(5_000_000_000, 4_900_000_000, 90_000_000, 90_000_000)
    assert shortage([standing(9_000_000_000), short]) == (
        "The budget of its agent, $5.00 a day (UTC), has $0.01 left: $4.90 is spent and $0.09 set aside for open "
        "calls; it begins anew at 2026-11-26 00:00 UTC; raise it with `vel-tutor-mcp budget set --scope agent "
        "--subject a --period day --limit USD`."
    )


def test_a_task_has_one_life_and_the_installation_a_setting() -> None:
    of_task = shortage([standing(1000, 1000, scope=Scope.TASK, period=Period.TASK)])
    assert "anew" not in of_task
    assert of_task.endswith("raise it with `vel-tutor-mcp budget set --scope task --subject a --limit USD`.")
    of_all = shortage([standing(1000, 1000, scope=Scope.ORGANISATION, of_settings=True)])
    assert of_all.startswith("The budget of the organisation, $0.000001 a day (UTC), has ")
    assert of_all.endswith("raise it with VEL_TUTOR_BUDGET_USD_DAY.")

"""What another policy would have been worth, from logs whose truth is known because they are made here."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import Candidate, NanoUsd
from vel_tutor_mcp.routing.evaluation import FEWEST_MATCHING, FEWEST_ROWS, MOST_WEIGHT, Logged, doubly_robust
from vel_tutor_mcp.routing.exploration import drawn_first

SEEDS, ROWS = 300, 400


@dataclass(frozen=True)
class World:
    """Easy and hard tasks, two models. The log's policy asks the small one for most easy tasks, so what is seen of it
    flatters it; the policy in question always asks the small one.
    """

    hard: float = 0.5
    good_if_easy: float = 0.9
    good_if_hard: float = 0.4
    asked_if_easy: float = 0.85
    asked_if_hard: float = 0.15

    @property
    def truth(self) -> float:
        return (1 - self.hard) * self.good_if_easy + self.hard * self.good_if_hard

    def log(self, seed: int, *, expected: float | None) -> list[Logged]:
        """`expected`: a model that is wrong in the same way for all tasks; None: one that knows."""
        chance = np.random.default_rng(seed)
        hard, asked, good = chance.random((3, ROWS))
        rows = []
        for is_hard, draw, luck in zip(hard < self.hard, asked, good, strict=True):
            p_small = self.asked_if_hard if is_hard else self.asked_if_easy
            p_good = self.good_if_hard if is_hard else self.good_if_easy
            small = draw < p_small
            rows.append(
                Logged(
                    outcome=float(luck < (p_good if small else 0.95)),
                    propensity=p_small if small else 1 - p_small,
                    matches=bool(small),
                    expected=p_good if expected is None else expected,
                )
            )
        return rows


WORLD = World()


def naive(log: list[Logged]) -> float:
    return float(np.mean([row.outcome for row in log if row.matches]))


@pytest.mark.parametrize("expected", [None, 0.8, 0.3], ids=["knows", "too high", "too low"])
def test_the_interval_covers_the_truth_in_about_95_of_100_logs(expected: float | None) -> None:
    found = [doubly_robust(WORLD.log(seed, expected=expected)) for seed in range(SEEDS)]
    estimates = [estimate for estimate in found if estimate is not None]
    covered = np.mean([estimate.low <= WORLD.truth <= estimate.high for estimate in estimates])
    assert len(estimates) == SEEDS
    assert 0.91 <= covered <= 0.985
    assert np.mean([estimate.mean for estimate in estimates]) == pytest.approx(WORLD.truth, abs=0.01)


def test_the_mean_of_what_matches_is_biased_where_the_estimate_is_not() -> None:
    assert np.mean([naive(WORLD.log(seed, expected=0.5)) for seed in range(SEEDS)]) > WORLD.truth + 0.15


def test_what_the_product_explores_and_logs_is_enough_for_an_unbiased_estimate() -> None:
    """Of the model that it asks only when it explores, and of which it believes too much."""
    truth, believed = (0.85, 0.6), (0.85, 0.8)
    ranked = [
        Candidate(
            provider="groq",
            model=str(place),
            p_ok=p_ok,
            p_up=1,
            expected_cost_nanousd=NanoUsd(0),
            expected_latency_ms=0,
            utility=p_ok,
        )
        for place, p_ok in enumerate(believed)
    ]

    def log(seed: int) -> list[Logged]:
        chance = np.random.default_rng(seed)
        firsts = [drawn_first(ranked, 1.0, 0.0, 0.2, chance) for _ in range(ROWS)]
        return [
            Logged(
                outcome=float(chance.random() < truth[first.place]),
                propensity=first.propensity,
                matches=first.place == 1,
                expected=believed[1],
            )
            for first in firsts
        ]

    found = [estimate for seed in range(25) if (estimate := doubly_robust(log(seed)))]
    assert np.mean([estimate.mean for estimate in found]) == pytest.approx(truth[1], abs=0.05)
    assert np.mean([estimate.low <= truth[1] <= estimate.high for estimate in found]) >= 0.84


def test_where_the_log_always_chose_the_same_the_estimate_is_the_mean_outcome() -> None:
    log = [Logged(outcome=float(n % 4 > 0), propensity=1, matches=True, expected=0.1) for n in range(40)]
    estimate = doubly_robust(log)
    assert estimate is not None
    assert estimate.mean == pytest.approx(0.75)
    assert (estimate.rows, estimate.matching) == (40, 40)


def test_one_lucky_trial_counts_for_no_more_than_the_clipped_weight() -> None:
    usual = [Logged(outcome=0.5, propensity=1, matches=True, expected=0.5) for _ in range(999)]
    lucky = Logged(outcome=1, propensity=1e-9, matches=True, expected=0.5)
    estimate = doubly_robust([*usual, lucky])
    assert estimate is not None
    assert estimate.mean == pytest.approx(0.5 + MOST_WEIGHT * 0.5 / 1000)


@pytest.mark.parametrize(
    ("rows", "matching", "said"),
    [
        (0, 0, False),
        (FEWEST_ROWS - 1, FEWEST_ROWS - 1, False),
        (500, FEWEST_MATCHING - 1, False),
        (FEWEST_ROWS, FEWEST_MATCHING, True),
    ],
)
def test_of_too_few_rows_nothing_is_said(rows: int, matching: int, said: bool) -> None:
    log = [Logged(outcome=1, propensity=0.5, matches=n < matching, expected=0.5) for n in range(rows)]
    assert (doubly_robust(log) is not None) is said


@given(
    st.lists(
        st.builds(
            Logged,
            outcome=st.floats(0, 1),
            propensity=st.floats(1e-6, 1),
            matches=st.booleans(),
            expected=st.floats(0, 1),
        ),
        min_size=FEWEST_ROWS,
        max_size=60,
    )
)
def test_the_estimate_is_a_probability_inside_its_interval(log: list[Logged]) -> None:
    estimate = doubly_robust(log)
    if estimate is not None:
        assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1

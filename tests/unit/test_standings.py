"""What ratings of compared answers come to: an exact test, held against enumeration, and standings in words."""

from collections.abc import Mapping, Sequence
from itertools import product
from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import NanoUsd
from vel_tutor_mcp.services.comparisons.significance import ALPHA, FEWEST, holm, p_value
from vel_tutor_mcp.services.comparisons.standings import Pair, pairs, shown_standings
from vel_tutor_mcp.store.comparisons import Showing

# Darwin's plants, in eighths of an inch, as Fisher tested them: 1,726 of 32,768 choices of signs.
DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ((), 1),
        ((0, 0), 1),
        ((1,), 1),
        ((1,) * 5, 2 / 2**5),
        ((1,) * 6, 2 / 2**6),
        ((1, 0, 2, 0, 3, 0, 4, 1, 2), 2 / 2**6),
        ((4, -4), 1),
        (DARWIN, 1726 / 32768),
        ((1,) * 1000, 2 / 2**1000),
    ],
)
def test_the_p_value_is_the_share_of_all_signs_that_say_as_much(differences: Sequence[int], p: float) -> None:
    assert p_value(differences) == pytest.approx(p, rel=1e-9)
    assert p_value([-difference for difference in differences]) == p_value(differences)


@given(st.lists(st.integers(-48, 48), max_size=9))
def test_the_p_value_is_what_trying_all_signs_gives(differences: list[int]) -> None:
    sums = [abs(sum(map(int.__mul__, signs, differences))) for signs in product((1, -1), repeat=len(differences))]
    share = sum(found >= abs(sum(differences)) for found in sums) / len(sums)
    assert p_value(differences) == pytest.approx(share)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8))
def test_chance_alone_is_at_most_as_often_below_a_p_value_as_it_says(sizes: list[int]) -> None:
    found = sorted(p_value(list(map(int.__mul__, signs, sizes))) for signs in product((1, -1), repeat=len(sizes)))
    for place, p in enumerate(found):
        assert (place + 1) / len(found) <= p + 1e-9


def test_six_differences_are_the_fewest_that_can_be_significant() -> None:
    assert p_value([1] * FEWEST) <= ALPHA < p_value([4] * (FEWEST - 1))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.02], [0.02]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9, 0.01], [1, 1, 0.03]),
    ],
)
def test_p_values_count_the_more_the_fewer_are_smaller(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


def asked(number: int, prompt: str = "", person: str = "me", **ratings: int | None) -> list[Showing]:
    """A comparison, and how a person rated its models."""
    return [
        showing(f"{number}", prompt or f"prompt {number}", model, {} if rating is None else {person: rating})
        for model, rating in ratings.items()
    ]


def showing(comparison: str, prompt: str, model: str, ratings: Mapping[str, int], *, answered: bool = True) -> Showing:
    cost, took = (NanoUsd(2_000_000), 100) if answered else (NanoUsd(1_000), None)
    return Showing(comparison, prompt, f"sim/{model}", answered, cost, took, dict(ratings))


def only(showings: Sequence[Showing]) -> Pair:
    (found,) = pairs(showings)
    return found


def test_a_model_that_is_rated_higher_on_enough_prompts_is_named() -> None:
    rows = [row for number in range(8) for row in asked(number, luna=4 if number else 3, sol=5 if number else 3)]
    found = only(rows)
    assert (found.a, found.b, found.prompts, found.differing, found.difference) == ("sim/luna", "sim/sol", 8, 7, -7 / 8)
    assert found.p_value == found.p_adjusted == 2 / 2**7
    assert (
        found.verdict == "sim/sol is rated higher than sim/luna, by 0.88 points on average over 8 prompts (p = 0.016)."
    )


def test_what_may_be_chance_is_said_to_be() -> None:
    rows = [row for number in range(10) for row in asked(number, luna=3, sol=4 if number % 3 else 2)]
    found = only(rows)
    assert not found.is_significant
    assert found.verdict == (
        "No difference shown: 0.20 points on average over 10 prompts (p = 0.754) may well be chance."
    )


def test_with_too_few_prompts_nothing_is_said_and_the_others_are_not_held_to_more() -> None:
    enough = [row for number in range(6) for row in asked(number, luna=2, sol=5)]
    few = [row for number in range(6, 11) for row in asked(number, sol=5, terra=1)]
    first, second = pairs([*few, *enough])
    assert (first.a, first.b, first.p_adjusted, first.is_significant) == ("sim/luna", "sim/sol", 2 / 2**6, True)
    assert (second.a, second.b, second.p_adjusted, second.is_significant) == ("sim/sol", "sim/terra", None, False)
    assert second.verdict == (
        "Too few to say: their ratings differ on 5 of 5 prompts, and only from 6 on can a difference be told from "
        "chance."
    )


def test_each_pair_is_held_to_how_many_there_are() -> None:
    rows = [row for number in range(7) for row in asked(number, luna=2, sol=5, terra=3)]
    assert [pair.p_adjusted for pair in pairs(rows)] == [3 * 2 / 2**7] * 3


def test_a_prompt_counts_once_however_often_it_is_asked_and_by_however_many_it_is_rated() -> None:
    rows = [row for number in range(9) for row in asked(number, "the same", luna=1, sol=5)]
    rows += [showing("10", "other", "luna", {"me": 3, "you": 1}), showing("10", "other", "sol", {"me": 4, "you": 4})]
    found = only(rows)
    assert (found.prompts, found.differing, found.difference) == (2, 2, -3.0)


def test_ratings_are_compared_within_a_person_alone() -> None:
    strict, mild = {"strict": 1}, {"mild": 5}
    assert pairs([showing("1", "p", "luna", strict), showing("1", "p", "sol", mild)]) == []


def test_a_models_numbers_are_of_its_answers() -> None:
    rows = [*asked(1, luna=4, sol=None), *asked(2, luna=5, sol=2), showing("3", "p", "luna", {}, answered=False)]
    told = shown_standings(rows, is_cut=False)
    of_both = {"answers": 2, "mean_cost_usd": 0.002, "median_ms": 100}
    assert told["models"] == [
        {"model": "sim/luna", "asked": 3, "ratings": 2, "mean_rating": 4.5} | of_both,
        {"model": "sim/sol", "asked": 2, "ratings": 1, "mean_rating": 2} | of_both,
    ]
    assert (told["comparisons"], [pair["prompts"] for pair in told["pairs"]]) == (3, [1])


def test_without_any_comparison_there_is_nothing_to_tell() -> None:
    told = shown_standings([], is_cut=False)
    assert (told["models"], told["pairs"], told["comparisons"]) == ([], [], 0)


def test_among_equal_models_hardly_ever_one_is_called_better() -> None:
    chance, worlds = Random(1), 300

    def drawn() -> int:
        return chance.choice((1, 3, 4, 4, 5))

    def is_fooled() -> bool:
        rows = [row for number in range(12) for row in asked(number, luna=drawn(), sol=drawn(), terra=drawn())]
        return any(pair.is_significant for pair in pairs(rows))

    share = sum(is_fooled() for _ in range(worlds)) / worlds
    assert 0 < share <= ALPHA + 2 * sqrt(ALPHA * (1 - ALPHA) / worlds)

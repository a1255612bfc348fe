"""Feedback becomes a posterior of P(good enough)."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import Evidence
from vel_tutor_mcp.routing.learning import (
    HALF_LIFE,
    STRENGTH,
    WEIGHTS,
    Cause,
    Weight,
    added,
    posterior,
    removed,
    weight_of_rating,
)

NOW = datetime(2027, 1, 1, tzinfo=UTC)

Said = tuple[Cause, timedelta]
"""Feedback, and how long ago it was given."""

feedback = st.tuples(st.sampled_from(Cause), st.timedeltas(timedelta(0), timedelta(days=200)))


def seen(*said: Said) -> Evidence | None:
    found = None
    for cause, ago in said:
        found = added(found, WEIGHTS[cause], NOW - ago)
    return found


def amounts(evidence: Evidence | None) -> tuple[float, float]:
    """As they count now."""
    assert evidence is not None
    now = added(evidence, Weight(0, 0), NOW)
    return now.good, now.bad


def test_without_feedback_the_prior_stands() -> None:
    assert posterior(0.8, None, NOW.timestamp()) == (0.8, 0.0)


def test_as_much_bad_feedback_as_the_prior_is_worth_halves_it() -> None:
    bad = Evidence(good=0, bad=STRENGTH, at=NOW)
    assert posterior(0.8, bad, NOW.timestamp()) == (0.4, STRENGTH)


def test_half_of_the_feedback_is_forgotten_after_a_half_life() -> None:
    bad = Evidence(good=0, bad=2 * STRENGTH, at=NOW)
    assert posterior(0.8, bad, (NOW + HALF_LIFE).timestamp()) == (0.4, STRENGTH)


def test_a_better_rating_raises_it_more() -> None:
    means = [posterior(0.5, added(None, weight_of_rating(stars), NOW), NOW.timestamp())[0] for stars in range(1, 6)]
    assert means == sorted(set(means))
    assert means[2] == 0.5


def test_what_people_say_outweighs_what_a_machine_guesses() -> None:
    said = sum(weight_of_rating(5)), sum(weight_of_rating(1))
    assert min(said) >= max(sum(WEIGHTS[cause]) for cause in (Cause.SCHEMA_MATCHED, Cause.RETRIED))


@given(st.lists(feedback, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_feedback_arrives_changes_nothing(said: list[Said], random: Random) -> None:
    shuffled = random.sample(said, len(said))
    assert amounts(seen(*shuffled)) == pytest.approx(amounts(seen(*said)))


@given(st.lists(feedback, min_size=1, max_size=8), feedback)
def test_what_is_taken_back_leaves_nothing_behind(said: list[Said], mistake: Said) -> None:
    cause, ago = mistake
    with_it = seen(*said[:1], mistake, *said[1:])
    assert with_it is not None
    assert amounts(removed(with_it, WEIGHTS[cause], NOW - ago)) == pytest.approx(amounts(seen(*said)), abs=1e-9)


@given(st.floats(0.02, 0.98), st.lists(feedback, min_size=1, max_size=30))
def test_the_posterior_is_between_the_prior_and_what_was_seen(prior: float, said: list[Said]) -> None:
    good, bad = amounts(seen(*said))
    share = good / (good + bad)
    mean, _ = posterior(prior, seen(*said), NOW.timestamp())
    assert min(prior, share) - 1e-4 <= mean <= max(prior, share) + 1e-4

"""How good a model's answers are, learned from use: a Beta posterior for each task type and model. Pure.

Feedback is counted as good and bad answers, of which half is forgotten every `HALF_LIFE`, since vendors change models
under the same name. With `good` and `bad` of them and a prior p, P(good enough) is Beta(`STRENGTH` x p + good,
`STRENGTH` x (1 - p) + bad): a new model has its prior, much-rated ones what is said of them.

Failures of the infrastructure (limits, time-outs, 5xx) say nothing of quality: `health` remembers those.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from vel_tutor_mcp.models import Evidence

HALF_LIFE = timedelta(days=30)
# In answers: what the prior is worth.
STRENGTH = 8.0


class Cause(StrEnum):
    """What feedback comes from."""

    RATED_5 = "rated_5"
    RATED_4 = "rated_4"
    RATED_3 = "rated_3"
    RATED_2 = "rated_2"
    RATED_1 = "rated_1"
    SCHEMA_FAILED = "schema_failed"
    SCHEMA_MATCHED = "schema_matched"
    RETRIED = "retried"


class Weight(NamedTuple):
    """For how many good and bad answers something counts."""

    good: float
    bad: float

    @property
    def share_good(self) -> float:
        return self.good / (self.good + self.bad)


# An answer without feedback is not in here: that it came says nothing of its worth.
WEIGHTS = {
    # A person looked, and is sure at the ends of the scale.
    Cause.RATED_5: Weight(1.0, 0.0),
    Cause.RATED_4: Weight(0.75, 0.0),
    # Neither: half a vote that pulls both ways.
    Cause.RATED_3: Weight(0.25, 0.25),
    Cause.RATED_2: Weight(0.0, 0.75),
    Cause.RATED_1: Weight(0.0, 1.0),
    # Checked by machine: it was of no use to the one who asked.
    Cause.SCHEMA_FAILED: Weight(0.0, 1.0),
    # The form is right; the content may still be wrong.
    Cause.SCHEMA_MATCHED: Weight(0.25, 0.0),
    # Stopped in mid-answer and asked again: perhaps it went astray, perhaps it was the prompt that was wrong.
    Cause.RETRIED: Weight(0.0, 0.25),
}


def weight_of_rating(rating: int) -> Weight:
    """The weight of a rating of 1-5."""
    return WEIGHTS[Cause(f"rated_{rating}")]


def added(seen: Evidence | None, weight: Weight, at: datetime) -> Evidence:
    """With feedback of that time, which may be before `seen.at`: the order of arrival changes nothing."""
    if seen is None:
        return Evidence(good=weight.good, bad=weight.bad, at=at)
    latest = max(seen.at, at)
    kept, new = _kept(seen.at, latest), _kept(at, latest)
    return Evidence(good=seen.good * kept + weight.good * new, bad=seen.bad * kept + weight.bad * new, at=latest)


def removed(seen: Evidence, weight: Weight, at: datetime) -> Evidence:
    """Without feedback that was added with the same weight and time."""
    left = added(seen, Weight(-weight.good, -weight.bad), at)
    # What is left of a difference of equal floats may be below nothing.
    return Evidence(good=max(0.0, left.good), bad=max(0.0, left.bad), at=left.at)


def posterior(prior: float, seen: Evidence | None, now: float) -> tuple[float, float]:
    """The posterior's mean, and for how many answers the feedback in it counts at `now` (epoch seconds)."""
    if seen is None:
        return prior, 0.0
    kept = 0.5 ** (max(0.0, now - seen.at.timestamp()) / HALF_LIFE.total_seconds())
    amount = (seen.good + seen.bad) * kept
    return round((STRENGTH * prior + seen.good * kept) / (STRENGTH + amount), 4), round(amount, 2)


def _kept(then: datetime, now: datetime) -> float:
    return float(0.5 ** ((now - then) / HALF_LIFE))

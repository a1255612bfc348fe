"""What another policy would have been worth, from the log of this one: a doubly robust estimate. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A row never counts for more than this many: one lucky trial must not decide the estimate.
MOST_WEIGHT = 100.0
# Fewer rows, or fewer in which both policies chose the same, say too little.
FEWEST_ROWS, FEWEST_MATCHING = 30, 10
_TWO_SIDED_95 = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One decision with an outcome.

    `outcome`: how good the answer of the logged choice was (0-1). `propensity`: the probability with which the log's
    policy was to make that choice, above 0. `matches`: the other policy chooses the same. `expected`: P(good enough)
    (0-1) of what the other policy chooses, by a model that did not see the outcome, or hardly.
    """

    outcome: float
    propensity: float
    matches: bool
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The mean outcome (0-1) of the other policy, with a 95 % interval, from `rows` of which `matching` match."""

    mean: float
    low: float
    high: float
    rows: int
    matching: int


def doubly_robust(log: Sequence[Logged]) -> Estimate | None:
    """The other policy's mean outcome; None where the log says too little (see `FEWEST_ROWS`, `FEWEST_MATCHING`).

    For a policy pi that always chooses the same for the same x, and a log of choices a with outcomes y and
    propensities p:

        V = mean of: q(x, pi(x)) + [pi(x) = a] / max(p, 1 / MOST_WEIGHT) * (y - q(x, pi(x)))

    It is right on average where either q or the propensities are (Dudik, Langford, Li: Doubly Robust Policy Evaluation
    and Learning, ICML 2011, equation 3). Weights are clipped at `MOST_WEIGHT`; what that cuts off rests on q alone. The
    interval is that of a mean of independent rows, V +- 1.96 s / sqrt(n), cut to 0-1.
    """
    rows, matching = len(log), sum(row.matches for row in log)
    if rows < FEWEST_ROWS or matching < FEWEST_MATCHING:
        return None
    scores = [_score(row) for row in log]
    mean = math.fsum(scores) / rows
    variance = math.fsum((score - mean) ** 2 for score in scores) / (rows - 1)
    margin = _TWO_SIDED_95 * math.sqrt(variance / rows)
    low, middle, high = (min(1.0, max(0.0, value)) for value in (mean - margin, mean, mean + margin))
    return Estimate(mean=middle, low=low, high=high, rows=rows, matching=matching)


def _score(row: Logged) -> float:
    if not row.matches:
        return row.expected
    weight = 1 / max(row.propensity, 1 / MOST_WEIGHT)
    return row.expected + weight * (row.outcome - row.expected)

"""How good a router is, by RouteLLM's own metrics, with intervals. Imports numpy: load it late.

Source of APGR and CPT: lm-sys/RouteLLM, `routellm/evals/evaluate.py` and `benchmarks.py`; Ong et al., RouteLLM:
Learning to Route LLMs with Preference Data, 2024, section 3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Array = np.ndarray

THRESHOLDS = 10
BINS = 10
RESAMPLES = 200


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Pair:
    """How a router uses a weak and a strong model.

    `apgr`: of the way from the weak one's quality to the strong one's, the mean over all shares of strong calls (random
    is 0.5). `cpt50`, `cpt80`: per cent of calls to the strong model that go 50 and 80 % of that way.
    """

    apgr: float
    cpt50: float
    cpt80: float


def pair(ranking: Array, weak: Array, strong: Array) -> Pair:
    """The metrics of sending to the strong model what ranks above a threshold; thresholds are the ranking's deciles.

    All are of shape (rows,): the larger the ranking, the sooner the strong model; scores are 0-1.
    """
    limits = np.unique(np.quantile(ranking, np.linspace(0, 1, THRESHOLDS + 1)))
    sent = [ranking >= limit for limit in limits[:-1]] + [ranking > limits[-1]]
    shares = np.array([there.mean() for there in sent][::-1])
    quality = np.array([np.where(there, strong, weak).mean() for there in sent][::-1])
    low, high = weak.mean(), strong.mean()
    way = (quality - low) / (high - low) if high != low else np.zeros(len(quality))
    width = shares[-1] - shares[0]
    return Pair(
        float(np.trapezoid(way, shares) / width) if width else 0.0,
        float(100 * np.interp(0.5, way, shares)),
        float(100 * np.interp(0.8, way, shares)),
    )


def calibration_error(chances: Array, scores: Array) -> float:
    """Expected calibration error: mean |mean P - mean score| over ten equally full bins of P; shapes (rows,)."""
    bins = np.array_split(np.argsort(chances, kind="stable"), min(BINS, len(chances)))
    return float(sum(abs((chances[places] - scores[places]).sum()) for places in bins) / len(chances))


def interval(measure: Callable[[Array], float], rows: int) -> Interval:
    """The measure of all rows and the middle 95 % of it over rows drawn with replacement; it is given row numbers."""
    # The same rows have the same interval.
    chance = np.random.default_rng(0)
    drawn = [measure(chance.integers(rows, size=rows)) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(measure(np.arange(rows)), float(low), float(high))


_HARD_WORDS = (
    "prove",
    "derive",
    "calculate",
    "explain",
    "why",
    "code",
    "algorithm",
    "analyze",
    "theorem",
    "legal",
    "law",
)


def baselines(prompts: Sequence[str]) -> dict[str, Array]:
    """Rankings that cost nothing: chance, the length of the prompt, and words that sound hard."""
    words = [sum(prompt.lower().count(word) for word in _HARD_WORDS) for prompt in prompts]
    chance = np.random.default_rng(0).random(len(prompts))
    lengths = np.array([len(prompt) for prompt in prompts])
    # Equal counts are told apart by chance, lest they all fall on one side of a threshold.
    return {"random": chance, "length": lengths, "keywords": np.array(words) + 0.5 * chance}

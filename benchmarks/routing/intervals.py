"""How far a number can be trusted, at 95 %."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

_Z = 1.959964
_RESAMPLES = 2000


def wilson(successes: int, of: int) -> tuple[float, float]:
    """The interval of a share, after Wilson (1927): holds also where nothing, or everything, failed."""
    share, z2 = successes / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return middle - half, min(1.0, middle + half)


def bootstrap(values: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """The interval of a mean: the middle 95 % of the means of as many values, drawn with replacement."""
    given = np.asarray(values)
    drawn = np.random.default_rng(seed).integers(0, len(given), (_RESAMPLES, len(given)))
    low, high = np.percentile(given[drawn].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def percentile(values: Sequence[float], share: float) -> float:
    return float(np.percentile(values, share)) if values else 0.0

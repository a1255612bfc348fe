"""Encoded prompts as the matrix of a linear model, and ridge regression on it. Imports numpy: load it late."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from vel_tutor_mcp.routing.encoding import Encoded
from vel_tutor_mcp.routing.ngrams import BUCKETS

Array = np.ndarray

# Traits count as steps at their quantiles: more of something need not be so much harder.
STEPS = 6
# The weight of all steps together, beside 1 for all n-grams together.
STEPS_WEIGHT = 0.2
# A step that few prompts take does not count for more than this says.
_LEAST_SPREAD = 0.25
_MOST_ROUNDS, _ENOUGH = 40, 3e-3


@dataclass(frozen=True, slots=True)
class Prompts:
    """Encoded prompts: row i has the buckets `numbers[starts[i]:starts[i + 1]]` and the traits `traits[i]`."""

    starts: Array
    numbers: Array
    traits: Array

    @classmethod
    def of(cls, encoded: Sequence[Encoded]) -> "Prompts":
        # A prompt without a word has bucket 0, so that no row is empty.
        rows = [sorted(row.grams) or [0] for row in encoded]
        starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        numbers = np.fromiter(chain.from_iterable(rows), np.int64, int(starts[-1])) % BUCKETS
        return cls(starts, numbers, np.array([row.traits for row in encoded]))

    def take(self, places: Array) -> "Prompts":
        counts = np.diff(self.starts)[places]
        starts = np.concatenate([[0], np.cumsum(counts)])
        kept = np.repeat(self.starts[places] - starts[:-1], counts) + np.arange(starts[-1])
        return Prompts(starts, self.numbers[kept], self.traits[places])


@dataclass(frozen=True, slots=True)
class Scales:
    """What training prompts say of the features themselves.

    `rarity` (BUCKETS,): ln((1 + n) / (1 + prompts with it)) + 1; `steps` (traits, STEPS): the thresholds, infinity
    where there are fewer; `shares`, `spreads`: the steps' means, and what they are divided by.
    """

    rarity: Array
    steps: Array
    shares: Array
    spreads: Array

    @classmethod
    def of(cls, prompts: Prompts) -> "Scales":
        count = len(prompts.traits)
        seen = np.bincount(prompts.numbers, minlength=BUCKETS)
        steps = _quantiles(prompts.traits)
        taken = prompts.traits[:, :, None] > steps
        spreads = np.maximum(taken.std(axis=0), _LEAST_SPREAD) * np.sqrt(
            max(1, np.isfinite(steps).sum()) / STEPS_WEIGHT
        )
        return cls(np.log((1 + count) / (1 + seen)) + 1, steps, taken.mean(axis=0), spreads)


def _quantiles(traits: Array) -> Array:
    steps = np.quantile(traits, np.arange(STEPS) / STEPS, axis=0, method="lower").T
    steps[:, 1:][np.diff(steps, axis=1) == 0] = np.inf
    # No prompt is beyond a step at the largest value.
    steps[steps >= traits.max(axis=0)[:, None]] = np.inf
    return np.sort(steps, axis=1)


class Design:
    """The matrix: row i holds the n-grams, scaled to length 1, then the steps of the traits."""

    def __init__(self, prompts: Prompts, scales: Scales) -> None:
        self._starts, self._numbers = prompts.starts[:-1], prompts.numbers
        values = scales.rarity[prompts.numbers]
        lengths = np.sqrt(np.add.reduceat(values**2, self._starts))
        self._rows = np.repeat(np.arange(len(lengths)), np.diff(prompts.starts))
        self._values = values / lengths[self._rows]
        steps = (prompts.traits[:, :, None] > scales.steps) - scales.shares
        self._steps = (steps / scales.spreads).reshape(len(lengths), -1)
        self.width = BUCKETS + self._steps.shape[1]

    def times(self, weights: Array) -> Array:
        """Shape (width, ...) to (rows, ...)."""
        values = self._values.reshape(-1, *[1] * (weights.ndim - 1))
        sums = np.add.reduceat(values * weights[self._numbers], self._starts, axis=0)
        found: Array = sums + self._steps @ weights[BUCKETS:]
        return found

    def back(self, rows: Array) -> Array:
        """The transpose: shape (rows,) to (width,)."""
        grams = np.bincount(self._numbers, self._values * rows[self._rows], minlength=BUCKETS)
        return np.concatenate([grams, rows @ self._steps])


def ridge(design: Design, target: Array, known: Array, strength: float) -> Array:
    """The weights w that minimise |X w - target|^2 over the known rows + strength |w|^2, by conjugate gradients.

    Source of the method: Hestenes and Stiefel, Methods of Conjugate Gradients for Solving Linear Systems, 1952.
    """
    weights = np.zeros(design.width)
    left = design.back(np.where(known, target, 0.0))
    direction, size = left, float(left @ left)
    enough = size * _ENOUGH**2
    for _ in range(_MOST_ROUNDS):
        if size <= enough:
            break
        image = design.back(design.times(direction) * known) + strength * direction
        step = size / float(direction @ image)
        weights = weights + step * direction
        left = left - step * image
        before, size = size, float(left @ left)
        direction = left + size / before * direction
    return weights

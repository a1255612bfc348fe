"""A trained model of P(good enough): what it says of a prompt. Imports numpy: load it late."""

from dataclasses import dataclass

import numpy as np

from vel_tutor_mcp.routing.encoding import Encoded
from vel_tutor_mcp.routing.ngrams import BUCKETS
from vel_tutor_mcp.routing.traits import NAMES

Array = np.ndarray

LEAST, MOST = 0.01, 0.99
_TRAITS = np.arange(len(NAMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Linear heads, calibrated: the first says how well all models do on a prompt (the level), each other one by how
    much a model does better than that (its deviation).

    Attributes:
        names: of the models (K).
        means: (K,) the mean score of each.
        grams: (BUCKETS, 1 + K + 1) weights of the n-grams times their rarity, then the square of that rarity.
        steps: (traits, STEPS) thresholds.
        table: (traits, STEPS + 1, 1 + K) what a trait adds to each head, by how many thresholds it is above.
        curve: (5,) how the level is calibrated; see `bent`.
        default: the place of the best single model.
        margin: by how much another one's P must be above the default's for it to be chosen.
    """

    names: tuple[str, ...]
    means: Array
    grams: Array
    steps: Array
    table: Array
    curve: Array
    default: int
    margin: float

    def chances(self, prompt: Encoded) -> Array:
        """P(good enough) of each model, shape (K,).

        Raising or lowering all alike keeps them between `LEAST` and `MOST`: how far the models are apart is what
        routing needs, and cutting each by itself would lose it.
        """
        numbers = np.fromiter(prompt.grams or (0,), np.int64, max(1, len(prompt.grams))) % BUCKETS
        grams = self.grams.take(numbers, axis=0).sum(axis=0)
        above = (np.array(prompt.traits)[:, None] > self.steps).sum(axis=1)
        heads = grams[:-1] / np.sqrt(grams[-1]) + self.table[_TRAITS, above].sum(axis=0)
        return within(self.means + bent(heads[0], self.curve) + heads[1:])

    def choice(self, chances: Array) -> int:
        """The place of the model to ask: the best one, if it is by more than the margin better than the default."""
        best = int(np.argmax(chances))
        return best if chances[best] - chances[self.default] > self.margin else self.default


def bent(level: Array, curve: Array) -> Array:
    """The level, calibrated: a parabola, followed where it rises. `curve` is slope, bend, shift, lowest, highest."""
    slope, bend, shift, lowest, highest = curve
    level = np.minimum(np.maximum(level, lowest), highest)
    bowed: Array = slope * level + bend * level**2 + shift
    return bowed


def within(chances: Array) -> Array:
    """Shape (..., K), moved by the same for all K so that the largest is at most `MOST`, then the smallest at least
    `LEAST`; what is still outside is cut.
    """
    chances = chances - np.maximum(0, chances.max(axis=-1, keepdims=True) - MOST)
    chances = chances + np.maximum(0, LEAST - chances.min(axis=-1, keepdims=True))
    cut: Array = np.minimum(chances, MOST)
    return cut

"""The policies: what an agent wants of the model that is chosen for it, each in one row.

A row is its name, what its first choice is, in words, and its weights.
"""

from enum import StrEnum
from typing import NamedTuple, Self


class Weights(NamedTuple):
    """utility = value x VALUE_USD x P(good enough) x P(up) - cost x US dollars - latency x seconds - risk x P(down).

    Models below the floor of P(good enough) come after all others.
    """

    value: float
    cost: float
    latency: float
    risk: float
    floor: float = 0.0


NOTHING = Weights(0, cost=0, latency=0, risk=0)


class Policy(StrEnum):
    chosen: str
    weights: Weights

    # The defaults are for `Policy(name)`, which looks one up.
    def __new__(cls, name: str, chosen: str = "", weights: Weights = NOTHING) -> Self:
        policy = str.__new__(cls, name)
        policy._value_ = name
        policy.chosen = chosen
        policy.weights = weights
        return policy

    BALANCED = "balanced", "the best balance of quality, cost and wait", Weights(1, cost=1, latency=0.0002, risk=0.005)
    QUALITY = "quality", "the best expected quality", Weights(50, cost=1, latency=0.0002, risk=0.1)
    CHEAPEST = "cheapest", "the cheapest that is good enough", Weights(0, cost=1, latency=0, risk=0.0005, floor=0.6)
    FASTEST = "fastest", "the fastest that is good enough", Weights(0, cost=0.1, latency=0.01, risk=0.05, floor=0.6)
    FIXED = "fixed", "the first in the agent's own order", NOTHING

"""The zero router: a random mix of single models that answers as well as somebody else does, as cheaply as can be.

Two models, each asked for a fixed share of the requests, whatever they are. A router is worth what it saves beyond.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Mix:
    """`share` of the requests for the model `good`, the others for the model `cheap` (places); `cost` on average."""

    good: int
    cheap: int
    share: float
    cost: float


def cheapest_mix(good: Numbers, cost: Numbers, wanted: float) -> Mix | None:
    """The cheapest mix whose mean quality is at least `wanted`; None where no model is so good.

    `good` and `cost` have one mean for each model.
    """
    places = range(len(good))
    mixes = [_mix(good, cost, wanted, *pair) for pair in product(places, places) if good[pair[0]] >= wanted]
    return min(mixes, key=lambda mix: mix.cost, default=None)


def _mix(good: Numbers, cost: Numbers, wanted: float, better: int, worse: int) -> Mix:
    gap = good[better] - good[worse]
    share = 0.0 if good[worse] >= wanted else float((wanted - good[worse]) / gap)
    return Mix(better, worse, share, float(share * cost[better] + (1 - share) * cost[worse]))


@dataclass(frozen=True, slots=True)
class Compared:
    """One resample: what was saved, as a share of the mix's cost; and how many more good answers (of one) there were.

    The second is 0 where each model is as good as believed.
    """

    saved: float
    better: float


def compared(good: Numbers, cost: Numbers, taken: NDArray[np.intp], off_by: float, seed: int) -> list[Compared]:
    """A router beside the cheapest mix that is believed to be as good, in many resamples of the requests.

    Args:
        good: believed P(good enough) by model, request.
        cost: US dollars by model, request.
        taken: the model that took each request.
        off_by: standard deviation of the error of that belief, one for each model in each resample.
        seed: of all that is drawn.
    """
    random, count = np.random.default_rng(seed), good.shape[1]
    found = []
    for _ in range(RESAMPLES):
        drawn = random.integers(0, count, count)
        ours, columns, errors = taken[drawn], np.arange(count), random.normal(0, off_by, len(good))
        believed, paid = good[:, drawn], cost[:, drawn]
        mix = cheapest_mix(believed.mean(axis=1), paid.mean(axis=1), float(believed[ours, columns].mean()))
        if mix is not None:
            off = mix.share * errors[mix.good] + (1 - mix.share) * errors[mix.cheap]
            found.append(Compared(1 - paid[ours, columns].mean() / mix.cost, errors[ours].mean() - off))
    return found

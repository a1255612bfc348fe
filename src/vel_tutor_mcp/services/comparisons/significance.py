"""Whether paired differences are more than chance: an exact test, and its correction for many pairs. (Pure.)

Imports numpy: load it late.

The sign-flip test (R. A. Fisher, The Design of Experiments, 1935, section 21): if neither of two models were better, a
difference between their ratings on a prompt would as soon have come out the other way round. Of all 2^n ways to choose
signs for what was seen, the p-value is the share whose sum is at least as far from 0. They are counted, not drawn: the
number of ways to each sum follows from adding one difference after the other (M. Pagano and D. Tritchler, On Obtaining
Permutation Distributions in Polynomial Time, JASA 78, 1983). Nothing is assumed of how ratings are distributed, and a
difference of 0 says nothing either way. The correction is S. Holm's (A Simple Sequentially Rejective Multiple Test
Procedure, Scandinavian Journal of Statistics 6, 1979).
"""

from collections.abc import Sequence
from math import ceil, log2

import numpy as np

ALPHA = 0.05
# With fewer differences that are not 0 not even the same sign for all of them has a p-value of at most `ALPHA`.
FEWEST = ceil(1 - log2(ALPHA))


def p_value(differences: Sequence[int]) -> float:
    """Two-sided, for whole numbers of any unit; 1 where all are 0, or there are none."""
    sizes = [abs(difference) for difference in differences if difference]
    whole, seen = sum(sizes), abs(sum(differences))
    share = np.ones(1)  # of the ways in which the positive ones add up to the place in it
    for size in sizes:
        longer = np.zeros(len(share) + size)
        longer[:-size] += share / 2
        longer[size:] += share / 2
        share = longer
    sums = 2 * np.arange(whole + 1) - whole
    return min(1.0, float(share[np.abs(sums) >= seen].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value as it counts among all: by chance alone any is at most `ALPHA` no more often than `ALPHA` says."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = adjusted[place] = min(1.0, max(least, (len(p_values) - rank) * p_values[place]))
    return adjusted

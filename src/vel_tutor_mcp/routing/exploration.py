"""Which candidate goes first where some tasks may serve to learn, and with which probability: Thompson sampling. Pure.

A model that nobody asks is never known. So for a small share of the tasks P(good enough) of each candidate is drawn
from its Beta posterior (`learning`), and the best by what was drawn goes first: the less is known of a model, and the
nearer it is to the best, the more often it is tried (Thompson 1933; Agrawal and Goyal 2012). Who takes over from it
is not drawn: one trial is enough for a task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vel_tutor_mcp.models import Candidate
from vel_tutor_mcp.routing.learning import STRENGTH

if TYPE_CHECKING:
    import numpy as np

# Candidates that are drawn from, the best by what is known: what is far behind is not worth a task.
MOST_DRAWN = 8
# Of all of them at once. Without exploring, the draws only refine a propensity that is at least 1 - share.
DRAWS, DRAWS_TO_EXPLORE = 8, 1024
# Below any utility, and so for what the policy does not hold for good enough.
_NOT_GOOD_ENOUGH = -1e6
# No parameter of a Beta distribution is 0.
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class First:
    """The place of the candidate that goes first, and the probability (0-1) that it was to be that one."""

    place: int
    propensity: float


def drawn_first(
    ranked: Sequence[Candidate], worth: float, floor: float, share: float, chance: "np.random.Generator"
) -> First:
    """Who goes first.

    Args:
        ranked: those that could be asked, the best by what is known first.
        worth: what utility gains where P(good enough) x P(up) goes from 0 to 1.
        floor: of P(good enough), below which a candidate comes after all others.
        share: of the tasks that explore, 0-1.
        chance: every draw is from it.

    The propensity of place a is share x P(a is the best drawn) + (1 - share) x [a is 0], where P is the share of a in
    the draws. One of these is followed where the task explores, so that given the draws this is exact.
    """
    explores = chance.random() < share
    best = _best(ranked[:MOST_DRAWN], worth, floor, DRAWS_TO_EXPLORE if explores else DRAWS, chance)
    place = best[0] if explores else 0
    propensity = share * best.count(place) / len(best) + (1 - share) * (place == 0)
    return First(place, propensity)


def _best(
    ranked: Sequence[Candidate], worth: float, floor: float, count: int, chance: "np.random.Generator"
) -> list[int]:
    """The place of the best candidate by each of `count` draws."""
    import numpy as np

    amounts = [STRENGTH + candidate.evidence for candidate in ranked]
    good = [max(_LEAST, candidate.p_ok * amount) for candidate, amount in zip(ranked, amounts, strict=True)]
    bad = [max(_LEAST, (1 - candidate.p_ok) * amount) for candidate, amount in zip(ranked, amounts, strict=True)]
    chances = chance.beta(good, bad, size=(count, len(ranked)))
    gains = np.array([worth * candidate.p_up for candidate in ranked])
    without = np.array([candidate.utility - worth * candidate.p_up * candidate.p_ok for candidate in ranked])
    utilities = chances * gains + without
    if floor:
        utilities = np.where(chances >= floor, utilities, _NOT_GOOD_ENOUGH + chances)
    places: list[int] = utilities.argmax(axis=1).tolist()
    return places

"""What the ratings of all comparisons come to: of each model, and of each pair of them. (Pure.) Imports numpy.

What is compared is how two models did on the same prompt, in the eyes of the same person. Prompts are what varies, and
so what is counted: however often one was asked and by however many it was rated, it is one difference, the mean.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from statistics import fmean, median
from typing import Any

from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.services.comparisons.significance import ALPHA, FEWEST, holm, p_value
from vel_tutor_mcp.store.comparisons import Showing

TEST = (
    "Exact sign-flip test of paired differences between ratings, two-sided, with Holm's correction over the pairs that "
    f"have at least {FEWEST} prompts whose ratings differ."
)
# Differences are tested in twelfths of a point, in which means of up to four persons are whole. Rounding treats both
# directions alike, so that the test stays exact.
_PARTS = 12
_SMALL = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How two models were rated on the prompts on which somebody rated both.

    `difference` is the mean of a's ratings less b's, in points. `p_adjusted` is None where too few differ to be tested.
    """

    a: str
    b: str
    prompts: int
    differing: int
    difference: float
    p_value: float
    p_adjusted: float | None = None

    @property
    def is_significant(self) -> bool:
        return self.p_adjusted is not None and self.p_adjusted <= ALPHA

    @property
    def verdict(self) -> str:
        on = f"{self.prompts} prompt{'' if self.prompts == 1 else 's'}"
        if self.p_adjusted is None:
            return (
                f"Too few to say: their ratings differ on {self.differing} of {on}, and only from {FEWEST} on can a "
                "difference be told from chance."
            )
        told = f"{abs(self.difference):.2f} points on average over {on} ({_told(self.p_adjusted)})"
        if not self.is_significant:
            return f"No difference shown: {told} may well be chance."
        better, worse = (self.a, self.b) if self.difference > 0 else (self.b, self.a)
        return f"{better} is rated higher than {worse}, by {told}."

    def shown(self) -> dict[str, Any]:
        return {
            "a": self.a,
            "b": self.b,
            "prompts": self.prompts,
            "differing": self.differing,
            "mean_difference": self.difference,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "significant": self.is_significant,
            "verdict": self.verdict,
        }


def shown_standings(showings: Sequence[Showing], *, is_cut: bool) -> dict[str, Any]:
    """The models, the best rated first, and the pairs, the clearest first; `is_cut`: older comparisons are left out."""
    models: defaultdict[str, list[Showing]] = defaultdict(list)
    for showing in showings:
        models[showing.model].append(showing)
    rows = [_shown_model(model, of_model) for model, of_model in models.items()]
    return {
        "models": sorted(rows, key=lambda row: (-(row["mean_rating"] or 0), row["model"])),
        "pairs": [pair.shown() for pair in pairs(showings)],
        "test": TEST,
        "alpha": ALPHA,
        "comparisons": len({showing.comparison for showing in showings}),
        "only_the_newest": is_cut,
    }


def pairs(showings: Sequence[Showing]) -> list[Pair]:
    """Each two models that somebody rated on the same prompt."""
    found = [_pair(a, b, by_prompt) for (a, b), by_prompt in _differences(showings).items()]
    tested = [pair for pair in found if pair.differing >= FEWEST]
    adjusted = holm([pair.p_value for pair in tested])
    done = [replace(pair, p_adjusted=p) for pair, p in zip(tested, adjusted, strict=True)]
    done += [pair for pair in found if pair.differing < FEWEST]
    return sorted(done, key=lambda pair: (pair.p_adjusted is None, pair.p_value, pair.a, pair.b))


def _differences(showings: Sequence[Showing]) -> dict[tuple[str, str], dict[str, list[int]]]:
    """Of each two models by name: for each prompt, by how much each rating of the first is above the second's."""
    comparisons: defaultdict[Hashable, list[Showing]] = defaultdict(list)
    for showing in showings:
        comparisons[showing.comparison].append(showing)
    found: defaultdict[tuple[str, str], dict[str, list[int]]] = defaultdict(dict)
    for compared in comparisons.values():
        for a, b in combinations(sorted(compared, key=lambda showing: showing.model), 2):
            if persons := a.ratings.keys() & b.ratings.keys():
                above = [a.ratings[person] - b.ratings[person] for person in persons]
                found[a.model, b.model].setdefault(a.prompt, []).extend(above)
    return found


def _pair(a: str, b: str, by_prompt: Mapping[str, Sequence[int]]) -> Pair:
    means = [Fraction(sum(above), len(above)) for above in by_prompt.values()]
    tested = [round(_PARTS * mean) for mean in means]
    return Pair(
        a=a,
        b=b,
        prompts=len(means),
        differing=sum(map(bool, tested)),
        difference=float(sum(means) / len(means)),
        p_value=p_value(tested),
    )


def _told(p: float) -> str:
    return f"p < {_SMALL}" if p < _SMALL else f"p = {p:.3f}"


def _shown_model(model: str, showings: Sequence[Showing]) -> dict[str, Any]:
    answers = [showing for showing in showings if showing.answered]
    ratings = [rating for showing in showings for rating in showing.ratings.values()]
    times = [answer.total_ms for answer in answers if answer.total_ms is not None]
    return {
        "model": model,
        "asked": len(showings),
        "answers": len(answers),
        "ratings": len(ratings),
        "mean_rating": fmean(ratings) if ratings else None,
        "mean_cost_usd": fmean(usd(answer.cost_nanousd) for answer in answers) if answers else None,
        "median_ms": round(median(times)) if times else None,
    }

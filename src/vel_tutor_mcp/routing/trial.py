"""How well what can be learned from rows routes rows that were not learned from. Imports numpy: load it late."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vel_tutor_mcp.routing import measures
from vel_tutor_mcp.routing.encoding import encoded
from vel_tutor_mcp.routing.fitting import fitted, fold_of
from vel_tutor_mcp.routing.measures import Interval
from vel_tutor_mcp.routing.training import Table, table_of

Array = np.ndarray

FEWEST_ROWS = 10


@dataclass(frozen=True, slots=True)
class Ranked:
    """A way to rank prompts for the strong model, by `measures.Pair`."""

    name: str
    apgr: Interval
    cpt50: Interval
    cpt80: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Out of fold, with 95 % intervals. Scores are means, 0-1.

    Attributes:
        models: each model's score.
        best: the name of the best single model.
        router: the score of `decide`; `gain`: what it is above the best single model, on the same rows.
        left: the share of rows for which `decide` left the best single model.
        calibration: of each model, the expected calibration error of P.
        weak, strong: the two models that `ranked` is about: the best one, and the most often scored beside it.
    """

    rows: int
    models: Mapping[str, Interval]
    best: str
    router: Interval
    gain: Interval
    left: float
    calibration: Mapping[str, float]
    weak: str | None
    strong: str
    ranked: Sequence[Ranked]


def tried(rows: Iterable[Mapping[str, Any]]) -> Trial:
    """Cross-validates `fit` on the rows, in five folds.

    Raises:
        ValueError: as `training.fit`; or there are fewer than `FEWEST_ROWS`.
    """
    table = table_of(rows)
    if len(table.prompts) < FEWEST_ROWS:
        raise ValueError(f"{len(table.prompts)} rows are too few to say anything; give at least {FEWEST_ROWS}.")
    chances, chosen = _out_of_fold(table)
    known = np.isfinite(table.scores)
    means = np.nanmean(table.scores, axis=0)
    best = int(np.argmax(means))
    # Rows that have no score of what was chosen, or of the best, say nothing of the choice.
    routed = table.scores[np.arange(len(chosen)), chosen]
    both = np.isfinite(routed) & known[:, best]
    weak = _partner(known, best)
    return Trial(
        rows=len(table.prompts),
        models={name: _mean(table.scores[known[:, place], place]) for place, name in enumerate(table.names)},
        best=table.names[best],
        router=_mean(routed[both]),
        gain=_mean((routed - table.scores[:, best])[both]),
        left=float((chosen != best).mean()),
        calibration={
            name: measures.calibration_error(chances[known[:, place], place], table.scores[known[:, place], place])
            for place, name in enumerate(table.names)
        },
        weak=None if weak is None else table.names[weak],
        strong=table.names[best],
        ranked=() if weak is None else _ranked(table, chances, weak, best),
    )


def _out_of_fold(table: Table) -> tuple[Array, Array]:
    """P of each row and model, shape (rows, models), and the place of the model that is chosen, shape (rows,)."""
    chances, chosen = np.zeros(table.scores.shape), np.zeros(len(table.prompts), int)
    folds = fold_of(table.prompts)
    for fold in np.unique(folds):
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = fitted([table.prompts[place] for place in train], table.names, table.scores[train])
        for place in held:
            chances[place] = model.chances(encoded(table.prompts[place]))
            chosen[place] = model.choice(chances[place])
    return chances, chosen


def _mean(values: Array) -> Interval:
    if not len(values):
        return Interval(float("nan"), float("nan"), float("nan"))
    return measures.interval(lambda places: float(values[places].mean()), len(values))


def _partner(known: Array, best: int) -> int | None:
    beside = (known & known[:, [best]]).sum(axis=0)
    beside[best] = 0
    return int(np.argmax(beside)) if beside.any() else None


def _ranked(table: Table, chances: Array, weak: int, strong: int) -> list[Ranked]:
    both = np.flatnonzero(np.isfinite(table.scores[:, [weak, strong]]).all(axis=1))
    low, high = table.scores[both, weak], table.scores[both, strong]
    rankings = measures.baselines([table.prompts[place] for place in both])
    rankings["learned"] = (chances[:, strong] - chances[:, weak])[both]
    return [_judged(name, ranking, low, high) for name, ranking in rankings.items()]


def _judged(name: str, ranking: Array, weak: Array, strong: Array) -> Ranked:
    def judged(measure: str) -> Interval:
        def of(places: Array) -> float:
            return float(getattr(measures.pair(ranking[places], weak[places], strong[places]), measure))

        return measures.interval(of, len(ranking))

    return Ranked(name, judged("apgr"), judged("cpt50"), judged("cpt80"))

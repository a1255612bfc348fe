"""Fits a `learned.Model` to scores. Imports numpy: load it late.

With z the scores less each model's mean: the level of a row is the mean of its z, the deviation of a model what its z
is above that. Each is a ridge regression, so the difference of two models is one too, with a strength of its own: it
is that difference which decides, and it is learned best directly.
"""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from vel_tutor_mcp.routing.design import STEPS, Design, Prompts, Scales, ridge
from vel_tutor_mcp.routing.encoding import encoded
from vel_tutor_mcp.routing.learned import LEAST, MOST, Model, bent, within
from vel_tutor_mcp.routing.ngrams import BUCKETS

Array = np.ndarray

FOLDS = 5
# Fewer rows say nothing of prompts: each model's mean is all there is then.
FEWEST_ROWS = 20
STRENGTH = 20.0
SLOPE_SPREAD = 0.3
MARGINS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
_STRAIGHT = np.array([1.0, 0.0, 0.0, -np.inf, np.inf])
# A model that is never left: no P differs by as much.
NEVER = 1.0


def fitted(prompts: Sequence[str], names: tuple[str, ...], scores: Array) -> Model:
    """The model of these scores, shape (rows, models), 0-1, NaN where a row has none of a model.

    Calibration and margin are chosen out of fold. The same rows in the same order give the same model.
    """
    known = np.isfinite(scores)
    means = np.nansum(scores, axis=0) / known.sum(axis=0)
    rows = Prompts.of([encoded(prompt) for prompt in prompts])
    if len(prompts) < FEWEST_ROWS:
        nothing = np.zeros((BUCKETS + rows.traits.shape[1] * STEPS, 1 + len(names)))
        return _model(names, means, rows, nothing, _STRAIGHT, NEVER)
    folds = fold_of(prompts)
    above = np.where(known, scores - means, 0.0)
    levels = above.sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
    level, level_weights = _heads(rows, levels, known.any(axis=1, keepdims=True), folds)
    curve = _curve(level[:, 0], levels[:, 0])
    level = bent(level, curve)
    targets = _deviations(above, known, level)
    deviations, weights = _heads(rows, targets, known, folds)
    slopes = _slopes(deviations, targets, known)
    margin = _margin(within(means + level + deviations * slopes), scores, int(np.argmax(means)))
    return _model(names, means, rows, np.hstack([level_weights, weights * slopes]), curve, margin)


def fold_of(prompts: Sequence[str]) -> Array:
    """The fold of each row. Equal prompts share one, and it does not depend on the order of rows."""
    distinct = sorted(set(prompts), key=lambda prompt: (zlib.crc32(prompt.encode(errors="replace")), prompt))
    place = {prompt: number % FOLDS for number, prompt in enumerate(distinct)}
    return np.array([place[prompt] for prompt in prompts])


def _deviations(above: Array, known: Array, level: Array) -> Array:
    """Of rows with one score, the level is not seen but expected."""
    several = known.sum(axis=1, keepdims=True) > 1
    seen = above.sum(axis=1, keepdims=True) / np.maximum(1, known.sum(axis=1, keepdims=True))
    return np.where(known, above - np.where(several, seen, level), 0.0)


def _heads(rows: Prompts, targets: Array, known: Array, folds: Array) -> tuple[Array, Array]:
    """What is expected of each row out of fold, shape (rows, heads), and the weights, shape (heads, width)."""
    expected = np.zeros_like(targets)
    for train, held in _splits(folds):
        scales = Scales.of(rows.take(train))
        weights = _weights(Design(rows.take(train), scales), targets[train], known[train])
        expected[held] = Design(rows.take(held), scales).times(weights)
    return expected, _weights(Design(rows, Scales.of(rows)), targets, known)


def _weights(design: Design, targets: Array, known: Array) -> Array:
    """Shape (width, heads)."""
    heads = [ridge(design, target, there, STRENGTH) for target, there in zip(targets.T, known.T, strict=True)]
    return np.stack(heads, axis=1)


def _slopes(expected: Array, targets: Array, known: Array) -> Array:
    """By how much to multiply what is expected of each head, from what came of it: a Bayesian regression, in which the
    slope is 1 give or take `SLOPE_SPREAD` before anything is seen.
    """
    products, squares = (expected * targets * known).sum(axis=0), (expected**2 * known).sum(axis=0)
    noise = ((targets - expected) ** 2 * known).sum(axis=0) / known.sum(axis=0)
    # Above 0, for a head of which nothing at all is expected.
    prior = noise / SLOPE_SPREAD**2 + 1e-12
    slopes: Array = np.clip((products + prior) / (squares + prior), 0, None)
    return slopes


def _curve(expected: Array, levels: Array) -> Array:
    """`Model.curve`, from what came of the levels: as `_slopes`, with the square as a second feature of slope 0."""
    spread = expected.std() + 1e-9
    square = (expected**2 - (expected**2).mean()) / spread
    features = np.stack([expected, square], axis=1)
    noise = ((levels - expected) ** 2).mean() / SLOPE_SPREAD**2 + 1e-12
    slope, bend = np.linalg.solve(features.T @ features + noise * np.eye(2), features.T @ levels + [noise, 0])
    slope, bend = max(0.0, slope), bend / spread
    turn = -slope / (2 * bend) if bend else 0.0
    lowest, highest = (-np.inf, turn) if bend < 0 else (turn, np.inf) if bend > 0 else (-np.inf, np.inf)
    return np.array([slope, bend, -bend * (expected**2).mean(), lowest, highest])


def _splits(folds: Array) -> Iterator[tuple[Array, Array]]:
    for fold in np.unique(folds):
        train, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if len(train):
            yield train, held


def _margin(expected: Array, scores: Array, default: int) -> float:
    """The margin with which leaving the best single model gained most, in the mean less a standard error."""
    best = expected.argmax(axis=1)
    lead = expected.max(axis=1) - expected[:, default]
    gain = scores[np.arange(len(scores)), best] - scores[:, default]
    seen = np.isfinite(gain)
    lead, gain = lead[seen], gain[seen]
    margin, most = NEVER, 0.0
    for tried in MARGINS:
        gains = np.where(lead > tried, gain, 0.0)
        sure = gains.mean() - gains.std() / np.sqrt(len(gains)) if len(gains) else 0.0
        if sure > most:
            margin, most = tried, float(sure)
    return margin


def _model(names: tuple[str, ...], means: Array, rows: Prompts, weights: Array, curve: Array, margin: float) -> Model:
    scales = Scales.of(rows)
    heads = 1 + len(names)
    shape = (heads, *scales.steps.shape)
    gains = weights[BUCKETS:].T.reshape(shape) / scales.spreads
    table = np.zeros((heads, len(scales.steps), STEPS + 1))
    table[:, :, 1:] = gains.cumsum(axis=2)
    table -= (gains * scales.shares).sum(axis=2, keepdims=True)
    return Model(
        names=names,
        means=np.clip(means, LEAST, MOST),
        grams=np.column_stack([weights[:BUCKETS] * scales.rarity[:, None], scales.rarity**2]).astype(np.float32),
        steps=scales.steps,
        table=np.ascontiguousarray(table.transpose(1, 2, 0), np.float32),
        curve=curve.astype(np.float32),
        default=int(np.argmax(means)),
        margin=margin,
    )

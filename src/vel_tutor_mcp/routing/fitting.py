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
from vel_tutor_mcp.routing.learned import LEAST, MOST, Model, within
from vel_tutor_mcp.routing.ngrams import BUCKETS

Array = np.ndarray

FOLDS = 5
# Fewer rows say nothing of prompts: each model's mean is all there is then.
FEWEST_ROWS = 20
STRENGTHS = (3.0, 10.0, 30.0, 100.0)
MOST_SLOPE = 1.3
MARGINS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
# A model that is never left: no P differs by as much.
NEVER = 1.0


def fitted(prompts: Sequence[str], names: tuple[str, ...], scores: Array) -> Model:
    """The model of these scores, shape (rows, models), 0-1, NaN where a row has none of a model.

    Strengths, calibration and margin are chosen out of fold. The same rows in the same order give the same model.
    """
    known = np.isfinite(scores)
    means = np.nansum(scores, axis=0) / known.sum(axis=0)
    rows = Prompts.of([encoded(prompt) for prompt in prompts])
    if len(prompts) < FEWEST_ROWS:
        return _model(names, means, rows, np.zeros((1 + len(names), 0)), NEVER)
    folds = _folds(prompts)
    above = np.where(known, scores - means, 0.0)
    level, level_weights = _heads(
        rows, (above.sum(axis=1) / known.sum(axis=1))[:, None], known.any(axis=1)[:, None], folds
    )
    deviations, weights = _heads(rows, _deviations(above, known, level), known, folds)
    expected = within(means + level + deviations)
    margin = _margin(expected, scores, int(np.argmax(means)))
    return _model(names, means, rows, np.concatenate([level_weights, weights]), margin)


def _folds(prompts: Sequence[str]) -> Array:
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
    tried = np.zeros((len(STRENGTHS), *targets.shape))
    for train, held in _splits(folds):
        scales = Scales.of(rows.take(train))
        design, unseen = Design(rows.take(train), scales), Design(rows.take(held), scales)
        for place, strength in enumerate(STRENGTHS):
            for head in range(targets.shape[1]):
                weights = ridge(design, targets[train, head], known[train, head], strength)
                tried[place, held, head] = unseen.times(weights)
    products, squares = (tried * targets * known).sum(axis=1), (tried**2 * known).sum(axis=1)
    explained = np.maximum(0, products) ** 2 / np.maximum(squares, 1e-12)
    best = int(np.argmax(explained.sum(axis=1)))
    slopes = np.clip(products[best] / np.maximum(squares[best], 1e-12), 0, MOST_SLOPE)
    design = Design(rows, Scales.of(rows))
    weights = [
        slope * ridge(design, target, there, STRENGTHS[best])
        for slope, target, there in zip(slopes, targets.T, known.T, strict=True)
    ]
    return tried[best] * slopes, np.array(weights)


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


def _model(names: tuple[str, ...], means: Array, rows: Prompts, weights: Array, margin: float) -> Model:
    scales = Scales.of(rows)
    heads = 1 + len(names)
    if not weights.size:
        weights = np.zeros((heads, BUCKETS + scales.steps.size))
    shape = (heads, *scales.steps.shape)
    gains = weights[:, BUCKETS:].reshape(shape) / scales.spreads
    table = np.zeros((heads, len(scales.steps), STEPS + 1))
    table[:, :, 1:] = gains.cumsum(axis=2)
    table -= (gains * scales.shares).sum(axis=2, keepdims=True)
    return Model(
        names=names,
        means=np.clip(means, LEAST, MOST),
        rarity=scales.rarity.astype(np.float32),
        grams=np.ascontiguousarray(weights[:, :BUCKETS].T, np.float32),
        steps=scales.steps.astype(np.float32),
        table=np.ascontiguousarray(table.transpose(1, 2, 0), np.float32),
        default=int(np.argmax(means)),
        margin=margin,
    )

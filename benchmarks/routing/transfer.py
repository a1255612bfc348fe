"""What comes true where nothing was learned: `python -m routing.transfer --data FOLDER [--splits N]` in benchmarks/.

The folder is that of `quality.py`. From 7 of 8 parts of MMLU's subjects the gap between a weak and a strong model is
learned, and expected for the prompts of the others. Printed is, for each way of parting the subjects, how much of the
expected gap came true: the slope of a line of least squares with its standard error, over all prompts, and within each
subject alone. Then how MMLU ranks GSM8K.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from routing.quality import FILES, STRONG, WEAK, Rows, data

from vel_tutor_mcp.routing import measures
from vel_tutor_mcp.routing.training import fit, predict

PARTS = 8

Array = np.ndarray


def gap(outcomes: Sequence[dict[str, float]]) -> Array:
    return np.array([row[STRONG] - row[WEAK] for row in outcomes])


def expected(train: Rows, held: Rows) -> Array:
    return gap(predict(fit(train), [row["prompt"] for row in held]))


def left_out(rows: Rows, subjects: Array, seed: int) -> Array:
    """The gap expected of each row by what was learned from other subjects."""
    names = np.random.default_rng(seed).permutation(np.unique(subjects))
    found = np.zeros(len(rows))
    for part in range(PARTS):
        held = np.isin(subjects, names[part::PARTS])
        train = [row for row, out in zip(rows, held, strict=True) if not out]
        found[held] = expected(train, [row for row, out in zip(rows, held, strict=True) if out])
    return found


def slope(expected: Array, real: Array) -> str:
    x, y = expected - expected.mean(), real - real.mean()
    squares = float(x @ x)
    came_true = float(x @ y) / squares
    rest = y - came_true * x
    error = np.sqrt(float(rest @ rest) / (len(x) - 2) / squares)
    return f"{came_true:5.2f} +- {error:.2f}"


def within(values: Array, subjects: Array) -> Array:
    """Each value less its subject's mean."""
    centred = values.copy()
    for name in np.unique(subjects):
        centred[subjects == name] -= values[subjects == name].mean()
    return centred


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=4)
    given = parser.parse_args()
    mmlu, gsm8k = (data(given.data, name) for name in FILES)
    subjects, real = np.array([row["source"] for row in mmlu]), gap([row["outcomes"] for row in mmlu])
    for seed in range(given.splits):
        found = left_out(mmlu, subjects, seed)
        inside = slope(within(found, subjects), within(real, subjects))
        print(f"MMLU, split {seed}: came true of subjects left out {slope(found, real)}; within a subject {inside}")
    weak, strong = (np.array([row["outcomes"][name] for row in gsm8k]) for name in (WEAK, STRONG))
    print(f"MMLU ranks GSM8K: APGR {measures.pair(expected(mmlu, gsm8k), weak, strong).apgr:.3f}")


if __name__ == "__main__":
    main()

"""Trains the weights of the task type: `python benchmarks/routing/train_task_types.py [--out FILE | --folds]`.

A multinomial logistic regression over the rows of `routing.task_types`, from prompts/train.jsonl alone; the same
prompts give the same weights. Rows that fewer than `FEWEST` prompts have stay zero. One temperature is
chosen out of fold, each fold being an author whom the others have not seen, and is part of the weights. `--folds`
writes nothing: it scores each author by weights that come from the others.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vel_tutor_mcp.routing import task_types, weights_file
from vel_tutor_mcp.routing.signals import signals_in
from vel_tutor_mcp.routing.task_scores import CODE, HEADING, Labelled, Told, line, read_labelled, scored

PROMPTS = Path(__file__).with_name("prompts")
SHIPPED = Path(task_types.__file__).with_name("weights") / task_types.FILE

FEWEST = 3
# Code that is taken for something else goes to a model that cannot write it.
WEIGHT_OF_CODE = 1.5
PENALTY = 0.5
ROUNDS = 400
TEMPERATURES = tuple(step / 20 for step in range(10, 41))
# The rules were written for these prompts: however new to the table, they flatter.
FAMILIAR = "rules"
LARGEST = 127

Array = np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where to write them")
    parser.add_argument("--folds", action="store_true", help="score author by author instead")
    asked = parser.parse_args()
    prompts = read_labelled(PROMPTS / "train.jsonl")
    if asked.folds:
        print_folds(prompts)
    else:
        write(asked.out, trained(prompts))


def print_folds(prompts: Sequence[Labelled]) -> None:
    print(HEADING)
    for inside, outside in author_folds(prompts):
        model = task_types.Learned(trained([prompts[i] for i in inside]).astype(np.float32))
        print(line(f"by {prompts[outside[0]].author}", scored([prompts[i] for i in outside], teller(model))))


def teller(model: task_types.Learned) -> Callable[[str], Told]:
    def tell(prompt: str) -> Told:
        guess = model.guess(signals_in(prompt))
        return guess.task_type, guess.confidence

    return tell


def trained(prompts: Sequence[Labelled]) -> Array:
    """The calibrated table."""
    numbers = [task_types.rows(signals_in(row.prompt)) for row in prompts]
    return fitted(prompts, numbers) / best_temperature(prompts, numbers)


def fitted(prompts: Sequence[Labelled], numbers: Sequence[Sequence[int]]) -> Array:
    """The table, shape (ROWS, types), of the least cross-entropy with a ridge, by Nesterov's accelerated descent."""
    counts = Counter(number for row in numbers for number in row)
    used = sorted(number for number, count in counts.items() if count >= FEWEST)
    seen = np.isin(np.arange(task_types.ROWS), used)
    present = np.zeros((len(prompts), task_types.ROWS), bool)
    for place, row in enumerate(numbers):
        present[place, row] = True
    inputs = present[:, seen].astype(np.float64)
    table = np.zeros((task_types.ROWS, len(task_types.KINDS)))
    table[seen] = _descended(inputs, _targets(prompts), _importance(prompts))
    return table


def best_temperature(prompts: Sequence[Labelled], numbers: Sequence[Sequence[int]]) -> float:
    """That of the least cross-entropy on authors whom neither table nor rules have seen."""
    targets, scores = _targets(prompts), np.zeros((len(prompts), len(task_types.KINDS)))
    for inside, outside in author_folds(prompts, but=FAMILIAR):
        table = fitted([prompts[i] for i in inside], [numbers[i] for i in inside])
        scores[outside] = [table[numbers[i]].sum(axis=0) for i in outside]
    new = np.array([row.author != FAMILIAR for row in prompts])
    losses = [-(targets * np.log(_softmax(scores / t) + 1e-12))[new].sum() for t in TEMPERATURES]
    return TEMPERATURES[int(np.argmin(losses))]


def author_folds(prompts: Sequence[Labelled], but: str = "") -> list[tuple[list[int], list[int]]]:
    """For each author (`but` one) the places of the others' prompts, and of theirs."""
    authors = sorted({row.author for row in prompts} - {but})
    places = range(len(prompts))
    return [
        ([i for i in places if prompts[i].author != author], [i for i in places if prompts[i].author == author])
        for author in authors
    ]


def write(file: Path, table: Array) -> None:
    """A row of the table is its int8 times the one scale."""
    scale = np.abs(table).max() / LARGEST
    small = np.rint(table / scale).astype(np.int8)
    rows = np.flatnonzero(small.any(axis=1)).astype(np.int32)
    arrays = {"rows": rows, "weights": small[rows], "scale": np.array(scale, np.float32)}
    weights_file.save(file, task_types.FILE_KIND, task_types.FILE_VERSION, {"names": task_types.names()}, arrays)


def _descended(inputs: Array, targets: Array, importance: Array) -> Array:
    # The curvature of the loss is at most half the largest eigenvalue of the inputs' second moments (Boehning 1992).
    curvature = 0.5 * importance.max() * np.linalg.norm(inputs, 2) ** 2 + PENALTY
    table = ahead = np.zeros((inputs.shape[1], targets.shape[1]))
    momentum = 1.0
    for _ in range(ROUNDS):
        errors = (_softmax(inputs @ ahead) - targets) * importance
        following = ahead - (inputs.T @ errors + PENALTY * ahead) / curvature
        later = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = following + (momentum - 1) / later * (following - table)
        table, momentum = following, later
    return table


def _softmax(scores: Array) -> Array:
    exponents: Array = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Array = exponents / exponents.sum(axis=1, keepdims=True)
    return shares


def _targets(prompts: Sequence[Labelled]) -> Array:
    return np.eye(len(task_types.KINDS))[[task_types.KINDS.index(row.task_type) for row in prompts]]


def _importance(prompts: Sequence[Labelled]) -> Array:
    return np.array([[WEIGHT_OF_CODE if row.task_type in CODE else 1.0] for row in prompts])


if __name__ == "__main__":
    main()

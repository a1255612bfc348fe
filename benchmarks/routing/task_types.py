"""How well task types are told: `python benchmarks/routing/task_types.py [FILE ...]`, of labelled prompts.

Each file (prompts/test.jsonl where none is given) is scored with the shipped weights, beside the rules alone and always
the commonest type. `--folds` scores the training prompts instead, each author by weights that the others' prompts give.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from train_task_types import PROMPTS, author_folds, trained

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing import task_types
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.signals import signals_in
from vel_tutor_mcp.routing.task_scores import Labelled, Scores, Told, read_labelled, scored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, default=[PROMPTS / "test.jsonl"], metavar="FILE")
    parser.add_argument("--folds", action="store_true", help="score the training prompts, author by author")
    asked = parser.parse_args()
    print(f"{'prompts':34} {'n':>5} {'right':>6} {'F1':>6} {'code':>6} {'ECE':>6}  recall of {', '.join(TaskType)}")
    if asked.folds:
        _print_folds(read_labelled(PROMPTS / "train.jsonl"))
        return
    for file in asked.files:
        _print_all(file.name, read_labelled(file), _shipped)


def _print_folds(prompts: Sequence[Labelled]) -> None:
    for inside, outside in author_folds(prompts):
        model = task_types.Learned(trained([prompts[i] for i in inside]))
        rows = [prompts[i] for i in outside]
        _print_all(f"by {rows[0].author}", rows, lambda prompt, model=model: _told(model.guess(signals_in(prompt))))


def _print_all(name: str, rows: Sequence[Labelled], learned: Callable[[str], Told]) -> None:
    most = Counter(row.task_type for row in rows).most_common(1)[0]
    _print(f"{name}: learned", scored(rows, learned))
    _print(f"{name}: rules alone", scored(rows, _by_rules))
    _print(f"{name}: always {most[0]}", scored(rows, lambda _: (most[0], most[1] / len(rows))))


def _print(name: str, scores: Scores) -> None:
    overall = (scores.accuracy, scores.macro_f1, scores.code_recall, scores.ece)
    recalls = " ".join(f"{scores.recalls[kind]:.2f}" if kind in scores.recalls else "  - " for kind in TaskType)
    print(f"{name:34} {scores.count:5} {' '.join(f'{value:6.3f}' for value in overall)}  {recalls}")


def _shipped(prompt: str) -> Told:
    seen = features(prompt)
    return seen.task_type, seen.confidence


def _by_rules(prompt: str) -> Told:
    return _told(task_types.by_rules(signals_in(prompt)))


def _told(guess: task_types.Guess) -> Told:
    return guess.task_type, guess.confidence


if __name__ == "__main__":
    main()

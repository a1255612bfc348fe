"""How well task types are told, on prompts whose type is known. Pure but for reading the file of prompts."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vel_tutor_mcp.models import TaskType

CODE = frozenset({TaskType.CODE_GENERATION, TaskType.CODE_DEBUG})
BINS = 10

Told = tuple[TaskType, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A prompt with its task type; `author` wrote it."""

    prompt: str
    task_type: TaskType
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All 0-1. `macro_f1`: the mean F1 of the types that occur; `recalls` of each of them; `code_recall`: the share of
    prompts about code that are told to be about code, of either type; `ece`: the expected calibration error.
    """

    count: int
    accuracy: float
    macro_f1: float
    recalls: Mapping[TaskType, float]
    code_recall: float
    ece: float


def read_labelled(path: Path) -> list[Labelled]:
    """JSON Lines with `prompt`, `task_type` and perhaps `author`.

    Raises:
        ValueError: a row is not such a row.
    """
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        Labelled(prompt=row["prompt"], task_type=TaskType(row["task_type"]), author=row.get("author", ""))
        for row in rows
    ]


def scored(rows: Sequence[Labelled], tell: Callable[[str], Told]) -> Scores:
    """How well `tell`, which gives a type and its confidence, does on at least one row."""
    told = [tell(row.prompt) for row in rows]
    pairs = [(row.task_type, guess) for row, (guess, _) in zip(rows, told, strict=True)]
    right = [true is guess for true, guess in pairs]
    types = [kind for kind in TaskType if any(true is kind for true, _ in pairs)]
    of_code = [guess in CODE for true, guess in pairs if true in CODE]
    return Scores(
        count=len(rows),
        accuracy=sum(right) / len(right),
        macro_f1=sum(_f1(pairs, kind) for kind in types) / len(types),
        recalls={kind: _recall(pairs, kind) for kind in types},
        code_recall=sum(of_code) / max(1, len(of_code)),
        ece=_calibration_error([confidence for _, confidence in told], right),
    )


HEADING = f"{'prompts':34} {'n':>5} {'right':>6} {'F1':>6} {'code':>6} {'ECE':>6}  recall of {', '.join(TaskType)}"


def line(name: str, scores: Scores) -> str:
    """A line of the table under `HEADING`."""
    overall = (scores.accuracy, scores.macro_f1, scores.code_recall, scores.ece)
    recalls = (f"{scores.recalls[kind]:.2f}" if kind in scores.recalls else "   -" for kind in TaskType)
    return f"{name:34} {scores.count:5} {' '.join(f'{value:6.3f}' for value in overall)}  {' '.join(recalls)}"


def _recall(pairs: Sequence[tuple[TaskType, TaskType]], kind: TaskType) -> float:
    guesses = [guess for true, guess in pairs if true is kind]
    return guesses.count(kind) / len(guesses)


def _f1(pairs: Sequence[tuple[TaskType, TaskType]], kind: TaskType) -> float:
    """2 TP / (2 TP + FP + FN)."""
    hits = sum(true is kind and guess is kind for true, guess in pairs)
    return 2 * hits / sum((true is kind) + (guess is kind) for true, guess in pairs)


def _calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The mean of |confidence - share right| over `BINS` of equal width, each by its rows (Guo et al. 2017)."""
    error = 0.0
    for place in range(BINS):
        inside = [i for i, sure in enumerate(confidences) if min(BINS - 1, int(sure * BINS)) == place]
        error += abs(sum(confidences[i] - right[i] for i in inside))
    return error / len(confidences)

"""The task type of a prompt: learned where there are weights, else by rules. Pure but for reading the weights once.

Learned: a multinomial logistic regression over words and pairs of words (hashed, `ngrams`), over the signals and shapes
of `signals`, which carry from one language to another, and over a few counts. Each is there or not, so a guess is a sum
of rows of a table. Trained by `benchmarks/routing/train_task_types.py`.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.lexicon import COMBINATIONS, LEADS, OBJECTS, WEIGHTS, WORDS
from vel_tutor_mcp.routing.ngrams import BUCKETS, buckets
from vel_tutor_mcp.routing.signals import SHAPES, Signals

if TYPE_CHECKING:
    import numpy as np

FILE = "task_types.npz"
FILE_KIND, FILE_VERSION, FILE_ARRAYS = "vel-tutor-mcp task types", 1, ("rows", "weights", "scale")
KINDS = tuple(TaskType)

# Below these the prompt says too little: general. The rules are less sure where they are right.
CONFIDENT_LEARNED, CONFIDENT_BY_RULES = 0.3, 0.4

# No guess is certain.
MOST_CONFIDENCE = 0.999

LEAD_WEIGHT = 2.0
BESIDE_MADE_WEIGHT = 0.5
GENERAL_WEIGHT = 1.2

# Of a longer prompt only so many tokens at each end are looked at one by one.
FIRST_TOKENS, LAST_TOKENS = 40, 20
_BEGIN, _END = "\x02", "\x03"
_LENGTHS = (8, 16, 32, 64, 128, 256)
_LINES = (1, 3, 8)

NAMES = (
    "always",
    *(f"{signal} in the request" for signal in (*WORDS, *SHAPES)),
    *(f"{signal} in the material" for signal in WORDS),
    *(f"led by {kind}" for kind in dict.fromkeys((*LEADS.values(), *OBJECTS.values()))),
    *(f"to make {kind}" for kind in dict.fromkeys(OBJECTS.values())),
    *(f"length {step}" for step in range(len(_LENGTHS) + 1)),
    *(f"line breaks {step}" for step in range(len(_LINES) + 1)),
    "ends in a question mark",
    "a question mark before the end",
)
ROWS = BUCKETS + len(NAMES)
_ROW = {name: BUCKETS + place for place, name in enumerate(NAMES)}
_IN_REQUEST = {signal: _ROW[f"{signal} in the request"] for signal in (*WORDS, *SHAPES)}
_IN_MATERIAL = {signal: _ROW[f"{signal} in the material"] for signal in WORDS}
_LED = {kind: _ROW[f"led by {kind}"] for kind in (*LEADS.values(), *OBJECTS.values())}
_TO_MAKE = {kind: _ROW[f"to make {kind}"] for kind in OBJECTS.values()}
_LENGTH_ROW, _LINES_ROW = _ROW["length 0"], _ROW["line breaks 0"]
_ENDS_ASKING, _ASKS_BEFORE = _ROW["ends in a question mark"], _ROW["a question mark before the end"]
_MOST_ROWS = 2 * (FIRST_TOKENS + LAST_TOKENS + 2) + len(NAMES)
TOLD = 2


class Guess(NamedTuple):
    """A task type, the probability (0-1) that it is that one, and the signals that say so most, at most `TOLD`."""

    task_type: TaskType
    confidence: float
    signals: tuple[str, ...]


def by_rules(signals: Signals) -> Guess:
    kind, confidence = _likeliest(list(_scores(signals).values()), 1.0, CONFIDENT_BY_RULES)
    says = {signal: dict(WEIGHTS.get(signal, ())).get(kind, 0.0) for signal in signals.weights}
    return Guess(kind, confidence, _most_telling(says))


class Learned:
    """The learned table times its scale: a row for each bucket and each name, a column for each of `KINDS`.

    Where the table is of whole numbers, as in a file, its sums are exact in whatever order the rows are added.
    """

    def __init__(self, table: "np.ndarray", scale: float = 1.0) -> None:
        self._table, self._scale = table, scale
        # To add rows up as a product, which numpy does in half the time of a sum.
        self._ones = table.dtype.type(1).repeat(_MOST_ROWS)
        told = {signal: table[row].tolist() for signal, row in _IN_REQUEST.items()}
        self._told = {kind: {signal: row[place] for signal, row in told.items()} for place, kind in enumerate(KINDS)}

    def guess(self, signals: Signals) -> Guess:
        taken = self._table.take(rows(signals), axis=0)
        scores = self._ones[: len(taken)].dot(taken).tolist()
        kind, confidence = _likeliest(scores, self._scale, CONFIDENT_LEARNED)
        told = self._told[kind]
        says = {signal: told[signal] for signal, weight in signals.weights.items() if weight == 1}
        return Guess(kind, confidence, _most_telling(says))


@cache
def shipped() -> Learned | None:
    """What comes with the package; None where its file cannot be used, said in the log."""
    from vel_tutor_mcp.routing.weights_file import usable

    with as_file(files(__package__) / "weights" / FILE) as path:
        return usable(load, path, "the rules tell task types")


def load(path: Path) -> Learned:
    """From a file's `rows` (numbers of those that are not zero), their int8 `weights` times `scale`, and the `names`
    that it was trained with.

    Raises:
        ValueError, OSError: see `weights_file.load`; a ValueError too where the names are not ours.
    """
    import numpy as np

    from vel_tutor_mcp.routing import weights_file

    about, arrays = weights_file.load(path, FILE_KIND, FILE_VERSION, FILE_ARRAYS)
    if about.get("names") != names():
        raise ValueError("it is for other signals than this program has")
    table = np.zeros((ROWS, len(KINDS)), np.float32)
    table[arrays["rows"]] = arrays["weights"]
    return Learned(table, float(arrays["scale"]))


def names() -> list[str]:
    """What a file of weights keeps of `NAMES` and `KINDS`, so that another version's is not taken for ours."""
    return [*NAMES, *KINDS]


def rows(signals: Signals) -> list[int]:
    """The numbers of the rows that a prompt adds up, each once."""
    words = signals.tokens
    if len(words) > FIRST_TOKENS + LAST_TOKENS:
        words = [*words[:FIRST_TOKENS], *words[-LAST_TOKENS:]]
    return [*buckets([_BEGIN, *words, _END]), *_named(signals)]


def _named(signals: Signals) -> list[int]:
    found = [_IN_REQUEST[signal] if weight == 1 else _IN_MATERIAL[signal] for signal, weight in signals.weights.items()]
    found += (
        BUCKETS,
        _LENGTH_ROW + bisect_right(_LENGTHS, len(signals.tokens)),
        _LINES_ROW + bisect_right(_LINES, signals.line_breaks),
    )
    if signals.lead:
        found.append(_LED[signals.lead])
        if signals.made:
            found.append(_TO_MAKE[signals.lead])
    if signals.asks:
        found.append(_ENDS_ASKING if signals.tokens[-1] == "?" else _ASKS_BEFORE)
    return found


def _likeliest(scores: Sequence[float], scale: float, confident: float) -> tuple[TaskType, float]:
    """The type of the highest score and its share of all the scores' exponentials."""
    most = max(scores)
    chance = 1 / sum([math.exp((score - most) * scale) for score in scores])  # noqa: C419 - faster
    kind = KINDS[scores.index(most)] if chance >= confident else TaskType.GENERAL
    return kind, min(MOST_CONFIDENCE, round(chance, 3))


def _most_telling(says: Mapping[str, float]) -> tuple[str, ...]:
    telling = [signal for signal, weight in says.items() if weight > 0]
    return tuple(sorted(telling, key=says.__getitem__, reverse=True)[:TOLD])


def _scores(signals: Signals) -> dict[TaskType, float]:
    scores = dict.fromkeys(KINDS, 0.0)
    scores[TaskType.GENERAL] = GENERAL_WEIGHT
    for signal, share in signals.weights.items():
        for task_type, weight in WEIGHTS.get(signal, ()):
            scores[task_type] += weight * share
    for together, task_type, weight, without in COMBINATIONS:
        if together <= signals.weights.keys() and not without & signals.weights.keys():
            scores[task_type] += weight * min(signals.weights[signal] for signal in together)
    if signals.made:
        for task_type in KINDS:
            scores[task_type] *= 1 if task_type == signals.lead else BESIDE_MADE_WEIGHT
    if signals.lead:
        scores[signals.lead] += LEAD_WEIGHT
    return scores

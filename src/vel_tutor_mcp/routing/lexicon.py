"""What is known of words: which signal something (`lexicon.toml`), and what the signals weigh for the rules.

The weights are set by hand; they serve where the learned ones (`task_types`) are not wanted or not usable.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from vel_tutor_mcp.models import TaskType

WORDS: dict[str, str] = tomllib.loads(files(__package__).joinpath("lexicon.toml").read_text("utf-8"))


def _index() -> dict[str, tuple[str, ...]]:
    index: dict[str, tuple[str, ...]] = {}
    for signal, words in WORDS.items():
        for word in words.split():
            index[word] = (*index.get(word, ()), signal)
    return index


class Known(NamedTuple):
    """The signals of a word alone, and of it before another one."""

    alone: tuple[str, ...]
    before: Mapping[str, tuple[str, ...]]


def _known() -> dict[str, Known]:
    known: dict[str, Known] = {}
    for phrase, signals in _index().items():
        first, _, second = phrase.partition("-")
        alone, before = known.get(first, ((), {}))
        known[first] = Known(alone, {**before, second: signals}) if second else Known(signals, before)
    return known


KNOWN = _known()


class Combination(NamedTuple):
    """Signals that mean more together than alone."""

    together: frozenset[str]
    task_type: TaskType
    weight: float
    without: frozenset[str] = frozenset()


_ALONE: dict[TaskType, dict[str, float]] = {
    TaskType.REASONING: {"solve": 2.5, "weigh": 2.0, "expert": 2.2, "why": 0.5, "equation": 2.5, "quantities": 3.0},
    TaskType.CODE_GENERATION: {"code": 1.2, "language": 1.8, "make": 0.5, "code_block": 1.0},
    TaskType.CODE_DEBUG: {
        "fix": 1.5,
        "fault": 1.5,
        "error": 0.5,
        "why": 0.5,
        "code": 0.5,
        "language": 0.5,
        "code_block": 1.0,
        "trace": 4.0,
    },
    TaskType.SUMMARIZATION: {"summarize": 3.0, "material": 0.3},
    TaskType.EXTRACTION: {"extract": 2.5, "structured": 0.7, "material": 0.5},
    TaskType.TRANSLATION: {"translate": 3.0, "into_language": 1.6, "tongue": 0.8},
    TaskType.CREATIVE: {"creative": 2.0, "make": 0.5},
    TaskType.RESEARCH: {"research": 2.2, "now": 1.6},
    TaskType.GENERAL: {"ask": 1.0, "explain": 2.0, "reword": 1.0},
}
WEIGHTS: dict[str, list[tuple[TaskType, float]]] = {}
for _task_type, _weights in _ALONE.items():
    for _signal, _weight in _weights.items():
        WEIGHTS.setdefault(_signal, []).append((_task_type, _weight))

COMBINATIONS = (
    Combination(frozenset({"fault", "code"}), TaskType.CODE_DEBUG, 2.5),
    Combination(frozenset({"fault", "language"}), TaskType.CODE_DEBUG, 2.5),
    Combination(frozenset({"error", "language"}), TaskType.CODE_DEBUG, 1.0),
    Combination(frozenset({"fault", "code_block"}), TaskType.CODE_DEBUG, 2.5),
    Combination(frozenset({"fault", "why"}), TaskType.CODE_DEBUG, 1.5),
    Combination(frozenset({"fault", "fix"}), TaskType.CODE_DEBUG, 1.5),
    Combination(frozenset({"fix", "code"}), TaskType.CODE_DEBUG, 2.0),
    Combination(frozenset({"fix", "error"}), TaskType.CODE_DEBUG, 1.5),
    Combination(frozenset({"error", "code"}), TaskType.CODE_DEBUG, 1.0),
    Combination(frozenset({"why", "code_block"}), TaskType.CODE_DEBUG, 2.0),
    Combination(frozenset({"make", "code"}), TaskType.CODE_GENERATION, 1.5),
    Combination(frozenset({"make", "language"}), TaskType.CODE_GENERATION, 1.0),
    Combination(frozenset({"tongue", "material"}), TaskType.TRANSLATION, 1.0),
    Combination(frozenset({"make", "code_block"}), TaskType.CODE_GENERATION, 1.5),
    Combination(frozenset({"extract", "structured"}), TaskType.EXTRACTION, 1.0),
    Combination(frozenset({"material", "structured"}), TaskType.EXTRACTION, 1.5),
    Combination(frozenset({"research", "now"}), TaskType.RESEARCH, 1.0),
    Combination(frozenset({"ask", "now"}), TaskType.RESEARCH, 1.0),
    Combination(frozenset({"translate", "into_language"}), TaskType.TRANSLATION, 2.0),
    # From one programming language to another.
    Combination(frozenset({"translate", "code"}), TaskType.CODE_GENERATION, 4.0, frozenset({"into_language"})),
    Combination(frozenset({"translate", "language"}), TaskType.CODE_GENERATION, 2.0, frozenset({"into_language"})),
    Combination(frozenset({"translate", "code"}), TaskType.TRANSLATION, -3.0, frozenset({"into_language"})),
)

# The first of these in the request says what is asked for; those of OBJECTS only as what a verb of making makes.
LEADS = {
    "translate": TaskType.TRANSLATION,
    "summarize": TaskType.SUMMARIZATION,
    "extract": TaskType.EXTRACTION,
    "fix": TaskType.CODE_DEBUG,
    "creative": TaskType.CREATIVE,
    "solve": TaskType.REASONING,
    "weigh": TaskType.REASONING,
    "research": TaskType.RESEARCH,
}
OBJECTS = {
    "code": TaskType.CODE_GENERATION,
    "language": TaskType.CODE_GENERATION,
    "message": TaskType.CREATIVE,
    "creative": TaskType.CREATIVE,
    "summarize": TaskType.SUMMARIZATION,
    "translate": TaskType.TRANSLATION,
    "weigh": TaskType.REASONING,
}

"""What a prompt asks for, by rules: task type with confidence, size, difficulty. Pure; `lexicon` holds the words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.ledger import estimated_tokens, prompt_bytes
from vel_tutor_mcp.routing.lexicon import COMBINATIONS, WEIGHTS
from vel_tutor_mcp.routing.signals import Signals, signals_in

LEAD_WEIGHT = 2.0
BESIDE_MADE_WEIGHT = 0.5
GENERAL_WEIGHT = 1.2
CONFIDENT = 0.4

# Tokens of a visible answer: at least, and more for each token of the prompt.
EXPECTED_OUTPUT = {
    TaskType.REASONING: (700, 0.1),
    TaskType.CODE_GENERATION: (900, 0.2),
    TaskType.CODE_DEBUG: (600, 0.3),
    TaskType.SUMMARIZATION: (150, 0.1),
    TaskType.EXTRACTION: (120, 0.2),
    TaskType.TRANSLATION: (20, 1.1),
    TaskType.CREATIVE: (700, 0.1),
    TaskType.RESEARCH: (800, 0.1),
    TaskType.GENERAL: (350, 0.1),
}
LONGEST_EXPECTED_OUTPUT = 4000

DIFFICULTY = {
    TaskType.REASONING: 0.45,
    TaskType.CODE_GENERATION: 0.35,
    TaskType.CODE_DEBUG: 0.4,
    TaskType.SUMMARIZATION: 0.15,
    TaskType.EXTRACTION: 0.1,
    TaskType.TRANSLATION: 0.15,
    TaskType.CREATIVE: 0.3,
    TaskType.RESEARCH: 0.35,
    TaskType.GENERAL: 0.15,
}
HARDER = {"hard": 0.2, "expert": 0.2, "steps": 0.1, "equation": 0.1, "code_block": 0.05, "weigh": 0.05, "simple": -0.15}
TOKENS_AT_HARDEST, LENGTH_DIFFICULTY = 4000, 0.25

FLAGS = ("code", "code_block", "trace", "equation", "quantities", "hard", "steps", "simple", "structured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What is known of a prompt. `confidence` and `difficulty` are 0-1; tokens are estimates, `tokens_out` those of the
    visible answer; `flags` are what was seen in it (some of `FLAGS`).
    """

    task_type: TaskType
    confidence: float
    tokens_in: int
    tokens_out: int
    difficulty: float
    flags: frozenset[str]


def features(prompt: str, task_type: TaskType | None = None) -> Features:
    """The features of a prompt; a `task_type` that the caller gives is taken as certain."""
    signals = signals_in(prompt)
    inferred, confidence = _task_type(signals) if task_type is None else (task_type, 1.0)
    tokens_in = estimated_tokens(prompt_bytes(prompt))
    return Features(
        task_type=inferred,
        confidence=round(confidence, 3),
        tokens_in=tokens_in,
        tokens_out=_expected_output(inferred, tokens_in, "simple" in signals.weights),
        difficulty=_difficulty(inferred, tokens_in, signals.weights),
        flags=frozenset(FLAGS) & signals.weights.keys(),
    )


def _task_type(signals: Signals) -> tuple[TaskType, float]:
    scores = _scores(signals)
    exponents = {task_type: math.exp(score) for task_type, score in scores.items()}
    best = max(exponents, key=exponents.__getitem__)
    confidence = exponents[best] / sum(exponents.values())
    return (best, confidence) if confidence >= CONFIDENT else (TaskType.GENERAL, confidence)


def _scores(signals: Signals) -> dict[TaskType, float]:
    scores = dict.fromkeys(TaskType, 0.0)
    scores[TaskType.GENERAL] = GENERAL_WEIGHT
    for signal, share in signals.weights.items():
        for task_type, weight in WEIGHTS.get(signal, ()):
            scores[task_type] += weight * share
    for together, task_type, weight, without in COMBINATIONS:
        if together <= signals.weights.keys() and not without & signals.weights.keys():
            scores[task_type] += weight * min(signals.weights[signal] for signal in together)
    if signals.made:
        scores = {task_type: score * BESIDE_MADE_WEIGHT for task_type, score in scores.items()} | {
            task_type: score for task_type, score in scores.items() if task_type == signals.lead
        }
    if signals.lead:
        scores[signals.lead] += LEAD_WEIGHT
    return scores


def _expected_output(task_type: TaskType, tokens_in: int, simple: bool) -> int:
    least, per_token = EXPECTED_OUTPUT[task_type]
    expected = min(LONGEST_EXPECTED_OUTPUT, least + int(per_token * tokens_in))
    return expected // 2 if simple else expected


def _difficulty(task_type: TaskType, tokens_in: int, weights: Mapping[str, float]) -> float:
    """The task type's own, more for length, hard words, steps and maths, less for simple words; 0-1."""
    length = LENGTH_DIFFICULTY * min(1.0, tokens_in / TOKENS_AT_HARDEST)
    seen = sum(shift * weights.get(signal, 0.0) for signal, shift in HARDER.items())
    return round(min(1.0, max(0.0, DIFFICULTY[task_type] + length + seen)), 3)

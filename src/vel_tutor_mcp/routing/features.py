"""What a prompt asks for: task type with confidence, size, difficulty. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.ledger import estimated_tokens, prompt_bytes
from vel_tutor_mcp.routing.signals import Signals, signals_in
from vel_tutor_mcp.routing.task_types import Guess, by_rules, shipped

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

# The confidence of a task type that the caller gives; a guess has less.
GIVEN = 1.0

FLAGS = frozenset(
    {"code", "code_block", "trace", "equation", "quantities", "hard", "steps", "simple", "structured"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What is known of a prompt. `confidence` and `difficulty` are 0-1; tokens are estimates, `tokens_out` those of the
    visible answer; `flags` are what was seen in it (some of `FLAGS`), `telling` the signals that the task type rests on
    most, `tokens` the prompt as `ngrams` cuts it.
    """

    task_type: TaskType
    confidence: float
    tokens_in: int
    tokens_out: int
    difficulty: float
    flags: frozenset[str]
    telling: tuple[str, ...] = ()
    tokens: Sequence[str] = field(default=(), repr=False, compare=False)

    def of_difficulty(self, difficulty: float) -> "Features":
        return self if difficulty == self.difficulty else replace(self, difficulty=difficulty)


def features(prompt: str, task_type: TaskType | None = None, *, learned: bool = True) -> Features:
    """The features of a prompt; a `task_type` that the caller gives is taken as certain, else it is guessed: by the
    learned weights, or by rules where those are not wanted or not usable.
    """
    signals = signals_in(prompt)
    guess = _guess(signals, learned) if task_type is None else Guess(task_type, GIVEN, ())
    tokens_in = estimated_tokens(prompt_bytes(prompt))
    return Features(
        task_type=guess.task_type,
        confidence=guess.confidence,
        tokens_in=tokens_in,
        tokens_out=_expected_output(guess.task_type, tokens_in, "simple" in signals.weights),
        difficulty=_difficulty(guess.task_type, tokens_in, signals.weights),
        flags=FLAGS & signals.weights.keys(),
        telling=guess.signals,
        tokens=signals.tokens,
    )


def _guess(signals: Signals, learned: bool) -> Guess:
    model = shipped() if learned else None
    return by_rules(signals) if model is None else model.guess(signals)


def _expected_output(task_type: TaskType, tokens_in: int, simple: bool) -> int:
    least, per_token = EXPECTED_OUTPUT[task_type]
    expected = min(LONGEST_EXPECTED_OUTPUT, least + int(per_token * tokens_in))
    return expected // 2 if simple else expected


def _difficulty(task_type: TaskType, tokens_in: int, weights: Mapping[str, float]) -> float:
    """The task type's own, more for length, hard words, steps and maths, less for simple words; 0-1."""
    length = LENGTH_DIFFICULTY * min(1.0, tokens_in / TOKENS_AT_HARDEST)
    seen = sum([shift * weights[signal] for signal, shift in HARDER.items() if signal in weights])  # noqa: C419 - faster
    return round(min(1.0, max(0.0, DIFFICULTY[task_type] + length + seen)), 3)

"""What the policies assume, as data: how good each tier is at a task type, and what a good answer is worth.

First-version priors, set by hand to keep the original system's defaults (reasoning to GPT-4o class, code to a large
open model on Groq, simple work to small models, research to Sonar). The learned part replaces `p_ok`, not its callers.
"""

import math
from collections.abc import Mapping

from vel_tutor_mcp.models import TaskType
from vel_tutor_mcp.routing.catalog import ModelRow, Tier

# P(good enough) for the easiest and the hardest prompts, in the order of TIERS.
TIERS: tuple[Tier, ...] = ("frontier", "strong", "standard", "small")
P_OK = {
    TaskType.REASONING: ((0.97, 0.80), (0.95, 0.58), (0.90, 0.34), (0.82, 0.12)),
    TaskType.CODE_GENERATION: ((0.97, 0.82), (0.95, 0.68), (0.93, 0.58), (0.86, 0.28)),
    TaskType.CODE_DEBUG: ((0.96, 0.78), (0.94, 0.62), (0.91, 0.50), (0.82, 0.22)),
    TaskType.SUMMARIZATION: ((0.97, 0.90), (0.97, 0.85), (0.96, 0.75), (0.95, 0.55)),
    TaskType.EXTRACTION: ((0.98, 0.92), (0.97, 0.87), (0.96, 0.78), (0.95, 0.58)),
    TaskType.TRANSLATION: ((0.97, 0.90), (0.96, 0.84), (0.95, 0.70), (0.93, 0.48)),
    TaskType.CREATIVE: ((0.95, 0.85), (0.93, 0.76), (0.90, 0.62), (0.84, 0.42)),
    TaskType.RESEARCH: ((0.93, 0.75), (0.90, 0.65), (0.86, 0.52), (0.75, 0.30)),
    TaskType.GENERAL: ((0.97, 0.86), (0.96, 0.78), (0.95, 0.64), (0.94, 0.42)),
}
# Above 1: most prompts are closer to the easy end than their place on the scale says.
DIFFICULTY_POWER = 1.5
# Research by a model that cannot search is answered from memory.
WITHOUT_SEARCH = -0.30

LEAST_P_OK, MOST_P_OK = 0.02, 0.98

# What a good answer is worth, in US dollars.
VALUE_USD = {
    TaskType.REASONING: 0.08,
    TaskType.CODE_GENERATION: 0.06,
    TaskType.CODE_DEBUG: 0.08,
    TaskType.SUMMARIZATION: 0.01,
    TaskType.EXTRACTION: 0.01,
    TaskType.TRANSLATION: 0.01,
    TaskType.CREATIVE: 0.03,
    TaskType.RESEARCH: 0.08,
    TaskType.GENERAL: 0.01,
}


def p_ok(row: ModelRow, task_type: TaskType, difficulty: float) -> float:
    """Probability (0-1) that the model's answer is good enough for a prompt of that difficulty (0-1)."""
    return p_ok_of(row, task_type, p_ok_of_tiers(task_type, difficulty))


def p_ok_of_tiers(task_type: TaskType, difficulty: float) -> dict[Tier, float]:
    """The part of `p_ok` that is the same for all models of a tier."""
    harder = math.pow(difficulty, DIFFICULTY_POWER)
    return {
        tier: easiest - (easiest - hardest) * harder
        for tier, (easiest, hardest) in zip(TIERS, P_OK[task_type], strict=True)
    }


def p_ok_of(row: ModelRow, task_type: TaskType, of_tiers: Mapping[Tier, float]) -> float:
    """`p_ok` from the part that `p_ok_of_tiers` gives."""
    chance = of_tiers[row.tier] + (row.p_ok_offset + row.strengths.get(task_type, 0.0))
    if task_type is TaskType.RESEARCH and "search" not in row.capabilities:
        chance += WITHOUT_SEARCH
    if chance < LEAST_P_OK:
        return LEAST_P_OK
    return round(chance, 4) if chance < MOST_P_OK else MOST_P_OK

"""Time of a route decision, warm: a natural prompt of about 1,000 characters is read, and eight models are weighed.

Each decision is timed by itself, so that its tail is seen too; in CPU time, so that other processes do not count.
The baseline is what a router by keywords does: four case-insensitive regular expressions over the prompt, and the
cheapest of eight models.
"""

import re
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles

import numpy as np
from measure import Measuring, Result, against, alone, both_in_turn, fewer

from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.routing.estimate import estimates
from vel_tutor_mcp.routing.features import features
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.ledger import Prices, prompt_bytes
from vel_tutor_mcp.routing.policy import RouteRequest, decide
from vel_tutor_mcp.routing.task_scores import read_labelled

ROUNDS = 30
DECISIONS_IN_ROUND = 200
MODELS = 8
SHORTEST, LONGEST = 800, 1200
P50_US, P95_US = 200, 1000
_EXPLORATION = 0.02

_CONFIGURED = frozenset({"openai", "groq", "perplexity"})
_KEYWORDS = tuple(
    re.compile(words, re.IGNORECASE)
    for words in ("code|function|bug", "summar|tl;dr", "translat|into french", "poem|story|lyrics")
)

Times = Sequence[float]


async def results(share: float) -> list[Result]:
    labelled = read_labelled(Path(__file__).parent / "routing" / "prompts" / "train.jsonl")
    prompts = [row.prompt for row in labelled if SHORTEST <= len(row.prompt) <= LONGEST]
    whole = Catalog.load({})
    offered = [row for row in whole.models if row.provider in _CONFIGURED and not row.retired]
    catalog, health = Catalog(whole.providers, tuple(offered[:MODELS])), Health()
    prices = Prices(catalog)
    prices.load()

    chance = np.random.default_rng(1)

    weights = estimates(catalog, None)

    def read(prompt: str, exploration: float = 0.0) -> RouteRequest:
        seen = features(prompt)
        difficulty, learned = weights.of(prompt, seen)
        return RouteRequest(
            features=seen.of_difficulty(difficulty),
            learned=learned,
            prompt_bytes=prompt_bytes(prompt),
            configured=_CONFIGURED,
            exploration=exploration,
        )

    def route(prompt: str) -> None:
        decide(read(prompt), catalog, prices, health, time.time())

    def explore(prompt: str) -> None:
        decide(read(prompt, _EXPLORATION), catalog, prices, health, time.time(), chance)

    def by_keywords(prompt: str) -> None:
        hits = [pattern.search(prompt) for pattern in _KEYWORDS]
        min(catalog.models, key=lambda row: (row.tier == "small") is any(hits))

    rounds = fewer(ROUNDS, share)
    taken = await both_in_turn(_times(route, prompts), _times(by_keywords, prompts), rounds=rounds)
    name = f"features of 1,000 characters and decision among {MODELS}"
    return [
        against(f"{name}, p50", taken, _p50, unit="us", limit=P50_US),
        against(f"{name}, p95", taken, _p95, unit="us", limit=P95_US),
        await alone("the same, where it may explore, p50", _middle(_times(explore, prompts)), unit="us", rounds=rounds),
        await alone("features alone, p50", _middle(_times(read, prompts)), unit="us", rounds=rounds),
    ]


def _times(work: Callable[[str], object], prompts: Sequence[str]) -> Measuring[Times]:
    """Microseconds of each of a round's pieces of work."""

    async def measure() -> Times:
        taken = []
        for prompt in islice(cycle(prompts), DECISIONS_IN_ROUND):
            begun = time.thread_time()
            work(prompt)
            taken.append((time.thread_time() - begun) * 1e6)
        return taken

    return measure


def _middle(times: Measuring[Times]) -> Measuring[float]:
    async def measure() -> float:
        return _p50(await times())

    return measure


def _p50(times: Times) -> float:
    return quantiles(times, n=20)[9]


def _p95(times: Times) -> float:
    return quantiles(times, n=20)[18]

"""What learning from use is worth: `python benchmarks/routing/learning.py [--seeds N] [--steps N] [--data FOLDER]`.

A stream of tasks is answered by made-up models whose P(good enough) is known, by the product's own posterior and
exploration. Of the answers 30 % are rated, one an hour. Printed is the mean reward (share of good answers) with a 95 %
interval over seeds; all policies of a seed meet the same luck. `--data` adds a stream of labelled answers of a weak and
a strong model (JSON Lines, gzip: `source`, `outcomes`), where the reward of the strong one is less its price.
"""

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from vel_tutor_mcp.models import Candidate, Evidence, NanoUsd
from vel_tutor_mcp.routing.exploration import drawn_first
from vel_tutor_mcp.routing.learning import added, posterior, weight_of_rating

BEGINNING = datetime(2027, 1, 1, tzinfo=UTC)
BETWEEN_TASKS = timedelta(minutes=18)
RATED = 0.3
PRICE_OF_STRONG = 0.15
SHARES = {"prior only": None, "posterior, greedy": 0.0, "posterior, Thompson 2 %": 0.02, "Thompson always": 1.0}

Matrix = np.ndarray
Row = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """Tasks in order: `types` (n,), rewards of each model for each task (n, models), and the priors (types, models).

    `good`: whether the answer would be rated 5 rather than 1, (n, models); `prices`: (models,), in rewards.
    """

    types: Matrix
    good: Matrix
    priors: Matrix
    prices: Matrix

    @property
    def rewards(self) -> Matrix:
        rewards: Matrix = self.good - self.prices
        return rewards


def simulated(truth: Matrix, priors: Matrix, worse_from_half: Matrix | None = None) -> Callable[[int, int], Stream]:
    """Makes streams of a seed and a length; `truth` and `priors` are P(good enough), (types, models)."""

    def made(seed: int, steps: int) -> Stream:
        chance = np.random.default_rng(seed)
        types = chance.integers(len(truth), size=steps)
        chances = truth[types]
        if worse_from_half is not None:
            chances[steps // 2 :] = worse_from_half[types[steps // 2 :]]
        good = chance.random(chances.shape) < chances
        return Stream(types, good.astype(float), priors, np.zeros(truth.shape[1]))

    return made


def labelled(folder: Path) -> Callable[[int, int], Stream]:
    """Makes streams from the files of the folder: as many rows, drawn in the order of the seed."""
    rows = [row for file in sorted(folder.glob("*.jsonl.gz")) for row in _rows(file)]
    sources = sorted({row["source"].split("/")[0] for row in rows})
    models = sorted(rows[0]["outcomes"], key=lambda model: sum(row["outcomes"][model] for row in rows))
    types = np.array([sources.index(row["source"].split("/")[0]) for row in rows])
    good = np.array([[row["outcomes"][model] for model in models] for row in rows], dtype=float)

    def made(seed: int, steps: int) -> Stream:
        drawn = np.random.default_rng(seed).permutation(len(rows))[:steps]
        priors = np.full((len(sources), len(models)), 0.75)
        return Stream(types[drawn], good[drawn], priors, np.array([0.0, PRICE_OF_STRONG]))

    return made


def _rows(file: Path) -> Iterator[Row]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def mean_reward(stream: Stream, share: float | None, seed: int) -> float:
    """Of one policy over the stream: `share` of the decisions explore; None does not learn at all."""
    chance = np.random.default_rng(seed)
    rated = np.random.default_rng(seed + 10**6).random(len(stream.types)) < RATED
    known: dict[tuple[int, int], Evidence] = {}
    total = 0.0
    for step, kind in enumerate(stream.types):
        now = BEGINNING + step * BETWEEN_TASKS
        ranked = _ranked(stream, int(kind), known, now)
        place = drawn_first(ranked, 1.0, 0.0, share, chance).place if share else 0
        model = int(ranked[place].model)
        total += stream.rewards[step, model]
        if share is not None and rated[step]:
            weight = weight_of_rating(5 if stream.good[step, model] else 1)
            known[int(kind), model] = added(known.get((int(kind), model)), weight, now)
    return total / len(stream.types)


def _ranked(stream: Stream, kind: int, known: dict[tuple[int, int], Evidence], now: datetime) -> list[Candidate]:
    return sorted(
        (_candidate(stream, kind, model, known.get((kind, model)), now) for model in range(stream.priors.shape[1])),
        key=lambda candidate: -candidate.utility,
    )


def _candidate(stream: Stream, kind: int, model: int, seen: Evidence | None, now: datetime) -> Candidate:
    mean, amount = posterior(float(stream.priors[kind, model]), seen, now.timestamp())
    base = _BASE._replace(model=str(model), p_ok=mean, evidence=amount)
    return base._replace(utility=mean - float(stream.prices[model]))


_BASE = Candidate(
    provider="", model="", p_ok=0, p_up=1, expected_cost_nanousd=NanoUsd(0), expected_latency_ms=0, utility=0
)

TRUTH = np.array([[0.92, 0.85, 0.70, 0.60], [0.80, 0.88, 0.75, 0.50], [0.90, 0.60, 0.93, 0.85]])
WRONG = np.array([[0.80, 0.90, 0.85, 0.70], [0.90, 0.80, 0.80, 0.70], [0.90, 0.85, 0.75, 0.80]])
# The best model of the first two types becomes bad under the same name.
CHANGED = np.array([[0.55, 0.85, 0.70, 0.60], [0.80, 0.50, 0.75, 0.50], [0.90, 0.60, 0.93, 0.85]])
SIMULATED = {
    "priors are right": simulated(TRUTH, TRUTH),
    "priors are wrong": simulated(TRUTH, WRONG),
    "priors are right until half, then two models get worse": simulated(TRUTH, TRUTH, CHANGED),
}


def measured(make: Callable[[int, int], Stream], seeds: int, steps: int) -> dict[str, list[float]]:
    """The mean reward of each policy in each seed."""
    found: dict[str, list[float]] = {name: [] for name in (*SHARES, "best single, in hindsight", "best per type")}
    for seed in range(seeds):
        stream = make(seed, steps)
        for name, share in SHARES.items():
            found[name].append(mean_reward(stream, share, seed))
        found["best single, in hindsight"].append(float(stream.rewards.mean(axis=0).max()))
        best = [stream.rewards[stream.types == kind].sum(axis=0).max() for kind in np.unique(stream.types)]
        found["best per type"].append(float(sum(best) / len(stream.types)))
    return found


def shown(values: Sequence[float]) -> str:
    """Mean with its 95 % interval over the seeds."""
    margin = 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{np.mean(values):+.4f} [{np.mean(values) - margin:+.4f}, {np.mean(values) + margin:+.4f}]"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--data", type=Path)
    asked = options.parse_args()
    streams = SIMULATED | ({"labelled data": labelled(asked.data)} if asked.data else {})
    for title, make in streams.items():
        print(f"\n{title}: {asked.steps} tasks, {asked.seeds} seeds\n{'':28}mean reward{'':22}less that of prior only")
        found = measured(make, asked.seeds, asked.steps)
        for name, rewards in found.items():
            gains = [reward - prior for reward, prior in zip(rewards, found["prior only"], strict=True)]
            print(f"{name:28}{shown(rewards):33}{shown(gains)}")


if __name__ == "__main__":
    main()

"""Quality of routing a weak and a strong model: `python benchmarks/routing/quality.py --data FOLDER [--seeds N]`.

The folder holds `mmlu_train.jsonl.gz` and `gsm8k_train.jsonl.gz`, in the form of docs/command-line.md ("route"):
whether Mixtral-8x7B and GPT-4-1106 answered a question of MMLU or GSM8K rightly. The data is that of the evaluations in
github.com/lm-sys/RouteLLM (Apache-2.0), folders `routellm/evals/mmlu` and `gsm8k`; no copy of it is in this repository.

MMLU: 1,500 rows are learned from and all others tested. GSM8K: five folds. Both together: as MMLU. Printed is the
mean over seeds, and between which values the middle 95 % of 200 resampled tests lie in the first seed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vel_tutor_mcp.routing import measures
from vel_tutor_mcp.routing.training import decide, fit, predict
from vel_tutor_mcp.services.training import rows_of

WEAK, STRONG = "mixtral-8x7b", "gpt-4-1106"
FILES = ("mmlu_train.jsonl.gz", "gsm8k_train.jsonl.gz")
LABELS, FOLDS = 1500, 5
MISSING = "no {}; it is made from the evaluation data of github.com/lm-sys/RouteLLM, see the head of this file"

Rows = list[dict[str, Any]]
Array = np.ndarray


class Tested(NamedTuple):
    """Rows that were not learned from, with what was expected of both models, and which was chosen."""

    prompts: list[str]
    weak: Array
    strong: Array
    expected_weak: Array
    expected_strong: Array
    chosen: list[str]


def data(folder: Path, name: str) -> Rows:
    if not (folder / name).exists():
        sys.exit(MISSING.format(folder / name))
    return rows_of(folder / name)


def tested(train: Rows, held: Rows) -> Tested:
    model, prompts = fit(train), [row["prompt"] for row in held]
    expected = predict(model, prompts)
    outcomes = [row["outcomes"] for row in held]
    weak, strong, expected_weak, expected_strong = (
        np.array([row[name] for row in rows]) for rows in (outcomes, expected) for name in (WEAK, STRONG)
    )
    return Tested(prompts, weak, strong, expected_weak, expected_strong, decide(model, prompts))


def folded(rows: Rows, seed: int) -> Tested:
    order = np.random.default_rng(seed).permutation(len(rows))
    parts = []
    for fold in range(FOLDS):
        held = set(order[fold::FOLDS].tolist())
        train = [row for place, row in enumerate(rows) if place not in held]
        parts.append(tested(train, [rows[place] for place in sorted(held)]))
    prompts = [prompt for part in parts for prompt in part.prompts]
    chosen = [name for part in parts for name in part.chosen]
    weak, strong, expected_weak, expected_strong = (
        np.concatenate(arrays)
        for arrays in zip(
            *((part.weak, part.strong, part.expected_weak, part.expected_strong) for part in parts), strict=True
        )
    )
    return Tested(prompts, weak, strong, expected_weak, expected_strong, chosen)


def sampled(rows: Rows, seed: int) -> Tested:
    order = np.random.default_rng(seed).permutation(len(rows))
    return tested([rows[place] for place in order[:LABELS]], [rows[place] for place in order[LABELS:]])


def lines(name: str, tests: Sequence[Tested]) -> list[tuple[str, ...]]:
    found = [_line(name, ranked, tests) for ranked in ("random", "length", "keywords", "learned")]
    gains = [_gain(test) for test in tests]
    low, high = measures.interval(lambda places: float(gains[0][places].mean()), len(gains[0]))[1:]
    errors = [
        f"{np.mean([measures.calibration_error(*both(test)) for test in tests]):.3f}"
        for both in (lambda test: (test.expected_weak, test.weak), lambda test: (test.expected_strong, test.strong))
    ]
    mean = np.mean([gain.mean() for gain in gains])
    found.append((name, "decide against best single", f"{mean:+.4f} [{low:+.4f} {high:+.4f}]", "", ""))
    found.append((name, "calibration error, weak and strong", f"{errors[0]} {errors[1]}", "", ""))
    return found


def _line(name: str, ranked: str, tests: Sequence[Tested]) -> tuple[str, ...]:
    found = [measures.pair(_ranking(test, ranked), test.weak, test.strong) for test in tests]
    first = tests[0]
    ranking = _ranking(first, ranked)
    low, high = measures.interval(
        lambda places: measures.pair(ranking[places], first.weak[places], first.strong[places]).apgr, len(ranking)
    )[1:]
    apgr, cpt50, cpt80 = (np.mean([getattr(one, key) for one in found]) for key in ("apgr", "cpt50", "cpt80"))
    return name, ranked, f"{apgr:.3f} [{low:.3f} {high:.3f}]", f"{cpt50:.1f}", f"{cpt80:.1f}"


def _ranking(test: Tested, ranked: str) -> Array:
    return (
        test.expected_strong - test.expected_weak if ranked == "learned" else measures.baselines(test.prompts)[ranked]
    )


def _gain(test: Tested) -> Array:
    reached = np.where(np.array(test.chosen) == STRONG, test.strong, test.weak)
    best = test.strong if test.strong.mean() >= test.weak.mean() else test.weak
    gain: Array = reached - best
    return gain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    mmlu, gsm8k = (data(given.data, name) for name in FILES)
    table = [("data", "router", "APGR [95 %]", "CPT50", "CPT80")]
    table += lines("MMLU, 1,500 labels", [sampled(mmlu, seed) for seed in range(given.seeds)])
    table += lines("GSM8K, 5 folds", [folded(gsm8k, seed) for seed in range(given.seeds)])
    table += lines("both, 1,500 labels", [sampled(mmlu + gsm8k, seed) for seed in range(given.seeds)])
    for row in table:
        print(f"{row[0]:20} {row[1]:36} {row[2]:26} {row[3]:>6} {row[4]:>6}")


if __name__ == "__main__":
    main()

"""Cost of routing at a stated quality; in the folder benchmarks/: `python -m routing.cost --data FOLDER [--seeds N]`.

The data and the splits are those of `quality.py`. A threshold on the expected gap of the two models is swept; printed
is what is saved against always asking the strong one, at 100, 99 and 95 % of its quality, beside the zero router: a
random mix of the two, which needs no router at all. The threshold is swept on the tested rows, as RouterBench does; in
production it must be chosen before, and saves a little less.

Prices are US dollars per million tokens, as genai-prices 0.2.3 has them: gpt-4-1106-preview 10 in, 30 out; mixtral-8x7b
0.70 in and out (Mistral's own). An answer counts as 100 tokens, a token as 4 characters.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from routing.quality import FILES, Tested, data, folded, sampled

from vel_tutor_mcp.routing import measures

Array = np.ndarray

PRICES = {"weak": (0.70, 0.70), "strong": (10.0, 30.0)}
CHARACTERS_OF_A_TOKEN, ANSWER_TOKENS = 4, 100
QUALITIES = (1.0, 0.99, 0.95)


def costs(prompts: Sequence[str], model: str) -> Array:
    """US dollars of each prompt."""
    tokens = np.array([len(prompt) for prompt in prompts]) / CHARACTERS_OF_A_TOKEN
    price_in, price_out = PRICES[model]
    spent: Array = (tokens * price_in + ANSWER_TOKENS * price_out) / 1e6
    return spent


def saved(order: Array, weak: Array, strong: Array, cheap: Array, dear: Array, quality: float) -> float:
    """The largest share of the strong model's cost that is saved with at least this share of its quality.

    `order`: places of the rows, those for the strong model first.
    """
    gained = np.concatenate([[0.0], np.cumsum((strong - weak)[order])]) + weak.sum()
    spent = np.concatenate([[0.0], np.cumsum((dear - cheap)[order])]) + cheap.sum()
    enough = gained >= quality * strong.sum() - 1e-9
    return float(1 - spent[enough].min() / dear.sum())


def mixed(weak: Array, strong: Array, cheap: Array, dear: Array, quality: float) -> float:
    """The same of a random mix: its quality and its cost are means, so it lies on the line between the two models."""
    share = max(0.0, (quality * strong.mean() - weak.mean()) / (strong.mean() - weak.mean()))
    return float(1 - (share * dear.sum() + (1 - share) * cheap.sum()) / dear.sum())


def lines(name: str, tests: Sequence[Tested]) -> list[tuple[str, ...]]:
    found = [[_savings(test, np.arange(len(test.weak)), quality) for quality in QUALITIES] for test in tests]
    first, rows = tests[0], len(tests[0].weak)
    cells: list[tuple[str, ...]] = []
    for place, router in enumerate(("zero (random mix)", "length", "learned")):
        row = [name, router]
        for at, quality in enumerate(QUALITIES):

            def of(places: Array, place: int = place, quality: float = quality) -> float:
                return _savings(first, places, quality)[place]

            low, high = measures.interval(of, rows)[1:]
            mean = np.mean([one[at][place] for one in found])
            row.append(f"{100 * mean:5.1f} [{100 * low:.1f} {100 * high:.1f}]")
        cells.append(tuple(row))
    return cells


def _savings(test: Tested, places: Array, quality: float) -> tuple[float, float, float]:
    weak, strong = test.weak[places], test.strong[places]
    lengths = np.array([len(prompt) for prompt in test.prompts])[places]
    cheap, dear = (costs(test.prompts, model)[places] for model in ("weak", "strong"))
    gap = (test.expected_strong - test.expected_weak)[places]
    orders = (np.argsort(-lengths, kind="stable"), np.argsort(-gap, kind="stable"))
    swept = [saved(order, weak, strong, cheap, dear, quality) for order in orders]
    return mixed(weak, strong, cheap, dear, quality), swept[0], swept[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    mmlu, gsm8k = (data(given.data, name) for name in FILES)
    table: list[tuple[str, ...]] = [("data", "router", *(f"saved at {quality:.0%} [95 %]" for quality in QUALITIES))]
    table += lines("MMLU, 1,500 labels", [sampled(mmlu, seed) for seed in range(given.seeds)])
    table += lines("GSM8K, 5 folds", [folded(gsm8k, seed) for seed in range(given.seeds)])
    table += lines("both, 1,500 labels", [sampled(mmlu + gsm8k, seed) for seed in range(given.seeds)])
    for row in table:
        print(f"{row[0]:20} {row[1]:18} {row[2]:22} {row[3]:22} {row[4]:22}")


if __name__ == "__main__":
    main()

"""Learning which model answers a prompt well enough, from rows of scores: `fit`, `predict`, `decide`.

A row is `{"prompt": text, "outcomes": {model name: score 0-1}}`, with any models; a row may lack some. numpy is
imported by the first call.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    from vel_tutor_mcp.routing.learned import Model


class Table(NamedTuple):
    """Rows, checked: `scores` has shape (rows, models), NaN where a row has none of a model."""

    prompts: list[str]
    names: tuple[str, ...]
    scores: "np.ndarray"


def fit(rows: Iterable[Mapping[str, Any]]) -> "Model":
    """The model of these rows; see `fitting`. The same rows give the same model.

    Raises:
        ValueError: names the first row (from 1) that cannot be used and says why, or there is none.
    """
    from vel_tutor_mcp.routing.fitting import fitted

    return fitted(*table_of(rows))


def table_of(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Raises:
    ValueError: see `fit`.
    """
    import numpy as np

    taken = [checked(number, row) for number, row in enumerate(rows, 1)]
    if not taken:
        raise ValueError("There are no rows to learn from; give at least one.")
    names = tuple(sorted({name for _, outcomes in taken for name in outcomes}))
    scores = np.array([[outcomes.get(name, math.nan) for name in names] for _, outcomes in taken])
    return Table([prompt for prompt, _ in taken], names, scores)


def predict(model: "Model", prompts: Sequence[str]) -> list[dict[str, float]]:
    """For each prompt P(good enough) of each model by its name, 0-1."""
    from vel_tutor_mcp.routing.encoding import encoded

    return [dict(zip(model.names, model.chances(encoded(prompt)).tolist(), strict=True)) for prompt in prompts]


def decide(model: "Model", prompts: Sequence[str]) -> list[str]:
    """For each prompt the name of the model to ask: the best single one, unless another is better by the margin."""
    from vel_tutor_mcp.routing.encoding import encoded

    return [model.names[model.choice(model.chances(encoded(prompt)))] for prompt in prompts]


def checked(number: int, row: Any) -> tuple[str, dict[str, float]]:
    """The row's prompt and outcomes.

    Raises:
        ValueError: names the row by the number given, and says why it cannot be used.
    """
    if fault := _fault(row):
        raise ValueError(f"Row {number} cannot be used; {fault}.")
    return row["prompt"], {name: float(score) for name, score in row["outcomes"].items()}


def _fault(row: Any) -> str | None:
    if not isinstance(row, Mapping):
        return "it is no object with a prompt and outcomes"
    prompt, outcomes = row.get("prompt"), row.get("outcomes")
    if not isinstance(prompt, str):
        return "its prompt is missing or no text"
    if not isinstance(outcomes, Mapping) or not outcomes:
        return "its outcomes are missing, empty or no object"
    for name, score in outcomes.items():
        if not isinstance(name, str) or not name:
            return "a model's name is empty or no text"
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            return f"the score of {name[:100]!r} is no number from 0 to 1"
    return None

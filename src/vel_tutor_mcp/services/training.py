"""Learning routes from a file of scored prompts: one JSON object a line, plain or gzip. Opens no database.

A line is `{"prompt": text, "source": text, "outcomes": {model: score 0-1}}`; `source` is for the reader only.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.routing import training

if TYPE_CHECKING:
    from vel_tutor_mcp.routing.trial import Trial

GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Trained:
    """A file of weights that was written: of which models, from how many rows, how large."""

    rows: int
    models: tuple[str, ...]
    best: str
    margin: float | None
    """By how much another model's P(good enough) must be above the best one's; None: it is never left."""
    bytes: int


def train(data: Path, out: Path) -> Trained:
    """Learns from the rows of a file and writes the weights.

    Raises:
        InputError: a file cannot be read or written, a row cannot be used, or `out` is something else's file.
    """
    from vel_tutor_mcp.routing import model_file
    from vel_tutor_mcp.routing.fitting import NEVER

    if out.exists() and not model_file.is_one(out):
        raise InputError(f"Nothing was learned; {out} is there and no file of weights; name another file with --out.")
    rows = rows_of(data)
    model = training.fit(rows)
    try:
        model_file.save(model, out)
    except OSError as problem:
        raise InputError(f"The weights were not written; {out}: {problem.strerror}; name another file.") from None
    margin = None if model.margin >= NEVER else model.margin
    return Trained(len(rows), model.names, model.names[model.default], margin, out.stat().st_size)


def evaluate(data: Path) -> "Trial":
    """How well what can be learned from the file's rows routes rows that were not learned from.

    Raises:
        InputError: the file cannot be read, a row cannot be used, or there are too few.
    """
    from vel_tutor_mcp.routing.trial import tried

    rows = rows_of(data)
    try:
        return tried(rows)
    except ValueError as problem:
        raise InputError(f"{data} cannot be evaluated; {problem}") from None


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Raises:
    InputError: the file cannot be read or has no rows, or names the first line that cannot be used and says why.
    """
    rows = []
    for number, line in _lines(path):
        row = _row(path, number, line)
        try:
            training.checked(number, row)
        except ValueError as problem:
            why = str(problem).partition("; ")[2]
            raise InputError(f"Line {number} of {path} cannot be used; {why} Correct or remove it.") from None
        rows.append(row)
    if not rows:
        raise InputError(f"{path} has no rows; a row is one JSON object a line; see docs/command-line.md.")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        content = path.read_bytes()
        text = gzip.decompress(content) if content.startswith(GZIP) else content
    except OSError as problem:
        why = problem.strerror or "it is damaged"
        raise InputError(f"{path} cannot be read; {why}; check the name and its permissions.") from None
    except (EOFError, zlib.error):
        raise InputError(f"{path} cannot be read; it is no whole gzip file; write it again.") from None
    return ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _row(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"Line {number} of {path} cannot be used; it is no JSON. Correct or remove it.") from None


def shown_trial(trial: "Trial") -> dict[str, Any]:
    """As one JSON document: an interval is `{"value", "low", "high"}`."""
    ranked = [
        {"name": row.name, **{key: getattr(row, key)._asdict() for key in ("apgr", "cpt50", "cpt80")}}
        for row in trial.ranked
    ]
    return {
        **asdict(trial),
        "models": {name: interval._asdict() for name, interval in trial.models.items()},
        "router": trial.router._asdict(),
        "gain": trial.gain._asdict(),
        "ranked": ranked,
    }

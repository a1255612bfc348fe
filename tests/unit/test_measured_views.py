"""Whatever a view of the dashboard reads is measured beside 100,000 tasks, by `benchmarks/lists.py` or `views.py`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATH = re.compile(r'[`"](/api/[^`"?]*)')
# What changes something is a click, and no view waits for it; `at` makes the paths of those.
OF_CLICKS = ("method:", '"POST"', "const at =")
NAMED = re.compile(r"\$?\{.*?\}+|\$\{.*")


def read_by_views() -> set[str]:
    """The paths in the sources of the page, with {} where an id stands."""
    found = set[str]()
    for source in (ROOT / "web" / "src").rglob("*.ts*"):
        for line in source.read_text(encoding="utf-8").splitlines():
            if not any(words in line for words in OF_CLICKS):
                found |= {plain(path) for path in PATH.findall(line)}
    return found


def plain(path: str) -> str:
    return NAMED.sub("{}", path.partition("?")[0])


def texts_in(name: str, *constants: str) -> Iterator[str]:
    """The paths that the constants of a benchmark begin with."""
    module = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in constants:
            yield from ast.literal_eval(node.value)


def test_what_views_read_is_measured() -> None:
    measured = {plain(path) for path in (*texts_in("lists", "PATHS"), *texts_in("views", "USAGE", "BESIDE"))}
    elsewhere = set(texts_in("views", "REQUESTED_ELSEWHERE"))
    read = read_by_views()
    assert len(read) > 20
    assert (read - measured, measured & elsewhere, elsewhere - read) == (elsewhere, set(), set())

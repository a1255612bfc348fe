"""Tables, and links to the pages that texts of the code name."""

import re
from collections.abc import Iterable, Sequence

_PAGE = re.compile(r"docs/((?:how-to/)?[a-z-]+)\.md(#[a-z-]+)?")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table without the columns in which nothing stands."""
    rows = list(rows)
    kept = [number for number, _ in enumerate(head) if any(row[number] for row in rows)]
    lines = [[head[number] for number in kept], ["---"] * len(kept)]
    lines += [[cell(row[number]) for number in kept] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell(text: str) -> str:
    return linked(" ".join(text.split())).replace("|", "\\|")


def linked(text: str) -> str:
    """The text, in which each page that is named as `docs/...md` is a link."""
    return _PAGE.sub(lambda found: f"[{found[1]}](../{found[1]}.md{found[2] or ''})", text)


def code(words: Iterable[object]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def sentence(text: str) -> str:
    """The first paragraph of a docstring, in one line."""
    return linked(" ".join(text.strip().partition("\n\n")[0].split()))

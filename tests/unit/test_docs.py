"""The reference is what the code says, nothing of it lacks its text, and every link of the pages leads somewhere."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from generate.pages import FOLDER, PAGES, written

ROOT = Path(__file__).parents[2]
HANDMADE = sorted([*ROOT.glob("*.md"), *(page for page in ROOT.glob("docs/**/*.md") if page.parent != FOLDER)])
# Arguments of tools have the texts for which there is room in what a model reads.
WHOLE = sorted(PAGES.keys() - {"tools.md"})
TOLD = {"meaning", "does", "is", "message", "unless it says more"}


def outside_of_code(page: str) -> str:
    return re.sub(r"^(```|~~~).*?^\1|``.*?``|`[^`\n]*`", "", page, flags=re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """What GitHub makes of the headings."""
    text = re.sub(r"^(```|~~~).*?^\1", "", page, flags=re.MULTILINE | re.DOTALL)
    found, seen = set[str](), Counter[str]()
    for heading in re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def broken(page: Path, text: str) -> Iterator[str]:
    """Links of the page that lead to no file of ours, or to no heading in it."""
    for link in re.findall(r"\]\(([^)\s]+)\)", outside_of_code(text)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_make_docs_writes(name: str) -> None:
    text = written(name)
    assert (FOLDER / name).read_text(encoding="utf-8") == text, "run make docs"
    assert list(broken(FOLDER / name, text)) == []


def test_the_reference_has_no_other_page() -> None:
    assert {page.name for page in FOLDER.iterdir()} == {*PAGES}


@pytest.mark.parametrize("name", WHOLE)
def test_everything_in_the_reference_is_told_what_it_is(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    told = re.split(r"^## ", text, flags=re.MULTILINE)
    assert [row for part in told for row in untold(part)] == []


def untold(part: str) -> Iterator[str]:
    """Rows of a table that say nothing where their head says what it is."""
    rows = [row.strip("| ").split(" | ") for row in part.splitlines() if row.startswith("|")]
    for row in rows[2:]:
        what = next(number for number, head in enumerate(rows[0]) if head in TOLD)
        if len(row) <= what or not row[what].strip():
            yield row[0]


@pytest.mark.parametrize("page", HANDMADE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A b, `c`\n[a](#a-b-c) [b](#b) [c](page.md) [d](other.md) [e](https://x.org) `[f](g)`\n")
    assert list(broken(page, page.read_text())) == ["#b", "other.md"]


def test_what_is_not_told_is_found() -> None:
    assert list(untold("| a | meaning | c |\n| --- | --- | --- |\n| x | y | z |\n| u |  | w |\n| v |  |  |")) == [
        "u",
        "v",
    ]

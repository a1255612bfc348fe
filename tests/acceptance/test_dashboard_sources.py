"""The dashboard's page is what its sources in `web/` build, and keeps to what it may be."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from node_programs import clean_install, had, installed

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
PAGE = ROOT / "src" / "vel_tutor_mcp" / "doors" / "dashboard" / "page.html"
MOST_BYTES = 150_000
SECONDS = 100
# What makes markup of text, or a program of it.
_FORBIDDEN = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `web/` with its packages; what a developer has installed there is not looked at."""
    packages = had(lambda: installed(WEB, _install))
    folder = tmp_path_factory.mktemp("page") / "web"
    shutil.copytree(WEB, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(packages / "node_modules", target_is_directory=True)
    return folder


def test_the_shipped_page_is_what_its_sources_build(web: Path, tmp_path: Path) -> None:
    built = tmp_path / "page.html"
    node(web, "build.mjs", str(built))
    assert built.read_bytes() == PAGE.read_bytes(), "run `make web`, and commit the page with its sources"


def test_its_sources_are_of_the_types_that_they_say(web: Path) -> None:
    node(web, "node_modules/typescript/bin/tsc", "--noEmit")


def test_what_it_computes_is_right(web: Path) -> None:
    node(web, "test.mjs")


def test_the_page_is_small() -> None:
    assert len(gzip.compress(PAGE.read_bytes())) <= MOST_BYTES


def test_no_text_becomes_markup_or_a_program() -> None:
    sources = [path for path in (WEB / "src").rglob("*.ts*") if _FORBIDDEN.search(path.read_text(encoding="utf-8"))]
    assert sources == []


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    """One style and one script stand in it, which a Content-Security-Policy can name by their hashes."""
    tags = re.findall(r"<(script|style|link|img|iframe|object)\b([^>]*)>", _frame())
    assert tags == [("link", ' rel="icon" href="data:,"'), ("style", ""), ("script", "")]
    assert not re.search(r"\son\w+=|\sstyle=", _frame())


def node(folder: Path, *command: str) -> None:
    done = subprocess.run(["node", *command], cwd=folder, timeout=SECONDS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _frame() -> str:
    """The page without what stands in its style and its script."""
    return re.sub(r"(<(style|script)>).*?(</\2>)", r"\1\3", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(WEB / name, folder / name)
    clean_install(folder)

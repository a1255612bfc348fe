"""What the audit of our dependencies says of a report, and what the bill of materials says of us."""

from pathlib import Path
from typing import Any

import pytest
from ci_scripts import script

dependencies = script("dependencies")

SOUND = {"name": "good", "version": "1", "vulns": []}
FLAWED = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3"], "aliases": []}]}
NO_FIX = {"name": "worse", "version": "3", "vulns": [{"id": "GHSA-2", "fix_versions": []}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found"}


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([SOUND], 0, ["no known vulnerability in 1 packages."]),
        ([SOUND, UNKNOWN], 0, ["in 2 packages; 1 of them are not known there: ours"]),
        (
            [FLAWED, SOUND, NO_FIX],
            1,
            ["2 known", "bad 2 PYSEC-1, mended in 2.1 or 3", "worse 3 GHSA-2, mended in none"],
        ),
        ([FLAWED, UNKNOWN], 1, ["1 known"]),
    ],
)
def test_what_is_said_of_what_was_found(rows: list[dict[str, Any]], code: int, words: list[str]) -> None:
    ends, said = dependencies.verdict({"dependencies": rows})
    assert ends == code
    assert all(word in said for word in words)


def test_a_run_of_the_ci_asks_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(dependencies, "make_tools", lambda: pytest.fail("nothing is made"))
    assert dependencies.main(["audit"]) == 0
    assert "left out with CI=true" in capsys.readouterr().out


def test_where_nothing_can_be_asked_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(dependencies, "make_tools", lambda: dependencies.run(tmp_path / "nowhere"))
    assert dependencies.main(["audit"]) == 0
    assert "skipped: advisories cannot be had here (FileNotFoundError)" in capsys.readouterr().out


def test_the_bill_of_materials_has_our_version_and_what_we_need() -> None:
    bill = {
        "metadata": {"component": {"bom-ref": "root", "name": "vel-tutor-mcp"}},
        "components": [{"bom-ref": "b"}, {"bom-ref": "a"}],
        "dependencies": [{"ref": "a"}, {"ref": "b"}, {"ref": "root"}],
    }
    whole = dependencies.completed(bill, dependencies.version())
    root = whole["metadata"]["component"]
    assert root["purl"] == f"pkg:pypi/vel-tutor-mcp@{root['version']}"
    assert whole["dependencies"] == [{"ref": "root", "dependsOn": ["a", "b"]}, {"ref": "a"}, {"ref": "b"}]

"""What we depend on: `audit` asks for known vulnerabilities of what is locked, `sbom` writes the bill of materials.

Both use tools of `requirements-audit.lock`, in a virtual environment of their own, made when it is first needed.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK, TOOLS_LOCK, VENV = "requirements.lock", "requirements-audit.lock", ROOT / ".venv-audit"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
SECONDS = 180
PROBE = "pip-audit"

Report = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["audit"]:
            return audit()
        case ["sbom", target]:
            return sbom(Path(target))
    print("Usage: dependencies.py audit | sbom FILE", file=sys.stderr)
    return 64


def audit() -> int:
    """0 also where nothing can be asked, which is said: who has no network checks the rest."""
    if os.environ.get("CI") == "true":
        return said(0, "left out with CI=true: what others publish must not decide on a submission; run make audit.")
    try:
        make_tools()
        probe = next(line for line in read(TOOLS_LOCK).splitlines() if line.startswith(f"{PROBE}=="))
        (VENV / "probe.txt").write_text(probe.split()[0], encoding="utf-8")
        if unknown(asked(VENV / "probe.txt")):
            return said(0, "skipped: the registry that is in use here publishes no advisories.")
        return said(*verdict(asked(ROOT / LOCK)))
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        return said(0, f"skipped: advisories cannot be had here ({type(problem).__name__}).")


def verdict(report: Report) -> tuple[int, str]:
    """Exit code and sentence by what was found. (Pure.)"""
    rows = report["dependencies"]
    found = [
        f"{row['name']} {row['version']} {flaw['id']}, mended in {' or '.join(flaw['fix_versions']) or 'none'}"
        for row in rows
        for flaw in row.get("vulns", ())
    ]
    if found:
        return 1, "\n  ".join([f"{len(found)} known vulnerabilities in what is locked:", *found])
    left = unknown(report)
    words = f"; {len(left)} of them are not known there: {', '.join(left)}" if left else ""
    return 0, f"no known vulnerability in {len(rows)} packages{words}."


def unknown(report: Report) -> list[str]:
    """Packages of which nothing was told: who cannot look one up counts it as sound. (Pure.)"""
    return [row["name"] for row in report["dependencies"] if "skip_reason" in row]


def sbom(target: Path) -> int:
    """The bill of materials (CycloneDX, JSON) of what is locked for users."""
    make_tools()
    written = run(
        BIN / "cyclonedx-py", "requirements", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible",
        "--of", "JSON", ROOT / LOCK,
    )  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(completed(json.loads(written), version()), indent=2) + "\n", encoding="utf-8")
    return said(0, f"bill of materials in {target}")


def completed(bill: dict[str, Any], ours: str) -> dict[str, Any]:
    """The bill, with our version and what we depend on; the tool reads neither. (Pure.)"""
    root = bill["metadata"]["component"]
    root |= {"version": ours, "purl": f"pkg:pypi/{root['name']}@{ours}"}
    rows = [row for row in bill.get("dependencies", []) if row["ref"] != root["bom-ref"]]
    needs = {"ref": root["bom-ref"], "dependsOn": sorted(part["bom-ref"] for part in bill["components"])}
    return bill | {"dependencies": [needs, *rows]}


def version() -> str:
    found = re.search(r'__version__ = "(.+)"', read("src/vel_tutor_mcp/__init__.py"))
    assert found is not None
    return found[1]


def make_tools() -> None:
    mark = VENV / "ready"
    lock = read(TOOLS_LOCK)
    if mark.exists() and mark.read_text(encoding="utf-8") == lock:
        return
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV)
    run(*uv, "pip", "install", "--quiet", "--python", BIN / "python", "--require-hashes", "-r", ROOT / TOOLS_LOCK)
    mark.write_text(lock, encoding="utf-8")


def asked(lock: Path) -> Report:
    report: Report = json.loads(run(BIN / "pip-audit", "-r", lock, "--disable-pip", "--no-deps", "-f", "json"))
    return report


def run(*command: str | Path) -> str:
    """What it says on stdout. pip-audit ends with 1 where it has found something, and says what."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=ROOT)  # noqa: S603 - our own tools
    if ended.returncode and not ended.stdout:
        raise subprocess.CalledProcessError(ended.returncode, Path(command[0]).name)
    return ended.stdout


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def said(code: int, sentence: str) -> int:
    print(f"dependencies: {sentence}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The benchmarks that take seconds still run: of one that nobody runs, it shows when its numbers are wanted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# The others take minutes; `make bench` has them all.
BRIEF = ("decision", "tools", "projects", "switching", "trace")


@pytest.mark.timeout(300)
def test_each_benchmark_of_seconds_gives_its_results(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    asked = [f"--only={name}" for name in BRIEF]
    program = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--json", str(told), *asked]
    run = subprocess.run(program, check=False, capture_output=True, text=True, timeout=240)

    assert run.returncode == 0, run.stderr
    results = json.loads(told.read_text(encoding="utf-8"))["results"]
    assert results
    assert [result["name"] for result in results if result["missing"]] == []

"""What a process does not load before it needs it: each of these costs from a tenth to half a second of CPU."""

import subprocess
import sys
from pathlib import Path

from server import environment

LATE = {"openai", "numpy", "genai_prices", "mcp_types", "fastapi", "opentelemetry.sdk"}
LOOKING = """
import sys
sys.argv[1:] = ["task", "list"]
from vel_tutor_mcp.doors.cli import run
run()
"""
TELLING = "import atexit, sys; atexit.register(lambda: print(*sys.modules))"


def test_a_command_that_looks_loads_nothing_that_calls_a_provider_or_serves(tmp_path: Path) -> None:
    told = environment(tmp_path, {"GROQ_API_KEY": "gsk-test"})
    ended = subprocess.run(
        [sys.executable, "-c", TELLING + LOOKING], env=told, cwd=tmp_path, capture_output=True, text=True, check=True
    )

    loaded = set(ended.stdout.split())
    assert "vel_tutor_mcp.app" in loaded
    assert not loaded & LATE


def test_the_door_over_http_loads_no_database_and_nothing_for_scrapes_before_it_listens(tmp_path: Path) -> None:
    program = f"{TELLING}; import vel_tutor_mcp.doors.http"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(ended.stdout.split())
    assert "vel_tutor_mcp.doors.metrics.routes" in loaded
    assert not loaded & (LATE - {"mcp_types"} | {"sqlalchemy", "prometheus_client", "dbos"})

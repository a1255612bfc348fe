import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from commands import run
from processes import HEEDING_CTRL_C
from world import Providers

from vel_tutor_mcp.demo import story
from vel_tutor_mcp.demo.stage import Stage

SECONDS = 120
HEADLINES = (
    "1. A real MCP client starts the real server and lists its tools",
    "2. Create an agent",
    "3. Explain a route",
    "4. Run tasks of several types, with live progress",
    "5. The first provider is down: another one answers",
    "6. Kill the server (kill -9) in the middle of an answer",
    "7. Start the server again: the same task goes on to its end",
    "8. Run a workflow, and kill the server (kill -9) in the middle of it",
    "9. Start the server again: the run goes on, waits for a person, and ends",
    "10. Cancel in the middle of an answer",
    "11. A budget refuses what could cost more than it allows",
    "12. What it cost, and what the strongest model alone would have cost",
    "13. The newest entries of the audit trail, and the proof that nobody changed it",
)


@contextmanager
def started_demo(folder: Path) -> "Iterator[subprocess.Popen[str]]":
    """The demo in a process of its own, among settings of a user's that it must not touch."""
    hostile = {"OPENAI_API_KEY": "sk-of-the-user", "OPENAI_BASE_URL": "no URL", "VEL_TUTOR_NO_SUCH_SETTING": "1"}
    environment = os.environ | hostile | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    command = [*HEEDING_CTRL_C, "demo"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, encoding="utf-8") as demo:
        try:
            yield demo
        finally:
            demo.kill()


def processes_of(folder: Path) -> list[str]:
    """Those that still run with this folder in their environment, where the system shows that."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found += [environ.parent.name] if bytes(folder) in environ.read_bytes() else []
    return found


def test_the_demo_shows_the_main_job_from_end_to_end(tmp_path: Path) -> None:
    with started_demo(tmp_path) as demo:
        told, complaints = demo.communicate(timeout=SECONDS)

    assert demo.returncode == 0, complaints
    assert complaints == ""
    assert [headline for headline in HEADLINES if headline not in told] == []
    assert "The models are simulated" in told
    assert "Every answer and every cost was simulated" in told
    assert max(len(line) for line in told.splitlines()) <= 100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_in_mid_answer_ends_the_demo_and_its_server(tmp_path: Path) -> None:
    with started_demo(tmp_path) as demo:
        assert demo.stdout is not None
        assert any("first token from" in line for line in demo.stdout)

        demo.send_signal(signal.SIGINT)
        _, complaints = demo.communicate(timeout=SECONDS)

    assert demo.returncode == 130
    assert complaints.strip() == "vel-tutor-mcp: the demo was stopped; nothing of it is left."
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_a_step_that_is_not_so_ends_the_demo_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(stage: Stage) -> None:
        """This step finds a fault."""
        stage.screen.check(stage.asked() == 1, "a provider was asked")

    monkeypatch.setattr(story, "tools", wrong)

    assert story.play() == "The demo stopped: it is not so that a provider was asked."


def test_a_refused_call_ends_the_demo_with_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(stage: Stage) -> None:
        """This step asks for what there is not."""
        await stage.call("task_get", id="none")

    monkeypatch.setattr(story, "tools", wrong)

    problem = story.play()

    assert problem is not None
    assert problem.startswith("The demo stopped: task_get was refused: ")


LIVE_HEADLINES = (
    "2. Create an agent that asks the smallest models",
    "4. Kill the server (kill -9) in the middle of an answer",
    "5. Start the server again: the same task goes on to its end",
    "6. Run a workflow: it waits for a person",
    "9. The first provider cannot be reached: another one answers",
    "10. What it cost, and what is left of the budget",
)


@pytest.mark.anyio
async def test_the_live_demo_goes_through_on_simulated_providers_in_the_place_of_the_vendors(
    tmp_path: Path, providers: Providers
) -> None:
    """It asks real vendors only with a person's keys; here its addresses are those of simulated ones."""
    for provider in (providers.openai, providers.groq):
        provider.latency, provider.tokens_per_second = 0.05, 200
        provider.answer = lambda _: "[simulated] " + "word " * 60
    ended = await run(tmp_path, providers.environment(), "demo", "--live", seconds=SECONDS)

    assert ended.code == 0, ended.stderr
    assert [headline for headline in LIVE_HEADLINES if headline not in ended.stdout] == []
    assert f"openai/gpt-6-luna (at {providers.openai.base_url})" in ended.stdout
    assert "for at most $0.05 in all" in ended.stdout
    assert "of $0.05 is spent" in ended.stdout


@pytest.mark.anyio
async def test_the_live_demo_without_a_key_says_so(tmp_path: Path) -> None:
    ended = await run(tmp_path, {}, "demo", "--live")

    assert (ended.code, ended.stdout) == (78, "")
    assert "neither OPENAI_API_KEY nor GROQ_API_KEY is set" in ended.stderr

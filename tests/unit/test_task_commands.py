"""Commands before the product is opened, and what they say of what it returned."""

import asyncio
import dataclasses
import re
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from vel_tutor_mcp.doors import cli
from vel_tutor_mcp.doors.cli import app, output, tasks
from vel_tutor_mcp.doors.cli.product import waited_for
from vel_tutor_mcp.doors.reply import EXIT_CODES
from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import Priority, Task, TaskError, TaskStatus
from vel_tutor_mcp.services.reports import Told, full_task

BAD_USAGE = 2
NOW = datetime(2026, 11, 23, tzinfo=UTC)
TASK = Task(
    id="d5915229-edca-4353-912f-e6a46e1c3b0a",
    owner_id="owner",
    organisation_id="organisation",
    agent_id="agent",
    agent_name="an-agent-with-a-rather-long-name",
    agent_version=1,
    status=TaskStatus.PENDING,
    prompt="A prompt\nof several lines, which is longer than the room that a terminal has for it",
    task_type=None,
    priority=Priority.MEDIUM,
    created_at=NOW,
    updated_at=NOW,
)


def with_status(status: TaskStatus, **values: Any) -> Task:
    return dataclasses.replace(TASK, status=status, **values)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VEL_TUTOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "latin-1.json").write_bytes(b'{"n\xe4me": 1}')
    return tmp_path / "home"


@pytest.mark.parametrize(
    "arguments",
    [
        ["task", "fly"],
        ["task", "submit"],
        ["task", "submit", "Hello", "World"],
        ["task", "submit", "Hello", "--priority", "urgent"],
        ["task", "submit", "Hello", "--type", "poetry"],
        ["task", "submit", "Hello", "--max-cost", "much"],
        ["task", "submit", "Hello", "--wait", "-1"],
        ["task", "get"],
        ["task", "get", "some-id", "--wait", "for ever"],
        ["task", "list", "--status", "lost"],
        ["task", "list", "--limit", "0"],
        ["task", "list", "--limit", "101"],
        ["task", "cancel"],
        ["doctor", "now"],
        ["db", "drop"],
        ["db", "current", "now"],
        ["db", "copy"],
    ],
)
def test_wrong_usage_is_refused_before_anything_is_opened(home: Path, arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, arguments)

    assert ended.exit_code == BAD_USAGE
    assert ended.stdout == ""
    assert not home.exists()


@pytest.mark.parametrize(
    ("options", "stdin", "why"),
    [
        (["Hello", "--parameters", "[1]"], b"", "--parameters is no JSON object"),
        (["Hello", "--parameters", "{"], b"", "--parameters is no JSON object"),
        (["Hello", "--parameters", "[" * 100_000], b"", "--parameters is no JSON object"),
        (["Hello", "--schema", "none.json"], b"", "none.json cannot be read"),
        (["Hello", "--schema", "list.json"], b"", "list.json is no JSON object"),
        (["Hello", "--schema", "latin-1.json"], b"", "latin-1.json is not UTF-8"),
        (["-"], b"caf\xe9", "is not UTF-8"),
        (["-"], b"x" * 400_001, "too long"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_opened(
    home: Path, options: list[str], stdin: bytes, why: str
) -> None:
    ended = CliRunner().invoke(app, ["task", "submit", *options], input=stdin)

    assert isinstance(ended.exception, InputError)
    assert why in str(ended.exception)
    assert not home.exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("no_answer", 69),
        ("provider", 69),
        ("internal", 70),
        ("recovered_too_often", 70),
        ("unavailable", 75),
        ("over_budget", 77),
        ("no_candidate", 78),
        ("invalid_input", 64),
    ],
)
def test_a_failed_task_ends_its_command_with_the_code_of_its_error(error: str, code: int) -> None:
    assert tasks.code_of(TaskStatus.FAILED, TaskError(code=error, message="Why.")) == code


@pytest.mark.parametrize(
    ("status", "code"),
    [("completed", 0), ("cancelled", 79), ("pending", 75), ("in_progress", 75), ("awaiting_approval", 75)],
)
def test_the_exit_code_tells_how_a_task_stands(status: TaskStatus, code: int) -> None:
    assert tasks.code_of(TaskStatus(status), None) == code


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (
            with_status(TaskStatus.COMPLETED, provider="groq", model="m", ended_at=NOW),
            f"[completed by groq/m, $0.000000, 0.0 s, task {TASK.id}]",
        ),
        (with_status(TaskStatus.FAILED, ended_at=NOW), f"[failed, $0.000000, 0.0 s, task {TASK.id}]"),
        (
            TASK,
            f"[pending, $0.000000, task {TASK.id}] Look at it with: vel-tutor-mcp task get {TASK.id} --wait 60",
        ),
    ],
)
def test_a_summary_is_a_line(task: Task, line: str) -> None:
    assert tasks.summary(full_task(Told(task=task, attempts=(), decision=None, history=()))) == line


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (with_status(TaskStatus.CANCELLED), "Cancelled task"),
        (with_status(TaskStatus.CANCELLED, output="text"), "is kept: vel-tutor-mcp task get"),
        (with_status(TaskStatus.COMPLETED), "ended as completed"),
        (with_status(TaskStatus.IN_PROGRESS), "will stop"),
    ],
)
def test_what_is_said_of_a_cancelled_task(task: Task, words: str) -> None:
    assert words in tasks.cancelled_line(task)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_the_terminal_and_keeps_ids_whole(width: int) -> None:
    console = Console(file=StringIO(), width=width, force_terminal=False)
    rows = [tasks.cells(with_status(status)) for status in (TaskStatus.IN_PROGRESS, TaskStatus.AWAITING_APPROVAL)]
    console.print(output.table(tasks.COLUMNS, rows))
    shown = console.file.getvalue()  # type: ignore[attr-defined]

    assert max(map(len, shown.splitlines())) <= width
    assert shown.count(TASK.id) == len(rows)
    assert "A prompt" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext ü世", "plain\n\ttext ü世"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07", "]0;title"),
        ("a\rb\x9bc\u202ed", "abcd"),
    ],
)
def test_an_answer_cannot_command_the_terminal(text: str, shown: str) -> None:
    assert output.harmless(text) == shown


def test_every_exit_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    codes = {*EXIT_CODES.values(), tasks.CANCELLED, tasks.INTERRUPTED, cli.NOT_WRITTEN, BAD_USAGE, 0, 1}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


@pytest.mark.parametrize(
    ("seconds", "seen", "looks"),
    [
        (60, "in_progress in_progress completed", 3),
        (None, "pending in_progress failed", 3),
        (60, "in_progress awaiting_approval in_progress", 2),
        (0, "in_progress completed", 1),
    ],
)
def test_a_command_waits_on_where_the_service_waits_no_longer(seconds: float | None, seen: str, looks: int) -> None:
    states = iter(map(TaskStatus, seen.split()))
    asked: list[float] = []

    async def look(left: float) -> Told:
        asked.append(left)
        return Told(task=with_status(next(states)), attempts=(), decision=None, history=())

    told = asyncio.run(waited_for(look, seconds))

    assert len(asked) == looks
    assert told.status is TaskStatus(seen.split()[looks - 1])
    assert all(left <= (float("inf") if seconds is None else seconds) for left in asked)

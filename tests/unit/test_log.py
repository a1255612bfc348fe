"""What strangers wrote stands in the log as text: it begins no line, and commands no terminal."""

import asyncio
import json
import logging
from types import TracebackType

import pytest
from waits import turns

from vel_tutor_mcp.bearings import at_hand, take_up
from vel_tutor_mcp.doors.process import JsonLine, LogLine, seen

Raised = tuple[type[BaseException], BaseException, TracebackType | None]


@pytest.fixture
def raised() -> Raised:
    try:
        _find({}, "x\nERROR:root:planted\x1b[2J\u202e")
    except LookupError as problem:
        return type(problem), problem, problem.__traceback__
    raise AssertionError


def _find(things: dict[str, int], name: str) -> int:
    if name not in things:
        raise LookupError(name)
    return things[name]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ü, 漢", "plain, ü, 漢"),
        ("a\nERROR:root:b\r\n", r"a\nERROR:root:b\r\n"),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("\u202eback\u2028\x00", r"\u202eback\u2028\x00"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert seen(text) == shown


def test_a_message_is_one_line_and_the_lines_of_a_traceback_are_its_own(raised: Raised) -> None:
    record = logging.LogRecord("vel", logging.ERROR, "", 0, "%s failed", ("a\nERROR:root:b" + "y" * 5_000,), raised)
    first, *rest = LogLine().format(record).split("\n")
    assert first.startswith(r"ERROR:vel:a\nERROR:root:byyy")
    assert len(first) < 4_100
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in "".join(rest)


def test_as_json_a_record_is_one_object_on_one_line(raised: Raised) -> None:
    record = logging.LogRecord("vel", logging.ERROR, "", 0, "%s failed", ("a\nERROR\u202e" + "y" * 5_000,), raised)
    record.created = 1_764_183_600.25
    line = JsonLine().format(record)
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert (told["time"], told["level"], told["logger"]) == ("2025-11-26T19:00:00.250+00:00", "ERROR", "vel")
    assert told["message"].startswith("a\nERROR\u202eyyy")
    assert len(told["message"]) < 4_010
    assert told["exception"].startswith("Traceback")


@pytest.mark.anyio
async def test_a_line_has_the_ids_of_what_is_at_hand_there_and_of_nothing_beside() -> None:
    async def attempt(attempt_id: str) -> dict[str, str]:
        take_up(attempt=attempt_id, run=None)
        await turns()
        told: dict[str, str] = json.loads(JsonLine().format(logging.makeLogRecord({})))
        return {name: told[name] for name in ("request", "task", "run", "attempt") if name in told}

    take_up(task="t", run="r")
    one, two = await asyncio.gather(attempt("1"), attempt("2"))
    assert (one, two) == ({"task": "t", "attempt": "1"}, {"task": "t", "attempt": "2"})
    assert at_hand() == {"task": "t", "run": "r"}

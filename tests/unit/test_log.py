"""What strangers wrote stands in the log as text: it begins no line, and commands no terminal."""

import logging
from types import TracebackType

import pytest

from vel_tutor_mcp.doors.process import LogLine, seen

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

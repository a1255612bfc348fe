"""What of people's text stands in a stream of events."""

import json

import pytest

from vel_tutor_mcp.doors.events import data_of


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\n", "\r", "\x0b", "\x0c", "\x1c", "ü", "😀"], ids=ascii)
def test_no_text_breaks_a_line_and_all_of_it_arrives(sign: str) -> None:
    told = {f"a{sign}": f"b{sign}c"}
    line, end = data_of(told).splitlines()
    assert (json.loads(line.removeprefix("data: ")), end) == (told, "")

"""No cell of a CSV file is a formula, and numbers stay numbers."""

import csv
import io

import pytest

from vel_tutor_mcp.services.sheets import sheet_line


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "-\n"])
def test_a_cell_that_would_be_calculated_is_text(text: str) -> None:
    assert list(csv.reader(io.StringIO(sheet_line([text, "plain"]), newline=""))) == [[f"'{text}", "plain"]]


def test_numbers_stay_numbers_and_nothing_is_an_empty_cell() -> None:
    assert sheet_line(["a,b", -1, 0.5, None, "plain"]) == '"a,b",-1,0.5,,plain'

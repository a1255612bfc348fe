"""Lines of a CSV file that is opened in a spreadsheet: none of its cells is taken for a formula."""

import csv
import io
from collections.abc import Iterable

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")
_END = "\r\n"


def sheet_line(values: Iterable[object]) -> str:
    """A line without its end. None is an empty cell; numbers stay numbers, whatever their sign."""
    text = io.StringIO()
    # Some versions of the writer quote those ends of lines alone that they write themselves.
    csv.writer(text, lineterminator=_END).writerow(
        _safe(value) if isinstance(value, str) else value for value in values
    )
    return text.getvalue().removesuffix(_END)


def _safe(text: str) -> str:
    """The text, behind a quote where a spreadsheet would calculate it, or take the quote away that it begins with."""
    return f"'{text}" if text.startswith(_FORMULAS) else text

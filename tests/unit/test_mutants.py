"""What is told of planted faults: how many the tests found, and where they are blind."""

from pathlib import Path

import pytest
from ci_scripts import script

mutants = script("mutants")

LEDGER = Path("vel_tutor_mcp/routing/ledger.py.meta")
NOT_RUN, NO_TEST, SURVIVED, KILLED, BROKEN, OUT_OF_TIME = None, 33, 0, 1, 3, -24


def test_a_fault_counts_as_found_only_where_a_test_failed_or_went_on_for_too_long() -> None:
    found = mutants.row(LEDGER, [KILLED, BROKEN, KILLED, OUT_OF_TIME, SURVIVED, NO_TEST, NOT_RUN, 35])
    assert (found.module, found.mutants, found.killed, found.timeouts) == ("routing/ledger.py", 8, 3, 1)
    assert (found.survived, found.score) == (4, 50.0)


def test_a_module_of_which_no_fault_was_planted_has_no_score() -> None:
    assert mutants.row(LEDGER, []).score == 0


@pytest.mark.parametrize(
    ("killed", "ends", "said"),
    [([75, 90], 0, ""), ([74, 90], 1, "under 75 % in a.py"), ([0, 1], 1, "under 75 % in a.py, b.py")],
)
def test_one_module_under_the_limit_fails_the_run(
    killed: list[int], ends: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [mutants.Row(name, 100, count, 0) for name, count in zip(["a.py", "b.py"], killed, strict=True)]
    assert mutants.verdict(rows) == ends
    assert said in capsys.readouterr().out


def test_the_table_ends_with_all_modules_together() -> None:
    rows = [mutants.Row("a.py", 100, 80, 10), mutants.Row("b.py", 300, 210, 0)]
    assert mutants.table(rows)[3:-1] == [
        "| a.py | 100 | 80 | 10 | 10 | 90.0 % |",
        "| b.py | 300 | 210 | 90 | 0 | 70.0 % |",
        "| all | 400 | 290 | 100 | 10 | 75.0 % |",
    ]

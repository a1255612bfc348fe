"""Which steps are looked at once more when a run goes on, as a table."""

from typing import Any

import pytest

from vel_tutor_mcp.errors import Conflict, InputError
from vel_tutor_mcp.services import record
from vel_tutor_mcp.workflows.again import again
from vel_tutor_mcp.workflows.graph import Graph, read
from vel_tutor_mcp.workflows.model import RunStep, StepStatus

LETTERS = {
    "c": StepStatus.COMPLETED,
    "f": StepStatus.FAILED,
    "s": StepStatus.SKIPPED,
    "x": StepStatus.CANCELLED,
}


def graph() -> Graph:
    """`a` goes on where it fails, and `b` sees it; `d` needs `b`; `e` is on its own, and fails to `h`."""
    steps: list[dict[str, Any]] = [
        {"id": "a", "on_error": "continue"},
        {"id": "b", "needs": ["a"], "when": "steps.a.status == 'completed'"},
        {"id": "d", "needs": ["b"]},
        {"id": "e", "on_error": {"goto": "h"}},
        {"id": "h"},
        {"id": "z"},
    ]
    return read({"steps": [{"kind": "task", "prompt": "Do it"} | step for step in steps]})


def stored(states: str) -> dict[str, RunStep]:
    """From a letter for each step, a capital one for a step that had begun."""
    made = {}
    for place, (name, letter) in enumerate(zip(graph().steps, states, strict=True)):
        begun = record.now() if letter.isupper() else None
        status = LETTERS[letter.lower()]
        made[name] = RunStep(run_id="r", step_id=name, position=place, status=status, started_at=begun)
    return made


@pytest.mark.parametrize(
    ("states", "chosen", "names"),
    [
        ("CCFCsX", None, "d z"),
        ("CCFCsX", "d", "d z"),
        ("CFxCsC", None, "b d"),
        ("XxxXxX", None, "a b d e h z"),  # cancelled by a person
        ("FssCsF", None, "z"),
        ("FssCsF", "z", "z"),
        ("FssCsF", "a", "a b d z"),  # what failed the run would fail it again
        ("FssFsF", "e", "e h z"),
        ("CCXCsF", "d", "d z"),
    ],
)
def test_a_run_goes_on_from(states: str, chosen: str | None, names: str) -> None:
    assert again(graph(), stored(states), chosen) == names.split()


@pytest.mark.parametrize(
    ("states", "chosen", "why"),
    [
        ("FCCCsF", "a", "The step b has begun with what it saw of a; what a step was given never changes; start a "),
        ("FFxCsX", "a", "The step b has begun with what it saw of a; "),
        ("CCCFCF", "e", "The step h has begun with what it saw of e; "),
        ("CCFCsX", "a", "The step a is completed; only a failed or cancelled step can be tried again; "),
        ("CCFCsX", "h", "The step h is skipped; only a failed or cancelled step can be tried again; "),
    ],
)
def test_a_run_does_not_go_on_from(states: str, chosen: str, why: str) -> None:
    with pytest.raises(Conflict) as refused:
        again(graph(), stored(states), chosen)
    assert str(refused.value).startswith(why)


def test_a_run_does_not_go_on_from_an_unknown_step() -> None:
    with pytest.raises(InputError, match="no such step; its steps are a, b, d, e, h, z; name one of these"):
        again(graph(), stored("CCFCsX"), "y")

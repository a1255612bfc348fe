"""What a run does next, as tables: one row for each rule."""

from typing import Any

import pytest

from vel_tutor_mcp.workflows.graph import Graph, read
from vel_tutor_mcp.workflows.model import StepStatus
from vel_tutor_mcp.workflows.plan import Moves, next_moves, scope_of

LETTERS = {
    "w": StepStatus.WAITING,
    "r": StepStatus.RUNNING,
    "p": StepStatus.AWAITING_APPROVAL,
    "c": StepStatus.COMPLETED,
    "f": StepStatus.FAILED,
    "s": StepStatus.SKIPPED,
    "x": StepStatus.CANCELLED,
}


def graph(*written: str, **conditions: str) -> Graph:
    """From `a`, `b(a)`, `c(a,b) continue`, `d? goto e`: needs in parentheses, then `on_error`; `?` asks a person."""
    return read({"inputs": {"properties": {"x": {}}}, "steps": [step(text, conditions) for text in written]})


def step(text: str, conditions: dict[str, str]) -> dict[str, Any]:
    head, _, on_error = text.partition(" ")
    name, _, needs = head.rstrip(")?").partition("(")
    return {
        "id": name,
        "kind": "approval" if head.endswith("?") else "task",
        "prompt": "Do it",
        "needs": needs.split(",") if needs else [],
        "on_error": {"goto": on_error.removeprefix("goto ")} if "goto" in on_error else on_error or "fail",
    } | ({"when": conditions[name]} if name in conditions else {})


def moves(made: Graph, states: str, outputs: dict[str, Any] | None = None, **inputs: Any) -> Moves:
    """`states` has a letter for each step."""
    statuses = {name: LETTERS[letter] for name, letter in zip(made.steps, states, strict=True)}
    given = {name: (status, (outputs or {}).get(name), None) for name, status in statuses.items()}
    return next_moves(made, statuses, scope_of(inputs, given))


def told(found: Moves) -> str:
    """Such as `start b; skip c: a did not fail`, `failed by a`, `complete` or nothing."""
    if found.failed_by is not None:
        assert found == Moves({}, (), failed_by=found.failed_by)
        return f"failed by {found.failed_by}"
    parts = [f"start {' '.join(found.start)}"] if found.start else []
    parts += [f"skip {name}: {why}" for name, why in found.skip.items()] + ["complete"] * found.complete
    return "; ".join(parts)


DIAMOND = graph("a", "b(a)", "c(a)", "d(b,c)")
# a tries; b goes on where it went well, c where it failed, and d joins the two.
TRIED = graph("a goto c", "b(a)", "c", "d(b,c)")


@pytest.mark.parametrize(
    ("made", "states", "follows"),
    [
        # needs
        (DIAMOND, "wwww", "start a"),
        (DIAMOND, "rwww", ""),
        (DIAMOND, "cwww", "start b c"),
        (DIAMOND, "crcw", ""),
        (DIAMOND, "cccw", "start d"),
        (DIAMOND, "cccc", "complete"),
        (DIAMOND, "cfrw", "failed by b"),
        # what was skipped does not hold up what joins it; where all was, nothing is joined
        (DIAMOND, "cscw", "start d"),
        (DIAMOND, "cssw", "skip d: b, c did not run"),
        (DIAMOND, "ssww", "skip c: a did not run"),
        (DIAMOND, "csrw", ""),
        (DIAMOND, "ssss", "complete"),
        # a failure that goes on counts as met
        (graph("a continue", "b(a)"), "fw", "start b"),
        (graph("a continue", "b", "c(a,b)"), "fsw", "start c"),
        (graph("a continue"), "f", "complete"),
        # else a failure ends the run, whatever else could begin
        (graph("a", "b", "c"), "fww", "failed by a"),
        (graph("a", "b", "c"), "rfw", "failed by b"),
        (graph("a", "b? goto c", "c"), "wwf", "failed by c"),
        # where a failure leads
        (TRIED, "wwww", "start a"),
        (TRIED, "cwww", "start b; skip c: a did not fail"),
        (TRIED, "fwww", "start c; skip b: a failed"),
        (TRIED, "swww", "skip b: a did not run; skip c: a did not fail"),
        (TRIED, "ccsw", "start d"),
        (TRIED, "fscw", "start d"),
        (TRIED, "sssw", "skip d: b, c did not run"),
        (TRIED, "fsfw", "failed by c"),
        (graph("a goto c", "b(a,d)", "c", "d"), "fwcc", "skip b: a failed"),
        (graph("a goto c", "b(a)", "c", "d(b)"), "fscw", "skip d: b did not run"),
        (graph("a goto c", "b goto c", "c"), "cfw", "start c"),
        (graph("a goto c", "b goto c", "c"), "ccw", "skip c: a, b did not fail"),
        (graph("a goto c", "b goto c", "c"), "frw", ""),
        (graph("a goto b", "b(c)", "c"), "fws", "start b"),
        (graph("a goto b", "b(c)", "c"), "cwc", "skip b: a did not fail"),
        (graph("a goto b", "b(a)"), "fw", "start b"),
        (graph("a goto b", "b goto c", "c", "d(c)"), "ffww", "start c"),
        # at most five at once, in their order of writing; who asks a person takes up no room
        (graph(*"abcdefg"), "wwwwwww", "start a b c d e"),
        (graph(*"abcdefg"), "rrrrrww", ""),
        (graph(*"abcdefg"), "rcrrrww", "start f"),
        (graph(*"abcde", "f?", "g"), "rrrrrww", "start f"),
        (graph("a?", "b?", *"cdefgh"), "wwwwwwww", "start a b c d e f g"),
        (graph("a?", "b?", *"cdefgh"), "pprrrrww", "start g"),
    ],
)
def test_what_follows(made: Graph, states: str, follows: str) -> None:
    assert told(moves(made, states)) == follows


@pytest.mark.parametrize(
    ("condition", "state", "runs"),
    [
        ("steps.a.status == 'completed'", "c", True),
        ("steps.a.status == 'completed'", "f", False),
        ("steps.a.status == 'failed'", "f", True),
        ("steps.a.status != 'skipped'", "c", True),
        ("steps.a.output.score >= 0.5", "c", True),
        ("steps.a.output.score >= 0.6", "c", False),
        ("steps.a.output.nothing", "c", False),
        ("inputs.x == 'yes'", "c", True),
        ("not inputs.x", "c", False),
    ],
)
def test_a_condition_sees_inputs_and_what_has_ended(condition: str, state: str, runs: bool) -> None:
    made = graph("a continue", "b(a)", b=condition)
    found = moves(made, f"{state}w", {"a": {"score": 0.5}}, x="yes")
    assert told(found) == ("start b" if runs else "skip b: its condition does not hold")


def test_a_condition_sees_that_a_step_was_skipped() -> None:
    made = graph("a", "b", "c(a,b)", c="steps.b.status == 'skipped' and steps.b.output == null")
    assert told(moves(made, "csw")) == "start c"
    assert told(moves(made, "ccw")) == "skip c: its condition does not hold"


def test_a_condition_is_asked_of_what_failures_lead_to_also() -> None:
    made = graph("a goto b", "b", b="inputs.x")
    assert told(moves(made, "fw", x=True)) == "start b"
    assert told(moves(made, "fw", x=False)) == "skip b: its condition does not hold"


def test_what_has_not_ended_is_not_seen() -> None:
    given = {name: (status, name, None) for name, status in LETTERS.items()}
    assert scope_of({"x": 1}, given) == {
        "inputs": {"x": 1},
        "steps": {
            "c": {"status": "completed", "output": "c", "error": None},
            "f": {"status": "failed", "output": "f", "error": None},
            "s": {"status": "skipped", "output": "s", "error": None},
            "x": {"status": "cancelled", "output": "x", "error": None},
        },
    }

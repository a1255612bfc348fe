from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import candidate

from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.routing.retry import PASSING, GiveUp, Repair, Step, Try, Wait, failure_sentence, next_step


@dataclass(frozen=True)
class Call:
    provider: str
    model: str
    failure: FailureKind | None
    retry_after: float | None = None
    error: str | None = None
    partial: str | None = None


def failed(text: str) -> Call:
    """From `o/a timeout` or `o/a rate_limited 30`."""
    name, kind, *after = text.split()
    provider, _, model = name.partition("/")
    return Call(provider, model, FailureKind(kind) if kind != "cut" else None, float(after[0]) if after else None)


def told(step: Step) -> str:
    match step:
        case Try(chosen):
            return f"try {chosen.name}"
        case Repair(chosen, _):
            return f"repair {chosen.name}"
        case Wait(seconds, chosen):
            return f"wait {seconds:g} {chosen.name}"
        case GiveUp(reason):
            return f"give up: {reason}"


@pytest.mark.parametrize(
    ("candidates", "failures", "step"),
    [
        ("o/a g/b", [], "try o/a"),
        ("o/a g/b", ["o/a timeout"], "try g/b"),
        ("o/a g/b", ["o/a rate_limited 5"], "try g/b"),
        ("o/a g/b", ["o/a malformed"], "try g/b"),
        ("o/a g/b", ["o/a invalid_output"], "repair o/a"),
        ("o/a g/b", ["o/a invalid_output", "o/a invalid_output"], "try g/b"),
        ("o/a g/b", ["o/a invalid_output", "o/a timeout"], "try g/b"),
        ("o/a g/b", ["o/a invalid_output", "o/a cut"], "repair o/a"),
        ("o/a g/b", ["o/a invalid_output", "o/a invalid_output", "g/b invalid_output"], "repair g/b"),
        ("o/a g/b", ["o/a invalid_output"] * 2 + ["g/b invalid_output"] * 2, "give up: no other model is left"),
        ("o/a", ["o/a timeout", "o/a timeout", "o/a timeout", "o/a timeout", "o/a invalid_output"], "give up"),
        ("o/a g/b", ["o/a over_budget"], "try g/b"),
        ("o/a o/c g/b", ["o/a authentication"], "try g/b"),
        ("o/a o/c g/b", ["o/a not_found"], "try o/c"),
        ("o/a g/b", ["o/a cut"], "try o/a"),
        ("o/a g/b", ["o/a bad_request"], "give up: the provider refused the request itself"),
        ("o/a o/c", ["o/a authentication"], "give up: no other model is left"),
        ("o/a o/c g/b", ["o/a no_key"], "try g/b"),
        ("o/a", ["o/a not_found"], "give up: no other model is left"),
        ("o/a", ["o/a malformed"], "give up: no other model is left"),
        ("o/a", ["o/a invalid_output", "o/a invalid_output"], "give up: no other model is left"),
        ("", [], "give up: no other model is left"),
        ("o/a", ["o/a timeout"], "wait 0.5 o/a"),
        ("o/a", ["o/a connection", "o/a connection"], "wait 1 o/a"),
        ("o/a", ["o/a server_error"] * 3, "wait 2 o/a"),
        ("o/a", ["o/a server_error"] * 4, "give up: the limit of 3 retries is reached"),
        ("o/a", ["o/a rate_limited 7"], "wait 7 o/a"),
        ("o/a", ["o/a rate_limited 0.1"], "wait 0.5 o/a"),
        ("o/a", ["o/a rate_limited 60"], "wait 60 o/a"),
        ("o/a", ["o/a rate_limited 61"], "give up: o/a asks to come back in 61 s"),
        ("o/a", ["o/a rate_limited 119"], "give up: o/a asks to come back in 119 s"),
        ("o/a", ["o/a rate_limited 120"], "give up: o/a asks to come back in 2 min"),
        ("o/a", ["o/a rate_limited 3600"], "give up: o/a asks to come back in 60 min"),
        ("o/a g/b", ["o/a rate_limited 3600", "g/b timeout"], "wait 0.5 g/b"),
        ("o/a g/b", ["o/a timeout", "g/b timeout"], "wait 0.5 o/a"),
        ("o/a g/b", ["o/a timeout", "g/b timeout", "o/a timeout"], "wait 0.5 g/b"),
        ("o/a g/b", ["o/a timeout", "g/b authentication"], "wait 0.5 o/a"),
    ],
)
def test_the_step_after_failures(candidates: str, failures: list[str], step: str) -> None:
    order = [candidate(name) for name in candidates.split()]
    assert told(next_step(order, [failed(text) for text in failures], 3)).startswith(step)


def test_without_fallback_only_the_first_candidate_is_asked() -> None:
    order = [candidate("o/a"), candidate("g/b")]
    assert told(next_step(order, [failed("o/a timeout")], 3, fallback=False)) == "wait 0.5 o/a"
    assert told(next_step(order, [failed("o/a timeout")], 0, fallback=False)) == "give up: retries are switched off"
    assert told(next_step(order, [failed("o/a invalid_output")], 0)) == "try g/b"


def test_a_repair_knows_the_answer_that_it_is_of() -> None:
    calls = [failed("g/b timeout"), failed("o/a invalid_output")]
    assert next_step([candidate("g/b"), candidate("o/a")], calls, 3) == Repair(candidate("o/a"), calls[1])


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 0.0), (0.5, 8.0), (1.0, 16.0), (7.0, 16.0)])
def test_jitter_scales_the_backoff(jitter: float, seconds: float) -> None:
    step = next_step([candidate("o/a")], [failed("o/a timeout")] * 6, 10, jitter=jitter)
    assert step == Wait(seconds, candidate("o/a"))


@st.composite
def outages(draw: st.DrawFn) -> tuple[list[Call], int]:
    """The failed calls of a run in which every call fails, and its limit of retries."""
    names = draw(st.lists(st.sampled_from(["o/a", "o/b", "g/c", "g/d", "p/e"]), unique=True))
    retries = draw(st.integers(0, 10))
    calls: list[Call] = []
    for _ in range(len(names) + retries + 1):
        step = next_step([candidate(name) for name in names], calls, retries, jitter=draw(st.floats(0, 1)))
        if isinstance(step, GiveUp):
            return calls, retries
        kind, after = draw(st.sampled_from(FailureKind)), draw(st.none() | st.floats(0, 100))
        calls.append(Call(step.candidate.provider, step.candidate.model, kind, after))
    raise AssertionError("it goes on for ever")


def same(one: Call, other: Call) -> bool:
    return (one.provider, one.model) == (other.provider, other.model)


@given(outages())
def test_it_ends_within_the_retries_and_never_asks_again_where_that_is_no_use(run: tuple[list[Call], int]) -> None:
    calls, retries = run
    assert len(calls) - len({(call.provider, call.model) for call in calls}) <= retries
    for place, call in enumerate(calls):
        invalid = sum(same(other, call) and other.failure is FailureKind.INVALID_OUTPUT for other in calls)
        assert invalid <= 2
        for later in calls[place + 1 :]:
            assert call.failure is not FailureKind.BAD_REQUEST
            of_key = call.failure in {FailureKind.AUTHENTICATION, FailureKind.NO_KEY}
            assert not of_key or later.provider != call.provider
            repaired = call.failure is FailureKind.INVALID_OUTPUT and later is calls[place + 1]
            assert call.failure in PASSING or repaired or not same(later, call)


@given(st.lists(st.builds(failed, st.sampled_from(["o/a timeout", "g/b rate_limited 90", "o/a bad_request"]))))
def test_a_wait_is_never_longer_than_a_minute(calls: list[Call]) -> None:
    step = next_step([candidate("o/a"), candidate("g/b")], calls, 10)
    assert not isinstance(step, Wait) or 0 <= step.seconds <= 60


@pytest.mark.parametrize(
    ("failures", "sentence"),
    [
        ([], "No model answered; every call was interrupted; retry the task."),
        (["o/a timeout"], "No model answered; o/a took too long; retry the task or raise timeout_seconds."),
        (
            ["o/a rate_limited", "g/b authentication", "o/a rate_limited"],
            "No model answered; g/b refused the API key, o/a (2 times) is rate limited; check the provider's API key.",
        ),
        (
            ["o/a no_key"],
            "No model answered; o/a could not be called for want of a key here; set it in this server's environment.",
        ),
        (
            ["o/a not_found"],
            "No model answered; o/a does not exist or is not open to this key; see its attempt or use another model.",
        ),
        (
            ["o/a server_error", "g/b server_error"],
            "No model answered; o/a and g/b had an internal error; retry the task later.",
        ),
    ],
)
def test_a_failed_task_says_what_was_tried_why_and_what_to_do(failures: list[str], sentence: str) -> None:
    assert failure_sentence([failed(text) for text in failures]) == sentence

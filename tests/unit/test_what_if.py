"""What counts as the outcome of a decision, and how the report is told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vel_tutor_mcp.models import (
    AgentConfig,
    Attempt,
    Candidate,
    Decision,
    FailureKind,
    NanoUsd,
    Outcome,
    Policy,
    Priority,
    Task,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.services.what_if import Replayed, outcome_of, report_of
from vel_tutor_mcp.store.decisions import Made

NOW = datetime(2027, 1, 1, tzinfo=UTC)
FIRST = Candidate(
    provider="groq",
    model="small",
    p_ok=0.8,
    p_up=1.0,
    expected_cost_nanousd=NanoUsd(1000),
    expected_latency_ms=100,
    utility=0.5,
)
OTHER = FIRST._replace(model="large", p_ok=0.9, expected_cost_nanousd=NanoUsd(3000), expected_latency_ms=300)
ANSWERED, OTHER_ANSWERED = {"outcome": Outcome.COMPLETED}, {"outcome": Outcome.COMPLETED, "model": "large"}
INVALID = {"outcome": Outcome.FAILED, "failure": FailureKind.INVALID_OUTPUT}
TIMED_OUT = {"outcome": Outcome.FAILED, "failure": FailureKind.TIMEOUT}


def attempt(**fields: Any) -> Attempt:
    base: dict[str, Any] = {
        "id": "a",
        "task_id": "t",
        "attempt_set": 1,
        "number": 1,
        "provider": "groq",
        "model": "small",
    }
    return Attempt(**base | {"started_at": NOW, "total_ms": 50, "cost_nanousd": NanoUsd(900)} | fields)


def made(*attempts: Attempt, ratings: tuple[int, ...] = (), schema: dict[str, Any] | None = None) -> Made:
    task = Task(
        id="t",
        owner_id="u",
        organisation_id="o",
        agent_id="a",
        agent_name="default",
        agent_version=1,
        status=TaskStatus.COMPLETED,
        prompt="Say hello",
        task_type=TaskType.GENERAL,
        priority=Priority.MEDIUM,
        response_schema=schema,
        created_at=NOW,
        updated_at=NOW,
    )
    decision = Decision(
        task_type=TaskType.GENERAL,
        confidence=1,
        policy=Policy.BALANCED,
        candidates=(FIRST, OTHER),
        excluded=(),
        reasons=(),
    )
    return Made(task=task, config=AgentConfig(), decision=decision, attempts=attempts, ratings=ratings)


@pytest.mark.parametrize(
    ("calls", "ratings", "schema", "outcome"),
    [
        ([ANSWERED], (), None, None),
        ([ANSWERED], (5,), None, 1),
        ([ANSWERED], (3,), None, 0.5),
        ([ANSWERED], (5, 1), None, 0.5),
        ([ANSWERED], (), {}, 1),
        ([ANSWERED], (2,), {}, 0),
        ([INVALID, OTHER_ANSWERED], (5,), {}, 0),
        ([TIMED_OUT, OTHER_ANSWERED], (5,), {}, None),
        ([TIMED_OUT, ANSWERED], (4,), None, 1),
        ([], (), None, None),
    ],
)
def test_the_outcome_is_what_was_said_of_the_answer_of_the_model_that_was_chosen(
    calls: list[dict[str, Any]], ratings: tuple[int, ...], schema: dict[str, Any] | None, outcome: float | None
) -> None:
    assert outcome_of(FIRST, made(*(attempt(**call) for call in calls), ratings=ratings, schema=schema)) == outcome


def replayed(would: Candidate | None, outcome: float | None = None, propensity: float = 1.0) -> Replayed:
    answer = attempt(outcome=Outcome.COMPLETED)
    return Replayed(FIRST, would, propensity, outcome, NanoUsd(900), answer)


def test_the_report_adds_costs_and_averages_the_rest() -> None:
    found = report_of(Policy.QUALITY, [replayed(FIRST), replayed(OTHER), replayed(None)], is_cut=False)
    assert (found.decisions, found.same, found.cost_nanousd, found.latency_ms, found.answered) == (3, 1, 2700, 50, 1)
    assert (found.was.cost_nanousd, found.was.latency_ms, found.was.without_model) == (3000, 100, 0)
    assert (found.would.cost_nanousd, found.would.latency_ms, found.would.without_model) == (4000, 200, 1)
    assert found.would.good_enough == pytest.approx((0.8 + 0.9) / 3)


def test_a_report_with_an_estimate_is_told_in_words() -> None:
    rows = [replayed(FIRST if n % 2 else OTHER, outcome=float(n % 4 != 3), propensity=0.5) for n in range(40)]
    found = report_of(Policy.QUALITY, rows, is_cut=True)
    assert found.text() == (
        "The newest 40 decisions made again with the policy quality: 20 have the same first choice.\n"
        "Expected $0.000080, 0.2 s, 85% good enough; of what was chosen $0.000040, 0.1 s, 80%.\n"
        "It did cost $0.000036 and take 0.1 s an answer; 100% were answered.\n"
        "Of 40 known outcomes 75% were good enough; it would have been 30% to 80% (95% interval, doubly robust); 20 "
        "have the same choice, the others rest on what is expected.\n"
        "All models are taken to be up and as fast as the catalog says; prices, models and what feedback says of them "
        "are today's; no fallback is counted in."
    )
    assert found.shown()["outcomes"]["estimate"]["matching"] == 20


def test_nothing_to_replay_is_said() -> None:
    found = report_of(Policy.FASTEST, [], is_cut=False)
    assert found.text() == "There was no decision to make again with the policy fastest."
    assert found.shown()["was"]["answered"] is None

"""The task as its users see it."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from samples import NOW, task

from vel_tutor_mcp.models import (
    Agent,
    AgentConfig,
    AgentStatus,
    AgentType,
    Attempt,
    AuditEntry,
    Candidate,
    Decision,
    Excluded,
    NanoUsd,
    Outcome,
    Policy,
    TaskError,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.services.reports import (
    Told,
    full_task,
    moment,
    short_task,
    shortened,
    shown_agent,
    shown_decision,
    shown_entry,
    shown_usd,
)

CANDIDATE = Candidate(
    provider="groq",
    model="small",
    p_ok=0.9,
    p_up=0.99,
    expected_cost_nanousd=NanoUsd(1_500_000),
    expected_latency_ms=700,
    utility=0.5,
)
DECISION = Decision(
    task_type=TaskType.GENERAL,
    confidence=0.8,
    policy=Policy.BALANCED,
    candidates=(CANDIDATE,),
    excluded=(Excluded(provider="openai", model="large", reason="no key"),),
    reasons=("cheap enough",),
)


def attempt(number: int = 1, **fields: Any) -> Attempt:
    base: dict[str, Any] = {
        "id": f"a{number}",
        "task_id": "t1",
        "attempt_set": 1,
        "number": number,
        "provider": "groq",
        "model": "small",
        "outcome": Outcome.COMPLETED,
        "started_at": NOW,
    }
    return Attempt(**base | fields)


def told(*attempts: Attempt, **fields: Any) -> dict[str, Any]:
    return full_task(Told(task=task(**fields), attempts=attempts, decision=None, history=[]))


def test_a_task_in_short() -> None:
    assert short_task(task(provider="groq", model="small")) == {
        "id": "t1",
        "status": "completed",
        "agent": "default",
        "task_type": "general",
        "priority": "medium",
        "prompt": "Say hello",
        "provider": "groq",
        "model": "small",
        "error": None,
        "created_at": "2026-11-23T08:30:00.123Z",
        "updated_at": "2026-11-23T08:30:00.123Z",
    }


def test_a_failed_task_carries_its_error_and_a_type_only_where_it_has_one() -> None:
    shown = short_task(task(status=TaskStatus.FAILED, task_type=None, error=TaskError(code="no_answer", message="No.")))
    assert (shown["status"], shown["task_type"]) == ("failed", None)
    assert shown["error"] == {"code": "no_answer", "message": "No."}


def test_a_task_in_full_has_all_of_the_short_form_and_more() -> None:
    event = TaskEvent(kind="route", message="general: groq/small", percent=10, at=NOW)
    shown = full_task(Told(task=task(output="Hello"), attempts=[], decision=DECISION, history=[event]))
    assert shown == short_task(task()) | {
        "output": "Hello",
        "partial": False,
        "cost_usd": 0.0,
        "tokens_in": 0,
        "tokens_out": 0,
        "timing": {"queued_ms": None, "first_token_ms": None, "total_ms": None},
        "attempts": [],
        "decision": shown_decision(DECISION),
        "history": [
            {"at": "2026-11-23T08:30:00.123Z", "kind": "route", "message": "general: groq/small", "percent": 10}
        ],
    }


def test_costs_and_tokens_are_those_of_all_attempts() -> None:
    shown = told(
        attempt(1, cost_nanousd=NanoUsd(100), tokens_in=10, tokens_out=None, outcome=Outcome.FAILED, error="timeout"),
        attempt(2, cost_nanousd=None, tokens_in=None),
        attempt(3, cost_nanousd=NanoUsd(200), tokens_in=5, tokens_out=7, first_token_ms=40, total_ms=90),
    )
    assert (shown["cost_usd"], shown["tokens_in"], shown["tokens_out"]) == (3e-07, 15, 7)
    assert [row["outcome"] for row in shown["attempts"]] == ["failed", "completed", "completed"]
    assert shown["attempts"][0]["error"] == "timeout"
    assert shown["attempts"][2]["cost_usd"] == 2e-07


@pytest.mark.parametrize(
    ("started", "ended", "queued_ms", "total_ms"),
    [(None, None, None, None), (20, None, 20, None), (20, 1500, 20, 1500), (-5, -5, 0, 0), (None, 7, None, 7)],
)
def test_times_are_counted_from_the_submission(
    started: int | None, ended: int | None, queued_ms: int | None, total_ms: int | None
) -> None:
    times = [None if at is None else NOW + timedelta(milliseconds=at) for at in (started, ended)]
    timing = told(started_at=times[0], ended_at=times[1])["timing"]
    assert (timing["queued_ms"], timing["total_ms"]) == (queued_ms, total_ms)


def test_the_first_token_is_that_of_the_last_attempt_that_had_one() -> None:
    shown = told(attempt(1, first_token_ms=30), attempt(2, first_token_ms=50), attempt(3))
    assert shown["timing"]["first_token_ms"] == 50


def test_a_first_token_after_no_time_is_one() -> None:
    assert told(attempt(first_token_ms=0))["timing"]["first_token_ms"] == 0


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({"output": None}, None),
        ({"output": "plain"}, "plain"),
        ({"output": '{"x": 1}'}, '{"x": 1}'),
        ({"output": '{"x": 1}', "response_schema": {}}, {"x": 1}),
        ({"output": '{"x": 1}', "response_schema": {"type": "object"}}, {"x": 1}),
        ({"output": '{"x"', "response_schema": {"type": "object"}, "partial": True}, '{"x"'),
        ({"output": None, "response_schema": {"type": "object"}}, None),
    ],
)
def test_an_answer_by_schema_is_a_value_and_any_other_a_text(fields: dict[str, Any], output: Any) -> None:
    assert told(**fields)["output"] == output


@pytest.mark.parametrize(
    ("text", "length", "short"),
    [("", 3, ""), ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("a" * 501, 500, "a" * 499 + "…")],
)
def test_a_text_is_shortened_to_its_length(text: str, length: int, short: str) -> None:
    assert shortened(text, length) == short
    assert len(short) <= length


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (None, None),
        (NOW, "2026-11-23T08:30:00.123Z"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00.000Z"),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T00:00:00.000+02:00"),
    ],
)
def test_a_moment_is_told_in_iso_8601(at: datetime | None, text: str | None) -> None:
    assert moment(at) == text


@pytest.mark.parametrize(("nano", "dollars"), [(None, None), (0, 0.0), (1, 1e-09), (1_250_000_000, 1.25)])
def test_money_is_told_in_dollars(nano: int | None, dollars: float | None) -> None:
    assert shown_usd(None if nano is None else NanoUsd(nano)) == dollars


def test_a_decision_tells_who_could_answer_and_who_could_not() -> None:
    assert shown_decision(DECISION) == {
        "task_type": "general",
        "confidence": 0.8,
        "policy": "balanced",
        "candidates": [
            {
                "provider": "groq",
                "model": "small",
                "p_ok": 0.9,
                "evidence": 0.0,
                "p_up": 0.99,
                "expected_cost_usd": 0.0015,
                "expected_latency_ms": 700,
                "utility": 0.5,
            }
        ],
        "excluded": [{"provider": "openai", "model": "large", "reason": "no key"}],
        "reasons": ["cheap enough"],
        "propensity": 1.0,
        "explored": False,
    }


def test_an_agent_is_told_with_its_configuration_and_not_its_owner() -> None:
    agent = Agent(
        id="1",
        owner_id="u",
        organisation_id="o",
        name="reviewer",
        type=AgentType.CODE_GENERATOR,
        status=AgentStatus.ACTIVE,
        config=AgentConfig(model_preferences={TaskType.CODE_DEBUG: "gpt"}, policy=Policy.CHEAPEST),
        version=3,
        created_at=NOW,
        updated_at=NOW,
    )
    shown = shown_agent(agent)
    assert set(shown) == {"id", "name", "type", "status", "version", "config", "created_at", "updated_at"}
    assert (shown["type"], shown["status"], shown["version"]) == ("code_generator", "active", 3)
    assert shown["config"]["model_preferences"] == {"code_debug": "gpt"}
    assert shown["config"]["policy"] == "cheapest"


def test_an_audit_entry_is_told_without_the_organisation() -> None:
    entry = AuditEntry(
        sequence=2,
        at=NOW,
        organisation_id="o",
        principal="jo",
        action="task_submitted",
        subject="task:1",
        payload={"agent": "default"},
        previous_hash="0" * 64,
        hash="f" * 64,
    )
    assert shown_entry(entry) == {
        "sequence": 2,
        "at": "2026-11-23T08:30:00.123Z",
        "principal": "jo",
        "action": "task_submitted",
        "subject": "task:1",
        "payload": {"agent": "default"},
        "hash": "f" * 64,
    }

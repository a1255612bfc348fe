"""What one call is given: its limits of time, and the prompt."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.models import AgentConfig, Priority, Task, TaskStatus
from vel_tutor_mcp.providers.base import Timeouts
from vel_tutor_mcp.routing.catalog import ModelRow
from vel_tutor_mcp.services.asking import composed, timeouts
from vel_tutor_mcp.settings import Settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def task(prompt: str, parameters: dict[str, Any]) -> Task:
    return Task(
        id="1",
        owner_id="u",
        organisation_id="o",
        agent_id="a",
        agent_name="default",
        agent_version=1,
        status=TaskStatus.PENDING,
        prompt=prompt,
        task_type=None,
        priority=Priority.MEDIUM,
        parameters=parameters,
        created_at=NOW,
        updated_at=NOW,
    )


def limits(total: int, *capabilities: str, expected_ms: int = 60_000, **settings: float) -> Timeouts:
    names = {f"{name}_timeout_seconds": value for name, value in settings.items()}
    row = {"provider": "p", "model": "m", "tier": "small", "context_window": 8192, "capabilities": capabilities}
    return timeouts(
        Settings.model_validate({"home": "home"} | names),
        AgentConfig(timeout_seconds=total),
        ModelRow.model_validate(row),
        expected_ms,
    )


@pytest.mark.parametrize(
    ("given", "connect", "first_token", "between_tokens", "total"),
    [
        (limits(120), 5, 20, 15, 120),
        (limits(120, "reasoning"), 5, 90, 15, 120),
        (limits(120, "json_schema", "search"), 5, 20, 15, 120),
        (limits(60, "reasoning"), 5, 60, 15, 60),
        (limits(10), 5, 10, 10, 10),
        (limits(1, "reasoning"), 1, 1, 1, 1),
        (limits(600, connect=30, first_token=300, between_tokens=200), 30, 300, 200, 600),
        (limits(600, "reasoning", first_token=200, reasoning=500), 5, 300, 15, 600),
        (limits(120, "reasoning", expected_ms=1_000), 5, 20, 15, 120),
        (limits(120, "reasoning", expected_ms=10_000), 5, 50, 15, 120),
        (limits(120, expected_ms=10_000), 5, 20, 15, 120),
        (limits(600, "reasoning", first_token=300, reasoning=0.5), 5, 0.5, 15, 600),
    ],
)
def test_the_limits_of_a_call(
    given: Timeouts, connect: float, first_token: float, between_tokens: float, total: float
) -> None:
    assert given == Timeouts(connect=connect, first_token=first_token, between_tokens=between_tokens, total=total)


seconds = st.floats(0.001, 600)


@given(st.integers(1, 600), st.sampled_from([(), ("reasoning",)]), seconds, seconds, seconds, seconds)
def test_no_limit_is_longer_than_that_of_the_call(
    total: int, capabilities: tuple[str, ...], connect: float, first: float, reasoning: float, between: float
) -> None:
    given = limits(
        total, *capabilities, connect=connect, first_token=first, reasoning=reasoning, between_tokens=between
    )
    assert 0 < max(given.connect, given.first_token, given.between_tokens) <= given.total == total


@pytest.mark.parametrize(
    ("parameters", "prompt"),
    [
        ({}, "Add them."),
        ({"b": 2, "a": [1]}, 'Add them.\n\nParameters (JSON):\n{"a":[1],"b":2}'),
        ({"text": "grün\n"}, 'Add them.\n\nParameters (JSON):\n{"text":"grün\\n"}'),
    ],
)
def test_parameters_stand_under_the_prompt_as_json(parameters: dict[str, Any], prompt: str) -> None:
    assert composed(task("Add them.", parameters)) == prompt

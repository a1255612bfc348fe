"""Values of the domain with nothing odd in them: a test says what it is about, and leaves the rest as it is here."""

from datetime import UTC, datetime
from typing import Any

from vel_tutor_mcp.models import Candidate, NanoUsd, Priority, Task, TaskStatus, TaskType

NOW = datetime(2026, 11, 23, 8, 30, 0, 123456, tzinfo=UTC)


def candidate(name: str) -> Candidate:
    """From `provider/model`."""
    provider, _, model = name.partition("/")
    return Candidate(
        provider=provider,
        model=model,
        p_ok=0.9,
        p_up=0.99,
        expected_cost_nanousd=NanoUsd(1),
        expected_latency_ms=1,
        utility=0.1,
    )


def task(**fields: Any) -> Task:
    base: dict[str, Any] = {
        "id": "t1",
        "owner_id": "u",
        "organisation_id": "o",
        "agent_id": "a",
        "agent_name": "default",
        "agent_version": 1,
        "status": TaskStatus.COMPLETED,
        "prompt": "Say hello",
        "task_type": TaskType.GENERAL,
        "priority": Priority.MEDIUM,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Task(**base | fields)

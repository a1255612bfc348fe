"""What a task is told as to clients of OpenAI's API."""

import pytest
from samples import task

from vel_tutor_mcp.doors.gateway.told import failure
from vel_tutor_mcp.models import TaskError, TaskStatus
from vel_tutor_mcp.services.reports import Told


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (TaskStatus.FAILED, "over_budget", 402),
        (TaskStatus.FAILED, "invalid_input", 400),
        (TaskStatus.FAILED, "no_candidate", 503),
        (TaskStatus.FAILED, "provider", 422),
        (TaskStatus.FAILED, "internal", 422),
        (TaskStatus.CANCELLED, None, 422),
        (TaskStatus.IN_PROGRESS, None, 503),
    ],
    ids=str,
)
def test_only_what_has_not_ended_is_told_as_what_may_be_asked_again(
    status: TaskStatus, code: str | None, told: int
) -> None:
    error = TaskError(code=code, message="It failed.") if code else None
    failed = failure(Told(task=task(status=status, error=error), attempts=(), decision=None, history=()))
    assert failed is not None
    assert failed[0] == told

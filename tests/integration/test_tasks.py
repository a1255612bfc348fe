"""The services with a real database, a real engine and providers that speak the wire."""

import pytest

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Outcome, Principal, TaskRequest, TaskStatus

pytestmark = pytest.mark.anyio


async def test_a_task_is_answered_by_a_model_and_recorded(app: App, me: Principal) -> None:
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    told = await app.tasks.follow(me, task.id, 10)

    assert told.task.status is TaskStatus.COMPLETED
    assert told.task.output is not None
    assert "simulated" in told.task.output
    assert [attempt.outcome for attempt in told.attempts] == [Outcome.COMPLETED]

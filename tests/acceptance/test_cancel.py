"""What is cancelled stops at once, and only that."""

import pytest
from deployment import Deployment
from server import ToolRefused, alone, soon
from world import Providers

pytestmark = pytest.mark.anyio


async def test_a_cancelled_task_closes_its_call_within_a_second_and_keeps_the_text(
    deployment: Deployment, providers: Providers
) -> None:
    groq = providers.groq
    groq.tokens_per_second, groq.answer = 50, lambda _: "word " * 5000
    async with deployment.serving(alone(groq)) as server:
        task = await server.call("task_submit", prompt="Go on and on", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 5))
        server.begin("task_cancel", id=task["id"])
        await soon(groq.until(lambda groq: groq.open == 0), 1)
        task = await server.call("task_get", id=task["id"], wait_seconds=5)

    assert groq.requests[0].closed_early
    assert (task["status"], task["partial"]) == ("cancelled", True)
    assert task["output"].startswith("word word word")
    (attempt,) = task["attempts"]
    assert (attempt["outcome"], attempt["provider"]) == ("cancelled", "groq")
    assert attempt["cost_usd"] > 0


async def test_a_pending_task_is_cancelled_before_anyone_is_asked(deployment: Deployment, providers: Providers) -> None:
    groq = providers.groq
    groq.latency = 60
    async with deployment.serving(alone(groq) | {"VEL_TUTOR_TASKS_IN_PROGRESS": "1"}) as server:
        first = await server.call("task_submit", prompt="First", wait_seconds=0)
        second = await server.call("task_submit", prompt="Second", wait_seconds=0)
        assert second["status"] == "pending"
        second = await server.call("task_cancel", id=second["id"])
        await soon(groq.until(lambda groq: groq.open == 1))
        first = await server.call("task_cancel", id=first["id"])
        with pytest.raises(ToolRefused, match="cancelled already"):
            await server.call("task_cancel", id=second["id"])

    assert (second["status"], second["attempts"], second["cost_usd"]) == ("cancelled", [], 0)
    assert (first["status"], first["output"], first["partial"]) == ("cancelled", None, False)
    assert [request.prompt for request in groq.requests] == ["First"]


async def test_the_next_task_begins_when_the_running_one_is_cancelled(
    deployment: Deployment, providers: Providers
) -> None:
    groq = providers.groq
    groq.latency = 60
    async with deployment.serving(alone(groq) | {"VEL_TUTOR_TASKS_IN_PROGRESS": "1"}) as server:
        first = await server.call("task_submit", prompt="First", wait_seconds=0)
        second = await server.call("task_submit", prompt="Second", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1))
        groq.latency = 0
        await server.call("task_cancel", id=first["id"])
        second = await server.call("task_get", id=second["id"], wait_seconds=15)

    assert second["status"] == "completed"


async def test_giving_up_a_waiting_request_does_not_stop_the_task(deployment: Deployment, providers: Providers) -> None:
    groq = providers.groq
    groq.tokens_per_second = 10
    async with deployment.serving(alone(groq)) as server:
        request, answer = server.begin("task_submit", prompt="Carry on", wait_seconds=45)
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 1))
        server.notify("notifications/cancelled", requestId=request, reason="the user lost patience")
        (listed,) = (await server.call("task_list"))["tasks"]
        task = await server.call("task_get", id=listed["id"], wait_seconds=15)
        assert not answer.done() or "error" in answer.result()  # each transport's own way to give no answer

    assert listed["status"] == "in_progress"
    assert task["status"] == "completed"
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["completed"]
    assert [request.closed_early for request in groq.requests] == [False]


async def test_another_server_on_the_same_home_can_cancel_the_task(
    deployment: Deployment, providers: Providers
) -> None:
    groq = providers.groq
    groq.latency = 60
    async with deployment.serving(alone(groq)) as worker, deployment.serving(alone(groq)) as other:
        task = await worker.call("task_submit", prompt="Stop from afar", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1))
        other.begin("task_cancel", id=task["id"])
        await soon(groq.until(lambda groq: groq.open == 0), 5)
        task = await other.call("task_get", id=task["id"], wait_seconds=5)

    assert task["status"] == "cancelled"
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["cancelled"]

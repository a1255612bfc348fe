"""What is cancelled stops at once, and only that."""

import asyncio

import pytest
from deployment import Deployment
from server import Server, ToolRefused, alone, soon
from wires import Message
from world import Providers

from vel_tutor_mcp.providers.simulated import SimulatedProvider

pytestmark = pytest.mark.anyio

TRIES = 3


async def closed_in_time(runs: Server, asks: Server, groq: SimulatedProvider, seconds: float) -> Message:
    """A task that was cancelled in mid-answer, and whose call was closed within so many seconds.

    On a machine that others use too it may be late, but not each time.
    """
    groq.tokens_per_second, groq.answer = 50, lambda _: "word " * 5000
    loop = asyncio.get_running_loop()
    for _ in range(TRIES):
        task = await runs.call("task_submit", prompt="Go on and on", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[-1].chunks_sent > 5))
        began = loop.time()
        asks.begin("task_cancel", id=task["id"])
        await soon(groq.until(lambda groq: groq.open == 0))
        if loop.time() - began < seconds:
            return await asks.call("task_get", id=task["id"], wait_seconds=15)
    raise AssertionError(f"{TRIES} calls were each closed after more than {seconds} s")


async def test_a_cancelled_task_closes_its_call_within_a_second_and_keeps_the_text(
    deployment: Deployment, providers: Providers
) -> None:
    groq = providers.groq
    async with deployment.serving(alone(groq)) as server:
        task = await closed_in_time(server, server, groq, 1)

    assert groq.requests[-1].closed_early
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
    groq.tokens_per_second = 1  # it does not end by itself before it was listed
    async with deployment.serving(alone(groq)) as server:
        request, answer = server.begin("task_submit", prompt="Carry on", wait_seconds=45)
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 0))
        server.notify("notifications/cancelled", requestId=request, reason="the user lost patience")
        (listed,) = (await server.call("task_list"))["tasks"]
        groq.tokens_per_second = 0
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
    async with deployment.serving(alone(groq)) as worker, deployment.serving(alone(groq)) as other:
        task = await closed_in_time(worker, other, groq, 5)

    assert task["status"] == "cancelled"
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["cancelled"]

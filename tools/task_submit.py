from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, NameRef, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.reply import task_replied
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS, Priority, TaskRequest, TaskType


@tool("Submit task", CALLS_OUT, Operation.TASK_SUBMIT, lasting=True)
async def task_submit(
    desk: Desk,
    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)],
    agent: NameRef = "default",
    task_type: Annotated[TaskType | None, Field(description="inferred if left out")] = None,
    priority: Priority = Priority.MEDIUM,
    parameters: Annotated[dict[str, Any] | None, Field(description="data for the task, sent with the prompt")] = None,
    response_schema: Annotated[dict[str, Any] | None, Field(description="JSON Schema the answer must match")] = None,
    max_cost_usd: Annotated[float | None, Field(gt=0, description="hard limit, all attempts together")] = None,
    idempotency_key: Annotated[
        str | None, Field(max_length=200, description="the same key never starts a second task")
    ] = None,
    wait_seconds: Wait = 45,
) -> CallToolResult:
    """Give a task to an agent; the best affordable model answers, another takes over if it fails. Returns the answer if
    it comes within wait_seconds, else the id to follow with task_get.
    """
    app, me = await desk.enter()
    request = TaskRequest(
        prompt=prompt,
        agent=agent,
        task_type=task_type,
        priority=priority,
        parameters=parameters or {},
        response_schema=response_schema,
        max_cost_usd=max_cost_usd,
        idempotency_key=idempotency_key,
    )
    task = await app.tasks.submit(me, request)
    return task_replied(await app.tasks.follow(me, task.id, wait_seconds, progress()))

from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, NameRef, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.run_reply import run_replied
from vel_tutor_mcp.workflows.model import RunRequest


@tool("Run workflow", CALLS_OUT, Operation.RUN_START, lasting=True)
async def workflow_run(
    desk: Desk,
    workflow: NameRef,
    inputs: Annotated[dict[str, Any] | None, Field(description="as its schema says; see workflow_get")] = None,
    max_cost_usd: Annotated[float | None, Field(gt=0, description="hard limit, all steps together")] = None,
    idempotency_key: Annotated[str | None, Field(max_length=200)] = None,
    wait_seconds: Wait = 45,
) -> CallToolResult:
    """Start a workflow. Returns its result if it comes within wait_seconds, else its id and state; follow it with
    workflow_get. Earlier if a person is to decide.
    """
    app, me = await desk.enter()
    request = RunRequest(
        workflow=workflow, inputs=inputs or {}, max_cost_usd=max_cost_usd, idempotency_key=idempotency_key
    )
    run = await app.runs.start(me, request)
    return run_replied(await app.runs.follow(me, run.id, wait_seconds, progress()))

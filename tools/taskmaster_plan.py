from typing import Annotated, Literal

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.run_reply import run_replied


@tool("Plan with Task Master", CALLS_OUT, Operation.TASKMASTER_PLAN, lasting=True)
async def taskmaster_plan(
    desk: Desk,
    project: Annotated[str, Field(description="absolute path")],
    action: Literal["parse_prd", "expand", "analyze"],
    target: Annotated[str | None, Field(description="PRD file or task id")] = None,
    count: Annotated[int | None, Field(description="of tasks or subtasks to make, about")] = None,
    tag: Annotated[str | None, Field(description="default: the current one")] = None,
    wait_seconds: Wait = 45,
) -> CallToolResult:
    """Parse a PRD, expand a task or analyse complexity with Task Master's AI through this router, and put the outcome
    into the project. It is a run that costs money: follow it with workflow_get.
    """
    app, me = await desk.enter()
    run = await app.plans.start(me, project, action, target=target, count=count, tag=tag)
    return run_replied(await app.runs.follow(me, run.id, wait_seconds, progress()))

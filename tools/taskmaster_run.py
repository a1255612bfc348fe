from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, NameRef, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.run_reply import run_replied
from vel_tutor_mcp.taskmaster.wishes import Wishes


@tool("Run Task Master tasks", CALLS_OUT, Operation.TASKMASTER_RUN, lasting=True)
async def taskmaster_run(
    desk: Desk,
    project: Annotated[str, Field(description="absolute path")],
    ids: Annotated[list[str] | None, Field(description="default: the next ready one")] = None,
    all_ready: bool = False,
    tag: Annotated[str | None, Field(description="default: the current one")] = None,
    agent: NameRef = "default",
    review_agent: NameRef | None = None,
    max_cost_usd: Annotated[float | None, Field(gt=0, description="hard limit, all tasks together")] = None,
    wait_seconds: Wait = 45,
) -> CallToolResult:
    """Do Task Master tasks with agents, in the order of their dependencies, and write results and status back. It is a
    run: follow it with workflow_get, stop it with task_cancel.
    """
    app, me = await desk.enter()
    wishes = Wishes(ids=ids, all_ready=all_ready, tag=tag, agent=agent, review_agent=review_agent)
    run = await app.projects.start(me, project, wishes, max_cost_usd)
    return run_replied(await app.runs.follow(me, run.id, wait_seconds, progress()))

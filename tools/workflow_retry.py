from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, tool
from vel_tutor_mcp.doors.run_reply import run_replied


@tool("Retry from step", CALLS_OUT, Operation.RUN_CHANGE, lasting=True)
async def workflow_retry(
    desk: Desk, run: str, step: Annotated[str | None, Field(description="default: all that failed it")] = None
) -> CallToolResult:
    """Continue a failed or cancelled run from a step; what is completed is kept and not paid again. Follow it with
    workflow_get.
    """
    app, me = await desk.enter()
    await app.runs.retry(me, run, step)
    return run_replied(await app.runs.tell(me, run))

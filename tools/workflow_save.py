from typing import Annotated, Any

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import WRITES, Desk, tool
from vel_tutor_mcp.doors.run_reply import workflow_replied


@tool("Save workflow", WRITES, Operation.WORKFLOW_WRITE)
async def workflow_save(
    desk: Desk,
    name: Annotated[str, Field(min_length=1, max_length=100)],
    definition: Annotated[dict[str, Any], Field(description="see guide://workflows")],
) -> CallToolResult:
    """Save a new version of a workflow: steps with needs, conditions, approvals and maps. Faults are named with their
    place, and nothing faulty is stored. A single prompt needs none: task_submit.
    """
    app, me = await desk.enter()
    return workflow_replied(await app.workflows.save(me, name, definition))

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Limit, tool
from vel_tutor_mcp.doors.reply import items_listed


@tool("List Task Master tasks", READS, Operation.TASKMASTER_READ)
async def taskmaster_list(
    desk: Desk,
    project: Annotated[str, Field(description="absolute path")],
    tag: Annotated[str | None, Field(description="default: the current one")] = None,
    limit: Limit = 20,
    cursor: str | None = None,
) -> CallToolResult:
    """Ready, blocked and done tasks of a Task Master project, and what is wrong with their dependencies."""
    app, me = await desk.enter()
    return items_listed(await app.projects.list(me, project, tag, limit, cursor))

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import WRITES, Desk, tool
from vel_tutor_mcp.doors.reply import replied


@tool("Rate task", WRITES, Operation.TASK_CHANGE)
async def task_rate(
    desk: Desk,
    id: str,
    rating: Annotated[int, Field(ge=1, le=5, description="5 is best")],
    comment: Annotated[str | None, Field(max_length=2000)] = None,
) -> CallToolResult:
    """Rate a task's answer: routing learns from it how good the model is. A later rating replaces it."""
    app, me = await desk.enter()
    task = await app.tasks.rate(me, id, rating, comment)
    return replied(f"Rated {rating} of 5: {task.provider}/{task.model}.", {"id": task.id, "rating": rating})

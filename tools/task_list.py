from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Limit, NameRef, tool
from vel_tutor_mcp.doors.reply import listed
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.services.reports import short_task, shortened
from vel_tutor_mcp.task_lists import ListedTask, TaskFilter

_PROMPT_IN_LINE = 80


@tool("List tasks", READS, Operation.TASK_READ)
async def task_list(
    desk: Desk,
    status: TaskStatus | None = None,
    agent: NameRef | None = None,
    query: Annotated[str | None, Field(max_length=200, description="text in the prompt")] = None,
    limit: Limit = 20,
    cursor: str | None = None,
) -> CallToolResult:
    """List your tasks, newest first, in short form: id, status, agent, prompt, model. Answers and costs: task_get."""
    app, me = await desk.enter()
    page = await app.tasks.list(me, TaskFilter(status=status, agent=agent, query=query), limit=limit, cursor=cursor)
    return listed("tasks", page, short_task, _line)


def _line(task: ListedTask) -> str:
    return f"{task.id} {task.status.value} {task.agent_name}: {shortened(task.prompt, _PROMPT_IN_LINE)!r}"

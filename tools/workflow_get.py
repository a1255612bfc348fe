from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, Limit, NameRef, Wait, tool
from vel_tutor_mcp.doors.progress import progress
from vel_tutor_mcp.doors.run_reply import found_replied, runs_listed

_NAMED = 100


@tool("Get workflow or run", READS, Operation.RUN_READ)
async def workflow_get(
    desk: Desk,
    id: NameRef | None = None,
    limit: Limit = 20,
    cursor: str | None = None,
    wait_seconds: Wait = 0,
) -> CallToolResult:
    """A run with its steps, graph and cost, waiting up to wait_seconds for its end; or a workflow, by id or name, with
    its definition. Without id: your workflows and runs.
    """
    app, me = await desk.enter()
    if id is None:
        runs = await app.runs.list(me, limit=limit, cursor=cursor)
        return runs_listed(await app.workflows.list(me, limit=_NAMED), runs)
    return found_replied(await app.runs.find(me, id, wait_seconds, progress()))

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.dashboard.relay import relayed
from vel_tutor_mcp.doors.desk import FOR_APPS, READS, Desk, tool


@tool("Dashboard data", READS, Operation.TASK_READ, ui=FOR_APPS)
async def dashboard_data(desk: Desk, path: Annotated[str, Field(max_length=2000)]) -> CallToolResult:
    """For the dashboard's page, not for models: what a GET of this REST path answers."""
    return await relayed(desk, path)

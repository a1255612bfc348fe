from mcp_types import CallToolResult

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, tool
from vel_tutor_mcp.doors.reply import replied


@tool("Verify audit", READS, Operation.AUDIT_READ)
async def audit_verify(desk: Desk) -> CallToolResult:
    """Prove that no audit entry was changed, removed, swapped or added; else name the first that was.
    Reads the whole trail, which takes a while.
    """
    app, reader = await desk.enter()
    verdict = await app.audit.verify(reader)
    return replied(verdict.sentences(), verdict.shown())

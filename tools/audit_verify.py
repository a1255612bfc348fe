from mcp_types import CallToolResult

from vel_tutor_mcp.doors.desk import READS, Desk, tool
from vel_tutor_mcp.doors.reply import replied


@tool("Verify audit", READS)
async def audit_verify(desk: Desk) -> CallToolResult:
    """Prove that no audit entry was changed, removed, swapped or added; else name the first that was."""
    app, _ = await desk.enter()
    verdict = await app.audit.verify()
    return replied(verdict.sentences(), verdict.shown())

from typing import Annotated

from pydantic import Field

from vel_tutor_mcp.doors.desk import prompt


@prompt("Review the audit trail", "audit_verify", "audit_search", "usage_report")
async def review_audit(since: Annotated[str, Field(description="ISO 8601, such as 2026-11-23")] = "") -> str:
    """Go through the audit trail and report what stands out."""
    span = f" since {since}" if since else " of the last day"
    return (
        f"Prove the audit trail with audit_verify. Review it{span} with audit_search, page by page, and usage_report.\n"
        "Report in a short list: whether the trail is whole; who did what, how often; failures and fallbacks, with "
        "their providers and reasons; circuit breakers that opened; agents changed or deleted; what it cost and which "
        "tasks cost most. "
        "End with what deserves my attention, or say that nothing does."
    )

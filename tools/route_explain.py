from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import READS, Desk, NameRef, OtherPolicy, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS, TaskType
from vel_tutor_mcp.services.reports import shown_decision


@tool("Explain route", READS, Operation.ROUTE_EXPLAIN)
async def route_explain(
    desk: Desk,
    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)],
    agent: NameRef = "default",
    task_type: TaskType | None = None,
    policy: OtherPolicy | None = None,
) -> CallToolResult:
    """Which model would answer, which would take over, why, and at what cost (US dollars) and wait. Free; calls
    nobody.
    """
    app, me = await desk.enter()
    decision = await app.routes.explain(me, prompt, agent, task_type, policy)
    order = " -> ".join(candidate.name for candidate in decision.candidates) or "no model can take this"
    text = "\n".join([f"{decision.task_type.value}: {order}", *(f"- {reason}" for reason in decision.reasons)])
    return replied(text, shown_decision(decision))

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.desk import CALLS_OUT, Desk, NameRef, tool
from vel_tutor_mcp.doors.reply import replied
from vel_tutor_mcp.models import MAX_PROMPT_CHARACTERS
from vel_tutor_mcp.services.reports import full_task, shown_decision, shown_usd


@tool("Test agent", CALLS_OUT, Operation.AGENT_READ)
async def agent_test(
    desk: Desk,
    agent: NameRef,
    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)] = "Hello",
    live: Annotated[bool, Field(description="make one small paid call")] = False,
) -> CallToolResult:
    """Check that an agent can work: its configuration, keys and models, the route it would take and what that would
    cost. Free and calls nobody, unless live.
    """
    app, me = await desk.enter()
    test = await app.agents.test(me, agent, prompt, live=live)
    data = {
        "agent": test.agent.name,
        "ok": test.ok,
        "checks": [{"check": name, "ok": ok, "detail": detail} for name, ok, detail in test.checks],
        "estimated_tokens_in": test.estimated_tokens_in,
        "estimated_cost_usd": shown_usd(test.estimated_cost_nanousd),
        "decision": shown_decision(test.decision),
        "task": full_task(test.told) if test.told else None,
    }
    lines = [f"{'ok' if ok else 'FAILED'}: {name}: {detail}" for name, ok, detail in test.checks]
    return replied("\n".join(lines), data)

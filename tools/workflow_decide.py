from typing import Annotated

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp_types import CallToolResult
from pydantic import Field

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.doors.approvals import Decision, question
from vel_tutor_mcp.doors.desk import WRITES, Desk, can_ask, tool
from vel_tutor_mcp.doors.run_reply import run_replied, undecided
from vel_tutor_mcp.workflows.model import How


class NotAsked(Decision):
    """The client cannot ask a person: all there is is what the model says."""

    approve: bool = False


async def asked(ctx: Context[Desk], run: str, step: str) -> NotAsked | Elicit[Decision]:
    app, me = await ctx.request_context.lifespan_context.enter()
    found, waiting = await app.runs.asked(me, run, step)
    if not can_ask(ctx):
        return NotAsked()
    return Elicit(question(found, waiting), Decision)


@tool("Decide approval", WRITES, Operation.RUN_CHANGE)
async def workflow_decide(
    desk: Desk,
    run: str,
    step: str,
    approve: bool,
    word: Annotated[ElicitationResult[Decision], Resolve(asked)],
    comment: Annotated[str | None, Field(max_length=2000)] = None,
) -> CallToolResult:
    """Decide a step that waits for a person. The person is asked, and their word counts; where this client cannot ask,
    ask them first: your decision is marked as relayed, or refused.
    """
    app, me = await desk.enter()
    if not isinstance(word, AcceptedElicitation):
        await app.runs.asked(me, run, step)  # somebody else may have decided meanwhile
        return undecided(await app.runs.tell(me, run), step)
    how = How.ELICITED
    if isinstance(word.data, NotAsked):
        how = How.RELAYED
    else:
        approve, comment = word.data.approve, word.data.comment
    await app.runs.decide(me, run, step, how, comment or None, approve=approve)
    return run_replied(await app.runs.tell(me, run))

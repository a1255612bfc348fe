"""Approvals: who may decide, by which way, and that the first decision counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent
from world import ERAS, Era

from vel_tutor_mcp.app import App
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.models import Principal, TaskStatus
from vel_tutor_mcp.workflows.model import How, RunRequest

pytestmark = pytest.mark.anyio

ASKS = {"id": "ok", "kind": "approval", "prompt": "Publish {{ inputs.what }}?"}
THEN = {"id": "then", "kind": "task", "needs": ["ok"], "prompt": "They say {{ steps.ok.output.comment }}"}


async def waiting(app: App, me: Principal, **more: Any) -> str:
    """The id of a run that waits for an approval."""
    inputs = {"type": "object", "properties": {"what": {}}}
    await app.workflows.save(me, "publish", {"inputs": inputs, "steps": [ASKS | more, THEN]})
    run = await app.runs.start(me, RunRequest(workflow="publish", inputs={"what": "it"}))
    assert run.status is TaskStatus.AWAITING_APPROVAL
    return run.id


@asynccontextmanager
async def person(app: App, era: Era, answer: ElicitResult) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client whose person answers so, and what they were asked."""
    asked = list[str]()

    async def answers(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's names
        asked.append(params.message)
        return answer

    desk = Desk()
    desk.opened(app)
    async with Client(make_server(desk), mode=era, elicitation_callback=answers) as client:
        yield client, asked


def text(result: CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, TextContent))


@pytest.mark.parametrize("era", ERAS)
async def test_the_person_is_asked_and_their_word_counts_against_the_models(app: App, me: Principal, era: Era) -> None:
    run_id = await waiting(app, me, human=True)
    no = ElicitResult(action="accept", content={"approve": False, "comment": "Not today"})
    async with person(app, era, no) as (client, asked):
        result = await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": True})

    assert asked == ["The workflow publish asks for your approval (ok):\n\nPublish it?"]
    assert result.structured_content is not None
    (ok, _) = result.structured_content["steps"]
    assert (ok["status"], ok["output"]["approved"], ok["output"]["how"]) == ("failed", False, "elicited")
    assert ok["output"]["comment"] == "Not today"
    assert result.structured_content["error"]["code"] == "rejected"


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_who_gives_no_answer_decides_nothing(app: App, me: Principal, era: Era, action: Any) -> None:
    run_id = await waiting(app, me)
    async with person(app, era, ElicitResult(action=action)) as (client, _):
        result = await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": True})

    assert text(result).startswith("Nobody decided")
    assert (await app.runs.get(me, run_id)).status is TaskStatus.AWAITING_APPROVAL


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("content", [None, {}, {"approve": "SECRET"}])
async def test_a_form_that_comes_back_without_a_decision_decides_nothing(
    app: App, me: Principal, era: Era, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = await waiting(app, me)
    async with person(app, era, ElicitResult(action="accept", content=content)) as (client, _):
        result = await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": True})

    assert text(result) == (
        "workflow_decide did nothing; what this client sent back does not fill in the form that its user was shown; "
        "call again, so that they are asked once more."
    )
    assert "SECRET" not in caplog.text
    assert (await app.runs.get(me, run_id)).status is TaskStatus.AWAITING_APPROVAL


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_who_was_asked_and_came_late_is_told_who_decided(app: App, me: Principal, era: Era, action: Any) -> None:
    run_id = await waiting(app, me)

    async def answers(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's names
        await app.runs.decide(me, run_id, "ok", How.TERMINAL, approve=False)
        return ElicitResult(action=action, content={"approve": True} if action == "accept" else None)

    desk = Desk()
    desk.opened(app)
    async with Client(make_server(desk), mode=era, elicitation_callback=answers) as client:
        result = await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": True})
    assert text(result).startswith(f"The step ok was rejected already, by {me.name} at ")


async def test_a_person_who_sees_a_part_of_the_question_is_told_where_the_whole_is(app: App, me: Principal) -> None:
    run_id = await waiting(app, me, prompt="Long " * 1000)
    async with person(app, "legacy", ElicitResult(action="decline")) as (client, asked):
        await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": True})
    assert asked[0].endswith(f"[cut: 5,000 characters in all; the whole: vel-tutor-mcp run get {run_id}]")


async def test_where_the_client_cannot_ask_the_decision_is_marked_as_relayed(
    app: App, me: Principal, client: Client
) -> None:
    run_id = await waiting(app, me)
    arguments = {"run": run_id, "step": "ok", "approve": True, "comment": "She said yes"}
    result = await client.call_tool("workflow_decide", arguments)

    assert not result.is_error, text(result)
    told = await app.runs.follow(me, run_id, 20)
    assert told.status is TaskStatus.COMPLETED
    assert told.steps[0].output["how"] == How.RELAYED
    assert any(event.message.endswith(", relayed") for event in told.history)


async def test_a_persons_no_is_not_turned_into_a_yes_by_a_model(app: App, me: Principal, client: Client) -> None:
    run_id = await waiting(app, me)
    await app.runs.decide(me, run_id, "ok", How.ELICITED, "No", approve=False)
    await client.call_tool("workflow_retry", {"run": run_id})
    result = await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": True})

    assert result.is_error
    assert "a person's own word only" in text(result)
    await app.runs.decide(me, run_id, "ok", How.TERMINAL, "Well, yes", approve=True)
    assert (await app.runs.follow(me, run_id, 20)).status is TaskStatus.COMPLETED


async def test_a_model_alone_does_not_get_through_a_step_that_wants_a_human(
    app: App, me: Principal, client: Client
) -> None:
    run_id = await waiting(app, me, human=True)
    for approve in (True, False):
        result = await client.call_tool("workflow_decide", {"run": run_id, "step": "ok", "approve": approve})
        assert result.is_error
        assert "a person's own word only" in text(result)

    assert (await app.runs.get(me, run_id)).status is TaskStatus.AWAITING_APPROVAL
    refused = await app.audit.search(me, action="approval_refused", subject=f"run:{run_id}")
    assert len(refused.rows) == 2

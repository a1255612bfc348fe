"""Clients that declare the Tasks extension hold tasks and runs by handles, on our store and by the services' rules."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from handles import TASKS, Data, Handles, ask, begun, call, get, listen, listening
from mcp import Client, MCPError
from mcp.client import ClientRequestContext
from mcp_types import INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY, ElicitRequestParams, ElicitResult
from server import soon
from world import Providers, connected, held

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.providers.simulated import Fault

pytestmark = pytest.mark.anyio

REFUSAL = Fault(kind="status", status=400, message="No.")
ASKS: Data = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Publish it?", "human": True}]}
ASKS_TWICE: Data = {
    "steps": [{"id": name, "kind": "approval", "prompt": f"Is {name} right?"} for name in ("form", "content")]
}
YES = {"action": "accept", "content": {"approve": True, "comment": "Go"}}


async def nobody(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:  # noqa: ARG001 - the SDK's names
    raise AssertionError("What a handle asks is not asked by other ways.")


@pytest.fixture
def heard() -> Handles:
    """What the client is told unasked."""
    return Handles()


@pytest.fixture
async def client(app: App, heard: Handles) -> AsyncIterator[Client]:
    """A client that declares the extension, and asks its person."""
    async with connected(app, "auto", extensions=[heard], elicitation_callback=nobody) as client:
        yield client


@pytest.fixture
async def silent(app: App) -> AsyncIterator[Client]:
    """A client that declares the extension, and asks nobody."""
    async with connected(app, "auto", extensions=[Handles()]) as client:
        yield client


async def run_of(client: Client, definition: Data) -> str:
    await client.call_tool("workflow_save", {"name": "asks", "definition": definition})
    return await begun(client, "workflow_run", workflow="asks")


async def test_a_task_is_held_by_its_id_until_it_gives_its_answer(client: Client, providers: Providers) -> None:
    with held(providers.openai, providers.groq):
        told = await call(client, "task_submit", prompt="Hello")
    ended = await get(client, told["taskId"])
    plain = await client.call_tool("task_get", {"id": told["taskId"]})

    assert (told["resultType"], told["status"], told["ttlMs"], told["pollIntervalMs"]) == (
        "task",
        "working",
        None,
        1000,
    )
    assert {"result", "error", "inputRequests", "requestState"}.isdisjoint(told)
    assert (ended["resultType"], ended["createdAt"]) == ("complete", told["createdAt"])
    assert ended["result"]["structuredContent"] == plain.structured_content
    assert "[simulated groq/" in ended["result"]["content"][0]["text"]


async def test_what_has_ended_already_is_answered_at_once(client: Client, providers: Providers) -> None:
    with held(providers.openai, providers.groq):
        task = await begun(client, "task_submit", prompt="Hello", idempotency_key="once")
    await get(client, task)
    again = await call(client, "task_submit", prompt="Hello", idempotency_key="once")

    assert (again["resultType"], again["structuredContent"]["id"]) == ("complete", task)


async def test_who_does_not_declare_the_extension_is_answered_as_ever(app: App) -> None:
    async with connected(app, "auto") as client:
        answered = await client.call_tool("task_submit", {"prompt": "Hello"})
        with pytest.raises(MCPError) as refused:
            await ask(client, "tasks/get", (answered.structured_content or {})["id"])

    assert (answered.structured_content or {})["status"] == "completed"
    assert refused.value.code == MISSING_REQUIRED_CLIENT_CAPABILITY
    assert refused.value.error.data == {"requiredCapabilities": {"extensions": {TASKS: {}}}}


async def test_a_failed_task_completes_its_call_with_an_error_and_is_another_when_it_is_retried(
    client: Client, providers: Providers
) -> None:
    providers.groq.always = providers.openai.always = REFUSAL
    with held(providers.openai, providers.groq):
        task = await begun(client, "task_submit", prompt="Hello")
    failed = await get(client, task)
    providers.reset()
    with held(providers.openai, providers.groq):
        retried = await begun(client, "task_retry", id=task)
    answered = await get(client, retried)
    before = await get(client, task)

    assert failed["result"]["isError"]
    assert failed["result"]["content"][0]["text"].startswith("Failed: ")
    assert retried == f"{task}:2"
    assert not answered["result"]["isError"]
    assert before["result"]["isError"]
    assert f"goes on as {retried}" in before["result"]["content"][0]["text"]


async def test_cancelling_stops_the_work_and_is_no_error_when_it_has_ended(
    client: Client, providers: Providers, app: App, me: Principal
) -> None:
    with held(providers.openai, providers.groq):
        task = await begun(client, "task_submit", prompt="Hello")
        acknowledged = [await ask(client, "tasks/cancel", task) for _ in range(2)]
        told = await get(client, task, "cancelled")

    assert acknowledged == [{"resultType": "complete"}] * 2
    assert {"result", "error"}.isdisjoint(told)
    assert (await app.tasks.get(me, task)).status == "cancelled"


async def test_a_run_asks_for_its_approvals_one_by_one_and_goes_on(client: Client, app: App, me: Principal) -> None:
    run = await run_of(client, ASKS_TWICE)
    asked = (await get(client, run, "input_required"))["inputRequests"]
    first, second = asked
    await ask(client, "tasks/update", run, inputResponses={first: YES, "unknown": {"ignored": True}})
    left = await get(client, run, "input_required")
    await ask(client, "tasks/update", run, inputResponses={first: YES, second: YES})
    ended = await get(client, run)

    form = asked[first]["params"]
    assert (form["mode"], form["message"]) == (
        "form",
        "The workflow asks asks for your approval (form):\n\nIs form right?",
    )
    assert form["requestedSchema"]["required"] == ["approve"]
    assert list(left["inputRequests"]) == [second]
    assert {step["output"]["how"] for step in ended["result"]["structuredContent"]["steps"]} == {"elicited"}
    decided = await app.audit.search(me, action="approval_decided", subject=f"run:{run}")
    assert [entry.payload["how"] for entry in decided.rows] == ["elicited", "elicited"]


async def test_a_person_who_gives_no_answer_decides_nothing(client: Client) -> None:
    run = await run_of(client, ASKS)
    (key,) = (await get(client, run, "input_required"))["inputRequests"]
    for action in ("decline", "cancel"):
        await ask(client, "tasks/update", run, inputResponses={key: {"action": action}})

    assert list((await get(client, run, "input_required"))["inputRequests"]) == [key]


async def test_a_no_is_kept_and_asking_again_is_another_question(client: Client) -> None:
    run = await run_of(client, ASKS)
    (key,) = (await get(client, run, "input_required"))["inputRequests"]
    await ask(client, "tasks/update", run, inputResponses={key: {"action": "accept", "content": {"approve": False}}})
    rejected = await get(client, run)
    again = await begun(client, "workflow_retry", run=run)
    (other,) = (await get(client, again, "input_required"))["inputRequests"]
    await ask(client, "tasks/update", run, inputResponses={other: YES})
    await ask(client, "tasks/update", again, inputResponses={key: YES})

    assert "rejected" in rejected["result"]["content"][0]["text"]
    assert (again, other != key) == (f"{run}:2", True)
    assert (await get(client, again, "input_required"))["status"] == "input_required"


REFUSED: dict[str, tuple[str, Data]] = {
    "unknown": ("917e6895-66c8-445f-b6d6-6f615c07879c", {}),
    "not-an-id": ("../agents", {}),
    "not-begun-so-often": ("{run}:2", {}),
    "a-form-not-filled-in": ("{run}", {"{key}": {"action": "accept", "content": {"comment": "?"}}}),
    "no-answer-to-a-form": ("{run}", {"{key}": "yes"}),
}


async def test_what_is_wrong_is_refused_in_a_sentence_and_changes_nothing(client: Client) -> None:
    run = await run_of(client, ASKS)
    (key,) = (await get(client, run, "input_required"))["inputRequests"]
    for name, (task_id, answers) in REFUSED.items():
        filled = {given.format(key=key): answer for given, answer in answers.items()}
        with pytest.raises(MCPError) as refused:
            await ask(client, "tasks/update", task_id.format(run=run), inputResponses=filled)
        assert (refused.value.code, refused.value.error.message.count(";")) == (INVALID_PARAMS, 2), name

    assert list((await get(client, run, "input_required"))["inputRequests"]) == [key]


async def test_a_client_that_asks_nobody_is_told_what_a_person_is_to_decide(
    client: Client, silent: Client, app: App, me: Principal
) -> None:
    run = await run_of(client, ASKS)
    (key,) = (await get(client, run, "input_required"))["inputRequests"]
    told = await call(silent, "workflow_run", workflow="asks")
    with pytest.raises(MCPError) as refused:
        await ask(silent, "tasks/update", run, inputResponses={key: YES})

    assert told["resultType"] == "complete"
    assert "Ask the user, then call workflow_decide" in told["content"][0]["text"]
    assert (await get(silent, run))["result"]["structuredContent"]["status"] == "awaiting_approval"
    assert refused.value.code == MISSING_REQUIRED_CLIENT_CAPABILITY
    assert (await app.runs.get(me, run)).status == "awaiting_approval"


async def test_a_step_that_fails_its_run_makes_the_result_an_error(client: Client, providers: Providers) -> None:
    providers.groq.always = providers.openai.always = REFUSAL
    with held(providers.openai, providers.groq):
        run = await run_of(client, {"steps": [{"id": "write", "kind": "task", "prompt": "Write"}]})
    told: dict[str, Any] = (await get(client, run))["result"]

    assert told["isError"]
    assert told["structuredContent"]["error"]["message"].startswith("Step write: ")


async def test_who_listens_is_told_what_looking_would_tell_until_the_end(
    client: Client, heard: Handles, providers: Providers
) -> None:
    run = await run_of(client, ASKS)
    with held(providers.openai, providers.groq) as release:
        task = await begun(client, "task_submit", prompt="Hello")
        async with listening(client, task, "917e6895-66c8-445f-b6d6-6f615c07879c"):
            of_task = await heard.until("working")
            release()
            of_task += await heard.until("completed")
    async with listening(client, run):
        asks = (await heard.until("input_required"))[-1]
        await ask(client, "tasks/update", run, inputResponses=dict.fromkeys(asks["inputRequests"], YES))
        of_run = await heard.until("completed")

    assert of_task[0]["status"] == "working"
    for told in (of_task[-1], of_run[-1]):
        assert told | {"resultType": "complete"} == await ask(client, "tasks/get", told["taskId"])


async def test_who_may_not_look_may_not_listen(client: Client, app: App) -> None:
    task = await run_of(client, ASKS)
    async with connected(app, "auto") as plain:
        refusals: dict[str, tuple[Client, Data]] = {
            "unknown": (client, {"taskIds": ["917e6895-66c8-445f-b6d6-6f615c07879c"]}),
            "no list": (client, {"taskIds": 5}),
            "not declared": (plain, {"taskIds": [task]}),
        }
        codes = {name: await refusal(who, notifications) for name, (who, notifications) in refusals.items()}

    assert codes == {
        "unknown": INVALID_PARAMS,
        "no list": INVALID_PARAMS,
        "not declared": MISSING_REQUIRED_CLIENT_CAPABILITY,
    }


async def refusal(client: Client, notifications: Data) -> int:
    """The code with which it is refused to listen for these."""
    with pytest.raises(MCPError) as refused:
        await soon(listen(client, notifications))
    return refused.value.code

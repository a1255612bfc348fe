"""Workflows as MCP clients see them: tools, resources, and templates as prompts, in both protocol eras."""

import json
from typing import Any
from uuid import uuid4

import pytest
from mcp import Client, MCPError
from mcp_types import CallToolResult, TextContent, TextResourceContents
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault

pytestmark = pytest.mark.anyio

Data = dict[str, Any]

CHAIN: Data = {
    "description": "Two steps.",
    "template": True,
    "inputs": {
        "type": "object",
        "properties": {"topic": {"type": "string", "description": "what about"}, "tone": {"default": "dry"}},
        "required": ["topic"],
    },
    "steps": [
        {"id": "write", "kind": "task", "prompt": "Write of {{ inputs.topic }}"},
        {"id": "mend", "kind": "task", "needs": ["write"], "prompt": "Mend {{ steps.write.output }}"},
    ],
}


def text_of(result: CallToolResult) -> str:
    return " ".join(part.text for part in result.content if isinstance(part, TextContent))


async def told(client: Client, tool: str, **arguments: Any) -> tuple[str, Data]:
    """The text and the data of a call that goes well."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result), dict(result.structured_content or {})


async def read(client: Client, uri: str) -> Data:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    found: Data = json.loads(content.text)
    return found


def fits(text: str, data: Data) -> None:
    assert len(text) <= 20_000
    assert len(json.dumps(data, ensure_ascii=False)) <= 20_000


async def test_a_workflow_is_saved_and_shown_with_its_graph(client: Client) -> None:
    text, saved = await told(client, "workflow_save", name="chain", definition=CHAIN)
    _, shown = await told(client, "workflow_get", id="chain")

    assert text.startswith("Workflow chain, version 1 [")
    assert "Its inputs: topic, tone." in text
    assert (shown["id"], shown["version"], shown["definition"]) == (saved["id"], 1, CHAIN)
    assert shown["graph"] == 'flowchart TD\n  s0["write"]\n  s1["mend"]\n  s0 --> s1'
    assert (await read(client, f"workflow://{saved['id']}"))["definition"] == CHAIN


async def test_a_run_gives_its_output_and_what_it_cost(client: Client) -> None:
    await told(client, "workflow_save", name="chain", definition=CHAIN)
    text, run = await told(client, "workflow_run", workflow="chain", inputs={"topic": "rain"}, max_cost_usd=1)

    assert run["status"] == "completed"
    assert "[simulated groq/" in run["output"]
    assert text.startswith(run["output"])
    assert run["cost_usd"] > 0
    assert run["inputs"] == {"topic": "rain", "tone": "dry"}
    tasks = {step["id"]: step["task"] for step in run["steps"]}
    _, task = await told(client, "task_get", id=tasks["write"])
    assert (task["status"], task["prompt"]) == ("completed", "Write of rain")
    whole = await read(client, f"run://{run['id']}")
    assert whole["steps"] == run["steps"]
    assert "class s0,s1 completed" in whole["graph"]
    assert [event["kind"] for event in whole["history"]][-1] == "completed"


async def test_runs_and_workflows_are_listed_newest_first_and_page_by_page(client: Client) -> None:
    name = f"chain {uuid4()}"  # the newest: "chain" may be older than what other tests have saved
    await told(client, "workflow_save", name=name, definition=CHAIN)
    ids = [(await told(client, "workflow_run", workflow=name, inputs={"topic": "x"}))[1]["id"] for _ in range(3)]

    text, first = await told(client, "workflow_get", limit=2)
    _, second = await told(client, "workflow_get", limit=2, cursor=first["next_cursor"])

    assert [run["id"] for run in first["runs"] + second["runs"]][:3] == ids[::-1]
    assert name in {workflow["name"] for workflow in first["workflows"]}
    assert text.startswith("Workflows: ")


async def test_a_failed_run_says_why_and_goes_on(client: Client, providers: Providers) -> None:
    await told(client, "workflow_save", name="chain", definition=CHAIN)
    providers.groq.faults = [Fault(kind="status", status=400)]
    text, run = await told(client, "workflow_run", workflow="chain", inputs={"topic": "x"})
    assert run["error"]["message"].startswith("Step write: No model answered; ")
    assert f"workflow_retry(run={run['id']})" in text

    await told(client, "workflow_retry", run=run["id"], step="write")
    _, run = await told(client, "workflow_get", id=run["id"], wait_seconds=20)
    assert [step["status"] for step in run["steps"]] == ["completed", "completed"]


async def test_task_cancel_stops_a_run_too(client: Client, providers: Providers) -> None:
    await told(client, "workflow_save", name="chain", definition=CHAIN)
    providers.groq.faults = [Fault(kind="stall")]
    _, run = await told(client, "workflow_run", workflow="chain", inputs={"topic": "x"}, wait_seconds=0)
    text, stopped = await told(client, "task_cancel", id=run["id"])
    assert (stopped["id"], stopped["status"]) == (run["id"], "cancelled")
    assert text.startswith("Cancelled. Continue it with workflow_retry(run=")


async def test_long_outputs_are_cut_in_the_tool_and_whole_in_the_resource(client: Client, providers: Providers) -> None:
    providers.groq.answer = providers.openai.answer = lambda _: "word " * 6000
    steps = [{"id": f"s{number}", "kind": "task", "prompt": "Write much"} for number in range(4)]
    await told(client, "workflow_save", name="long", definition={"steps": steps})
    result = await client.call_tool("workflow_run", {"workflow": "long"})

    assert len(json.dumps(result.structured_content)) <= 25_000
    assert len(text_of(result)) <= 20_000
    run = await read(client, f"run://{(result.structured_content or {})['id']}")
    assert min(len(step["output"]) for step in run["steps"]) > 20_000
    providers.reset()


async def test_templates_are_prompts_with_their_inputs_as_arguments(client: Client) -> None:
    await told(client, "workflow_save", name="chain", definition=CHAIN)
    await told(client, "workflow_save", name="no template", definition=CHAIN | {"template": False})
    prompts = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}

    assert {"delegate", "review_audit", "chain", "write-review-revise", "research-then-answer"} <= prompts.keys()
    assert "no template" not in prompts
    arguments = [(row.name, row.required) for row in prompts["chain"].arguments or ()]
    assert arguments == [("topic", True), ("tone", False)]

    (message,) = (await client.get_prompt("chain", {"topic": "rain"})).messages
    assert isinstance(message.content, TextContent)
    assert "workflow_run. Its inputs" in message.content.text
    assert '{"topic": "rain"}' in message.content.text


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("chain", "The template chain lacks topic; it is required; give it as an argument."),
        ("delegate", "The prompt delegate lacks goal; it is required; give it as an argument."),
        ("nobody", "There is no such prompt; prompts are listed by prompts/list; choose one of these."),
    ],
)
async def test_a_prompt_that_cannot_be_given_says_why(client: Client, name: str, sentence: str) -> None:
    await told(client, "workflow_save", name="chain", definition=CHAIN)
    with pytest.raises(MCPError) as caught:
        await client.get_prompt(name, {})
    assert str(caught.value) == sentence


async def test_whatever_there_is_much_of_an_answer_fits_and_says_what_to_do(client: Client) -> None:
    asks = [{"id": f"{'a' * 37}{number}", "kind": "approval", "prompt": "{{ inputs.x }}"} for number in range(100)]
    definition = {"inputs": {"properties": {"x": {}}}, "steps": asks}
    text, data = await told(client, "workflow_save", name="asks", definition=definition)
    assert "Start it with workflow_run(workflow='asks')." in text
    fits(text, data)

    text, data = await told(client, "workflow_run", workflow="asks", inputs={"x": "long " * 1000})
    assert "Ask the user, then call workflow_decide(run=" in text
    fits(*await told(client, "dashboard_show"))
    fits(text, data)

    text, data = await told(client, "task_cancel", id=data["id"])
    assert ", 0 of 100 steps, " in text
    fits(text, data)


async def test_of_many_versions_the_newest_are_told(client: Client) -> None:
    for number in range(25):
        _, data = await told(
            client, "workflow_save", name="versions", definition=CHAIN | {"description": f"{client} {number}"}
        )
    assert len(data["versions"]) == 20
    assert data["versions"][-1]["version"] == data["version"]


async def test_all_workflows_are_named_also_beside_many_runs(client: Client) -> None:
    wait = {"id": "ok", "kind": "approval", "prompt": "Now?"}
    for number in range(22):
        await told(client, "workflow_save", name=f"{'many' * 20} {number}", definition={"steps": [wait]})
    for _ in range(60):
        await told(client, "workflow_run", workflow=f"{'many' * 20} 0", wait_seconds=0)
    text, data = await told(client, "workflow_get", limit=100)
    assert all(f"{'many' * 20} {number}" in text for number in range(22))
    assert data["workflows"] == "left out: read the names in the text, and each with workflow_get"
    fits(text, data)


async def test_a_rejected_run_does_not_ask_for_another_try(client: Client) -> None:
    wait = {"id": "ok", "kind": "approval", "prompt": "Now?"}
    await told(client, "workflow_save", name="rejected", definition={"steps": [wait]})
    _, data = await told(client, "workflow_run", workflow="rejected")
    _, shown = await told(client, "dashboard_show")
    assert shown["approvals_waiting"] >= 1
    assert all({"run", "step"} <= asked.keys() for asked in shown["approvals"])
    text, _ = await told(client, "workflow_decide", run=data["id"], step="ok", approve=False)
    assert "That decision stands; only if the user wants to be asked again: workflow_retry(run=" in text


async def test_a_run_of_wrong_inputs_is_not_to_be_continued(client: Client) -> None:
    each = {"id": "each", "kind": "map", "over": "inputs.x", "prompt": "Do {{ item }}"}
    await told(client, "workflow_save", name="wrong", definition={"inputs": {"properties": {"x": {}}}, "steps": [each]})
    text, _ = await told(client, "workflow_run", workflow="wrong", inputs={"x": "no list"})
    assert "There is no list to map over" in text
    assert "start a new run with workflow_run" in text
    assert "workflow_retry" not in text


async def test_what_is_nowhere_is_said_to_be_neither_run_nor_workflow(client: Client) -> None:
    result = await client.call_tool("workflow_get", {"id": "nothing"})
    assert text_of(result).startswith("There is no such run or workflow; ")


async def test_a_limit_is_named_where_a_run_may_go_on(client: Client) -> None:
    await told(client, "workflow_save", name="chain", definition=CHAIN)
    text, _ = await told(client, "workflow_run", workflow="chain", inputs={"topic": "rain"}, max_cost_usd=0.000001)
    assert "), with what is left of its $1e-06. [run " in text

"""Every tool through a real client, in both protocol eras: what it does, what it says, and how it refuses."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceLink, ResourceTemplateReference, TextContent, TextResourceContents
from world import Providers, connected, held

from vel_tutor_mcp.app import App
from vel_tutor_mcp.models import Principal, TaskStatus
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.store import agents

pytestmark = pytest.mark.anyio

TOOLS = {
    *("agent_create", "agent_list", "agent_get", "agent_update", "agent_delete", "agent_test"),
    *("task_submit", "task_get", "task_list", "task_cancel", "task_retry", "task_rate"),
    *("workflow_save", "workflow_run", "workflow_get", "workflow_decide", "workflow_retry"),
    *("route_explain", "usage_report", "audit_search", "audit_verify"),
    *("taskmaster_list", "taskmaster_plan", "taskmaster_run"),
    *("dashboard_show", "dashboard_data"),
}
NOWHERE = "917e6895-66c8-445f-b6d6-6f615c07879c"

Data = dict[str, Any]


async def told(client: Client, tool: str, **arguments: Any) -> tuple[str, Data]:
    """The text and the data of a call that goes well."""
    result = await client.call_tool(tool, arguments)
    content = result.content[0]
    assert isinstance(content, TextContent)
    assert not result.is_error, content.text
    assert isinstance(result.structured_content, dict)
    return content.text, result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert result.is_error, content.text
    return content.text


async def new_agent(client: Client, **config: Any) -> str:
    _, data = await told(client, "agent_create", name=f"agent {uuid4()}", config=config)
    return str(data["id"])


async def stalled(client: Client, providers: Providers) -> str:
    """The id of a task whose answer broke into silence after two words."""
    providers.groq.faults = [Fault(kind="stall", after_chunks=2)]
    _, data = await told(client, "task_submit", prompt="Say hello", wait_seconds=0)
    async with asyncio.timeout(20):
        await providers.groq.until(lambda sim: bool(sim.requests) and sim.requests[0].chunks_sent == 2)
    return str(data["id"])


async def cancelled(client: Client, task: str) -> tuple[str, Data]:
    """What is told of a task that is cancelled, once it has stopped: the call itself waits a second for that."""
    text, data = await told(client, "task_cancel", id=task)
    return (text, data) if data["status"] == "cancelled" else await told(client, "task_get", id=task, wait_seconds=50)


async def test_every_tool_is_published_with_title_description_and_annotations(client: Client) -> None:
    published = (await client.list_tools()).tools

    assert {tool.name for tool in published} == TOOLS
    assert all(tool.title and tool.description and tool.annotations for tool in published)
    assert {tool.name for tool in published if tool.annotations and tool.annotations.destructive_hint} == {
        "agent_delete",
        "task_cancel",
    }


async def test_agent_create_saves_an_agent(client: Client, app: App, me: Principal) -> None:
    name = f"agent {uuid4()}"
    text, data = await told(client, "agent_create", name=name, type="researcher", config={"policy": "cheapest"})

    saved, _ = await app.agents.get(me, data["id"])
    assert text == f"Created the agent {name} ({saved.id})."
    assert (saved.name, saved.type, saved.config.policy) == (name, "researcher", "cheapest")
    assert (data["status"], data["version"], data["config"]["max_retries"]) == ("active", 1, 3)


async def test_agent_get_tells_the_configuration_and_its_versions(client: Client) -> None:
    agent = await new_agent(client, temperature=0.5)
    await told(client, "agent_update", agent=agent, config={"temperature": 1})
    text, data = await told(client, "agent_get", agent=agent)

    assert f"{data['name']} is active, version 2" in text
    assert data["config"]["temperature"] == 1
    assert [version["version"] for version in data["versions"]] == [1, 2]


async def test_agent_list_pages_through_all_newest_first(client: Client) -> None:
    made = [await new_agent(client) for _ in range(3)]
    text, data = await told(client, "agent_list", limit=2)
    _, rest = await told(client, "agent_list", limit=1, cursor=data["next_cursor"])

    assert [agent["id"] for agent in data["agents"] + rest["agents"]] == made[::-1]
    assert text.splitlines()[-1] == f"There are more: pass cursor={data['next_cursor']}"


async def test_agent_update_changes_name_status_and_configuration(client: Client) -> None:
    agent, name = await new_agent(client), f"agent {uuid4()}"
    text, data = await told(
        client, "agent_update", agent=agent, name=name, status="inactive", config={"max_retries": 0}
    )

    assert text == f"The agent {name} is now version 2."
    assert (data["name"], data["status"], data["config"]["max_retries"]) == (name, "inactive", 0)


async def test_agent_delete_takes_the_agent_away(client: Client) -> None:
    agent = await new_agent(client)
    text, data = await told(client, "agent_delete", agent=agent)

    assert text == f"Deleted the agent {data['name']}; 0 pending tasks were cancelled."
    assert (data["id"], data["cancelled_tasks"]) == (agent, 0)
    assert "no such agent" in await refused(client, "agent_get", agent=agent)


async def test_agent_test_checks_without_a_call(client: Client, providers: Providers) -> None:
    text, data = await told(client, "agent_test", agent="default", prompt="Say hello")

    assert (data["ok"], data["task"]) == (True, None)
    assert data["estimated_cost_usd"] > 0
    assert text.splitlines()[0] == "ok: configuration: version 1 is valid"
    assert (providers.groq.requests, providers.openai.requests) == ([], [])


async def test_agent_test_live_makes_one_call(client: Client, providers: Providers) -> None:
    text, data = await told(client, "agent_test", agent="default", live=True)

    assert (data["task"]["status"], len(providers.groq.requests)) == ("completed", 1)
    assert text.splitlines()[-1].startswith("ok: live call: task")


async def test_agent_test_says_what_fails(client: Client) -> None:
    text, data = await told(client, "agent_test", agent=await new_agent(client, providers=["perplexity"]))

    assert not data["ok"]
    assert "FAILED: route: no model can take this prompt" in text
    assert data["decision"]["candidates"] == []


async def test_task_submit_answers_with_model_cost_and_id(client: Client) -> None:
    text, data = await told(client, "task_submit", prompt="Say hello", priority="high", parameters={"n": 1})

    answer = "[simulated groq/openai/gpt-oss-20b]"
    assert text.startswith(answer)
    assert f"[groq/openai/gpt-oss-20b, ${data['cost_usd']:.6f}, " in text
    assert text.endswith(f" s, task {data['id']}]")
    assert (data["status"], data["priority"], data["agent"]) == ("completed", "high", "default")
    assert data["output"].startswith(answer)
    assert data["timing"]["total_ms"] >= data["timing"]["queued_ms"] >= 0
    assert data["decision"]["candidates"][0]["model"] == "openai/gpt-oss-20b"
    assert [event["kind"] for event in data["history"]] == ["submitted", "route", "attempt", "completed"]


async def test_task_submit_gives_an_object_where_a_schema_asks_for_one(client: Client) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text, data = await told(client, "task_submit", prompt="Count", response_schema=schema)

    assert data["output"] == {"n": 1}
    assert text.startswith('{\n  "n": 1\n}')


async def test_task_submit_that_does_not_wait_gives_the_id_to_follow(client: Client, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="stall")]
    text, data = await told(client, "task_submit", prompt="Say hello", wait_seconds=0)

    assert data["status"] == "in_progress"
    assert f"Follow it with task_get(id={data['id']}, wait_seconds=50)." in text
    await cancelled(client, data["id"])


async def test_task_submit_under_a_used_key_gives_the_same_task(client: Client, providers: Providers) -> None:
    key = str(uuid4())
    _, first = await told(client, "task_submit", prompt="Once", idempotency_key=key)
    _, again = await told(client, "task_submit", prompt="Once", idempotency_key=key)

    assert again == first
    assert len(providers.groq.requests) == 1
    assert "with another request" in await refused(client, "task_submit", prompt="Twice", idempotency_key=key)


async def test_progress_grows_and_tells_what_happens(client: Client, providers: Providers) -> None:
    providers.groq.faults = [Fault(kind="status", status=500)]
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    await client.call_tool("task_submit", {"prompt": "Say hello"}, progress_callback=hear)

    amounts = [progress for progress, _, _ in heard]
    assert amounts == sorted(set(amounts))
    assert {total for _, total, _ in heard} == {100}
    assert amounts[-1] == 100
    said = "; ".join(message or "" for _, _, message in heard)
    for part in ("asking groq/", "it answered 500", "asking openai/", "answered by openai/"):
        assert part in said


async def test_a_failed_task_is_an_answer_that_says_what_to_do(client: Client, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=400)
    text, data = await told(client, "task_submit", prompt="Say hello")

    assert (data["status"], data["error"]["code"], data["output"]) == ("failed", "no_answer", None)
    assert text.startswith("Failed: No model answered; groq/openai/gpt-oss-20b refused the request; change the prompt")


async def test_a_long_answer_is_cut_and_comes_with_a_link_to_the_whole(client: Client, providers: Providers) -> None:
    providers.groq.answer = lambda _: "ünïcödé " * 4000
    text, data = await told(client, "task_submit", prompt="Say much")
    _, link = (await client.call_tool("task_get", {"id": data["id"]})).content

    assert len(text) <= 20_000
    assert len(json.dumps(data, ensure_ascii=False)) <= 20_000
    assert f"read the resource task://{data['id']}/output for the whole" in text
    assert isinstance(link, ResourceLink)
    (whole,) = (await client.read_resource(link.uri)).contents
    assert isinstance(whole, TextResourceContents)
    assert whole.text == "ünïcödé " * 4000


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18"])
async def test_no_link_goes_to_a_client_whose_protocol_has_none(
    app: App, providers: Providers, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", version)
    providers.groq.answer = lambda _: "much " * 4000
    async with connected(app, "legacy") as client:
        result = await client.call_tool("task_submit", {"prompt": "Say much"})
        assert client.protocol_version == version

    kinds = ["text", "resource_link"] if version >= "2025-06-18" else ["text"]
    assert [block.type for block in result.content] == kinds


async def test_task_get_waits_for_the_end(client: Client, providers: Providers) -> None:
    providers.groq.latency = 0.3
    with held(providers.groq):
        _, submitted = await told(client, "task_submit", prompt="Say hello", wait_seconds=0)
    _, data = await told(client, "task_get", id=submitted["id"], wait_seconds=50)

    assert (submitted["status"], data["status"]) == ("in_progress", "completed")
    assert data["timing"]["total_ms"] >= 300


async def test_task_get_tells_of_a_task_that_runs(client: Client, providers: Providers) -> None:
    task = await stalled(client, providers)
    text, data = await told(client, "task_get", id=task)

    assert (data["status"], data["output"]) == ("in_progress", None)
    assert text.startswith("in_progress: asking groq/openai/gpt-oss-20b. Follow it with task_get")
    await cancelled(client, task)


async def test_task_list_filters_and_carries_the_short_form(client: Client) -> None:
    agent = await new_agent(client)
    for prompt in ("A blue one", "A red one"):
        await told(client, "task_submit", prompt=prompt, agent=agent)
    text, data = await told(client, "task_list", agent=agent, query="BLUE", status="completed")

    (task,) = data["tasks"]
    assert (task["prompt"], data["next_cursor"]) == ("A blue one", None)
    assert {"output", "history", "attempts"}.isdisjoint(task)
    assert text == f"{task['id']} completed {task['agent']}: 'A blue one'"
    assert (await told(client, "task_list", agent=agent, status="failed"))[0] == "No tasks."


async def test_a_list_too_long_for_an_answer_is_cut_and_goes_on_by_its_cursor(client: Client) -> None:
    agent = await new_agent(client)
    prompts = [f"{number} " + "ü" * 600 for number in range(30)]
    await asyncio.gather(*(told(client, "task_submit", prompt=p, agent=agent) for p in prompts))
    seen: list[str] = []
    arguments: Data = {"agent": agent, "limit": 100}
    while arguments.get("cursor", "first"):
        text, data = await told(client, "task_list", **arguments)
        assert max(len(text), len(json.dumps(data, ensure_ascii=False))) <= 20_000
        seen += [task["id"] for task in data["tasks"]]
        arguments["cursor"] = data["next_cursor"]

    assert len(seen) == len(set(seen)) == 30


async def test_task_cancel_keeps_what_had_arrived(client: Client, providers: Providers) -> None:
    text, data = await cancelled(client, await stalled(client, providers))
    async with asyncio.timeout(20):
        await providers.groq.until(lambda sim: not sim.open)

    assert (data["status"], data["partial"]) == ("cancelled", True)
    assert text.startswith("[simulated groq/openai/gpt-oss-20b]\n\nCancelled; the text above is what had arrived [$")
    assert providers.groq.requests[0].closed_early


async def test_task_retry_runs_a_cancelled_task_again(client: Client, providers: Providers) -> None:
    task = await stalled(client, providers)
    await cancelled(client, task)
    text, data = await told(client, "task_retry", id=task)

    assert (data["id"], data["status"], data["partial"]) == (task, "completed", False)
    assert [attempt["outcome"] for attempt in data["attempts"]] == ["cancelled", "completed"]
    assert "retried" in [event["kind"] for event in data["history"]]
    assert text.startswith("[simulated ")


async def test_task_rate_keeps_a_rating(client: Client, app: App, me: Principal) -> None:
    _, task = await told(client, "task_submit", prompt="Say hello")
    text, data = await told(client, "task_rate", id=task["id"], rating=4, comment="Good")

    assert (text, data) == ("Rated 4 of 5: groq/openai/gpt-oss-20b.", {"id": task["id"], "rating": 4})
    (entry,) = (await app.audit.search(me, action="task_rated", subject=f"task:{task['id']}")).rows
    assert entry.payload == {"rating": 4}


async def test_route_explain_calls_nobody_and_costs_nothing(client: Client, providers: Providers) -> None:
    prompt = "Write a Python function that parses CSV files"
    _, before = await told(client, "usage_report")
    text, data = await told(client, "route_explain", prompt=prompt)
    _, after = await told(client, "usage_report")

    assert (data["task_type"], data["candidates"][0]["model"]) == ("code_generation", "openai/gpt-oss-120b")
    assert text.startswith("code_generation: groq/openai/gpt-oss-120b -> ")
    assert all(f"- {reason}" in text for reason in data["reasons"])
    assert {out["reason"] for out in data["excluded"] if out["provider"] == "perplexity"} == {
        "no key: set PERPLEXITY_API_KEY"
    }
    assert (providers.groq.requests, providers.openai.requests) == ([], [])
    assert after["groups"] == before["groups"]


async def test_route_explain_obeys_type_policy_and_agent(client: Client) -> None:
    only = await new_agent(client, providers=["openai"])
    _, data = await told(
        client, "route_explain", prompt="Say hello", agent=only, task_type="translation", policy="quality"
    )

    assert (data["task_type"], data["confidence"], data["policy"]) == ("translation", 1, "quality")
    assert {candidate["provider"] for candidate in data["candidates"]} == {"openai"}


@pytest.mark.parametrize("group_by", ["provider", "model", "agent", "user", "task_type", "day"])
async def test_usage_report_groups_what_was_used(client: Client, me: Principal, group_by: str) -> None:
    _, task = await told(client, "task_submit", prompt="Say hello")
    text, data = await told(client, "usage_report", period="month", group_by=group_by)

    name = {"model": "groq/openai/gpt-oss-20b", "agent": "default", "user": me.name, "task_type": "general"}
    name["day"] = max(group["group"] for group in data["groups"])
    groups = {group["group"]: group for group in data["groups"]}
    mine = groups[name.get(group_by, "groq")]
    assert mine["tasks"] >= 1
    assert mine["cost_usd"] >= task["cost_usd"]
    assert 0 < mine["success"] <= 1
    assert sum(group["cost_usd"] for group in data["groups"]) == pytest.approx(data["cost_usd"])
    assert text.count("\n") == len(groups) + 1  # what all of them and the month came to


async def test_usage_report_compares_with_the_strongest_model_alone(client: Client) -> None:
    await told(client, "task_submit", prompt="Say hello")
    text, data = await told(client, "usage_report")

    assert data["baseline_model"] in {"openai/gpt-6.1-sol", "openai/gpt-6-sol"}
    assert data["savings_usd"] == pytest.approx(data["baseline_cost_usd"] - data["answers_cost_usd"])
    assert f"the same answers from {data['baseline_model']} alone: $" in text


async def test_usage_report_tells_what_another_policy_would_have_chosen(client: Client, providers: Providers) -> None:
    await told(client, "task_submit", prompt="Say hello")
    asked = len(providers.groq.requests)
    text, data = await told(client, "usage_report", what_if_policy="quality")

    other = data["what_if"]
    assert (other["policy"], other["was"]["answered"] > 0) == ("quality", True)
    assert other["would"]["expected_good_enough"] > other["was"]["expected_good_enough"]
    assert other["outcomes"]["estimate"] is None
    assert "made again with the policy quality: " in text
    assert len(providers.groq.requests) == asked


async def test_audit_search_filters_by_action_and_subject(client: Client) -> None:
    _, task = await told(client, "task_submit", prompt="Say hello")
    subject = f"task:{task['id']}"
    text, data = await told(client, "audit_search", subject=subject)
    _, one = await told(client, "audit_search", subject=subject, action="task_completed")

    actions = [entry["action"] for entry in data["entries"]]
    assert actions == ["task_completed", "provider_called", "route_decided", "task_submitted"]
    assert [entry["action"] for entry in one["entries"]] == ["task_completed"]
    assert text.splitlines()[0].endswith(f"task_completed {subject}")


async def test_audit_search_filters_by_principal(client: Client, me: Principal) -> None:
    _, mine = await told(client, "audit_search", principal=me.name, limit=5)
    text, others = await told(client, "audit_search", principal="nobody")

    assert {entry["principal"] for entry in mine["entries"]} == {me.name}
    assert (others["entries"], text) == ([], "No entries.")


async def test_audit_search_filters_by_time(client: Client) -> None:
    agent = await new_agent(client)
    _, made = await told(client, "audit_search", subject=f"agent:{agent}")
    at = datetime.fromisoformat(made["entries"][0]["at"])
    second = timedelta(seconds=1)

    async def found(**times: datetime) -> int:
        iso = {name: time.isoformat() for name, time in times.items()}
        return len((await told(client, "audit_search", subject=f"agent:{agent}", **iso))[1]["entries"])

    assert await found(since=at - second, until=at + second) == 1
    assert await found(since=at + second) == 0
    assert await found(until=at - second) == 0


async def test_audit_verify_proves_the_trail(client: Client) -> None:
    await new_agent(client)
    text, data = await told(client, "audit_verify")
    assert text.startswith("The audit trail is whole: ")
    assert data == data | {"ok": True, "first": 1, "entries": data["last"], "fault": None}


async def test_audit_search_pages_newest_first(client: Client) -> None:
    for _ in range(3):
        await new_agent(client)
    _, first = await told(client, "audit_search", action="agent_created", limit=2)
    _, rest = await told(client, "audit_search", action="agent_created", limit=1, cursor=first["next_cursor"])

    numbers = [entry["sequence"] for entry in first["entries"] + rest["entries"]]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == 3


async def test_taskmaster_list_tells_what_is_ready_and_pages_through_the_rest(client: Client, tmp_path: Path) -> None:
    tasks = [
        {"id": 1, "title": "Dig", "status": "done"},
        {"id": 2, "title": "Build", "status": "pending", "dependencies": ["1"]},
        {"id": 3, "title": "Paint", "status": "pending", "dependencies": [2, 9]},
    ]
    (tmp_path / ".taskmaster" / "tasks").mkdir(parents=True)
    (tmp_path / ".taskmaster" / "tasks" / "tasks.json").write_text(json.dumps({"house": {"tasks": tasks}}))
    text, data = await told(client, "taskmaster_list", project=str(tmp_path), limit=2)
    rest, more = await told(client, "taskmaster_list", project=str(tmp_path), cursor=data["next_cursor"])

    assert text.splitlines() == [
        f"Tag house of project {data['project']}: 1 ready, 1 blocked, 1 done; next: 2.",
        "Fault: 3 depends on 9, which does not exist.",
        "2 ready: Build",
        "3 blocked: Paint, waits for 2, 9",
        "There are more: pass cursor=blocked:3",
    ]
    assert rest.splitlines()[-1] == "1 done: Dig"
    assert [task["id"] for task in data["tasks"] + more["tasks"]] == ["2", "3", "1"]
    assert (data["next"], data["tags"], data["faults"][0]["kind"]) == ("2", ["house"], "missing_dependency")

    (content,) = (await client.read_resource(f"taskmaster://{data['project']}/tasks")).contents
    assert isinstance(content, TextResourceContents)
    assert json.loads(content.text)["tasks"] == data["tasks"] + more["tasks"]
    with pytest.raises(MCPError, match="There is no such project"):
        await client.read_resource("taskmaster://0123456789ab/tasks")
    assert "The cursor is not one" in await refused(client, "taskmaster_list", project=str(tmp_path), cursor="x")
    assert "it has house" in await refused(client, "taskmaster_list", project=str(tmp_path), tag="garden")


async def completed(client: Client, uri: str, begun: str, argument: str = "id") -> list[str]:
    result = await client.complete(ResourceTemplateReference(uri=uri), {"name": argument, "value": begun})
    assert len(result.completion.values) <= 100
    return result.completion.values


async def test_ids_and_names_go_on_as_what_the_caller_has(client: Client) -> None:
    agent = await new_agent(client)
    _, task = await told(client, "task_submit", prompt="Say hello", agent=agent)
    _, run = await told(client, "workflow_run", workflow="write-review-revise", inputs={"topic": "x"}, wait_seconds=0)
    await told(client, "task_cancel", id=run["id"])

    assert await completed(client, "agent://{id}", "DEFAULT") == ["default"]
    assert await completed(client, "agent://{id}", agent[:9]) == [agent]
    assert await completed(client, "agent://{id}", task["agent"][:-1]) == [task["agent"]]
    assert await completed(client, "workflow://{id}", "write") == ["write-review-revise"]
    for kind, thing in (("task", task["id"]), ("run", run["id"])):
        assert await completed(client, f"{kind}://{{id}}", thing[:13].upper()) == [thing]
        assert thing in (await completed(client, f"{kind}://{{id}}", ""))[:10]  # behind those of the run's steps
        assert await completed(client, f"{kind}://{{id}}", f"{thing[:9]}-") == []
    assert await completed(client, "task://{id}/output", task["id"]) == [task["id"]]
    await told(client, "agent_delete", agent=agent)
    assert await completed(client, "agent://{id}", agent) == []


async def test_more_than_a_hundred_names_are_the_first_hundred_and_that_there_are_more(
    client: Client, app: App, me: Principal
) -> None:
    begun = f"{uuid4()} 100%_"
    names = [*(f"{begun} {number:03}" for number in range(101)), begun.replace("%_", "ab")]
    known, _ = await app.agents.get(me, "default")
    async with app._parts.database.write(me.organisation_id) as tx:
        for name in names:
            await agents.insert(tx, replace(known, id=str(uuid4()), name=name))
    ref = ResourceTemplateReference(uri="agent://{id}")
    all_of_them = await client.complete(ref, {"name": "id", "value": begun})
    one = await client.complete(ref, {"name": "id", "value": f"{begun} 100"})

    assert all_of_them.completion.values == names[:100]
    assert (all_of_them.completion.has_more, one.completion.has_more) == (True, False)
    assert one.completion.values == [names[100]]


async def test_arguments_go_on_as_what_there_is(client: Client, app: App, me: Principal, tmp_path: Path) -> None:
    (tmp_path / ".taskmaster" / "tasks").mkdir(parents=True)
    (tmp_path / ".taskmaster" / "tasks" / "tasks.json").write_text(json.dumps({"house": {"tasks": []}}))
    _, project = await told(client, "taskmaster_list", project=str(tmp_path))
    name = f"flow {uuid4()}"
    tone = {"enum": ["formal", "friendly", 3]}
    definition = {
        "template": True,
        "inputs": {"type": "object", "properties": {"tone": tone, "topic": {}}},
        "steps": [{"id": "a", "kind": "task", "prompt": "{{ inputs.tone }}"}],
    }
    await app.workflows.save(me, name, definition)

    async def prompted(prompt: str, argument: str, begun: str) -> list[str]:
        found = await client.complete(PromptReference(name=prompt), {"name": argument, "value": begun})
        return found.completion.values

    assert await completed(client, "guide://{topic}", "ro", "topic") == ["routing"]
    assert await completed(client, "taskmaster://{project}/tasks", project["project"][:6], "project") == [
        project["project"]
    ]
    assert await prompted("run_task_master", "project", str(tmp_path)) == [str(tmp_path)]
    assert await prompted("compare_models", "models", "openai/gpt-4o-m") == ["openai/gpt-4o-mini"]
    assert await prompted("compare_models", "models", "a, openai/gpt-4o-m") == ["a, openai/gpt-4o-mini"]
    assert await prompted("compare_models", "models", "perplexity/") == []  # it has no key
    assert await prompted("compare_models", "task_type", "code") == ["code_generation", "code_debug"]
    assert await prompted(name, "tone", "f") == ["formal", "friendly"]
    assert await prompted(name, "topic", "") == []
    assert await prompted("delegate", "goal", "") == []
    assert await prompted("no such prompt", "x", "") == []
    assert await completed(client, "nowhere://{id}", "") == []


PLANS = {"steps": [{"id": "a", "kind": "plan"}]}


async def test_dashboard_show_sums_up_what_is_open(client: Client, providers: Providers) -> None:
    text, before = await told(client, "dashboard_show")
    task = await stalled(client, providers)
    _, data = await told(client, "dashboard_show", view="runs", id=task)
    await cancelled(client, task)

    assert text.startswith(f"Tasks in progress: {before['tasks_in_progress']}, waiting for their turn: ")
    assert (before["view"], before["id"], data["view"], data["id"]) == ("tasks", None, "runs", task)
    assert data["tasks_in_progress"] == before["tasks_in_progress"] + 1
    assert data["open_tasks"][0]["id"] == task
    assert data["cost_of_day_usd"] >= before["cost_of_day_usd"]


async def test_dashboard_data_gives_the_page_what_rest_answers(client: Client) -> None:
    word = str(uuid4())
    _, task = await told(client, "task_submit", prompt=f"Say hello to {word}")
    text, data = await told(client, "dashboard_data", path=f"/api/tasks?query=to%20{word}&limit=5")
    error = (await client.call_tool("dashboard_data", {"path": "/api/tasks/nobody"})).structured_content or {}

    assert [row["id"] for row in data["data"]] == [task["id"]]
    assert data["meta"] == {"total": 1, "limit": 5, "offset": 0}
    assert text.endswith(" characters of data for the dashboard; models have tools of their own.")
    assert error["error"]["code"] == "NOT_FOUND"


REFUSALS: list[tuple[str, Data, str]] = [
    ("task_submit", {}, "Bad argument `prompt` of task_submit; "),
    ("task_submit", {"prompt": ""}, "Bad argument `prompt` of task_submit; "),
    ("task_submit", {"prompt": "  "}, "The prompt is empty; there is nothing to do; say what"),
    ("task_submit", {"prompt": "x" * 100_001}, "Bad argument `prompt` of task_submit; "),
    ("task_submit", {"prompt": "x", "priority": "now"}, "Bad argument `priority` of task_submit; "),
    ("task_submit", {"prompt": "x", "wait_seconds": 51}, "Bad argument `wait_seconds` of task_submit; "),
    ("task_submit", {"prompt": "x", "max_cost_usd": 0}, "Bad argument `max_cost_usd` of task_submit; "),
    ("task_submit", {"prompt": "x", "agent": "nobody"}, "There is no such agent; no agent of yours has this id"),
    ("task_submit", {"prompt": "x", "response_schema": {"type": "no"}}, "The response_schema is no JSON Schema; "),
    ("task_get", {"id": NOWHERE}, "There is no such task; no task of yours has this id; see task_list."),
    ("task_get", {"id": "no-id"}, "There is no such task; no task of yours has this id; see task_list."),
    ("task_cancel", {"id": NOWHERE}, "There is no such task or run; "),
    ("task_retry", {"id": NOWHERE}, "There is no such task; "),
    ("task_rate", {"id": NOWHERE, "rating": 5}, "There is no such task; "),
    ("task_rate", {"id": NOWHERE, "rating": 6}, "Bad argument `rating` of task_rate; "),
    ("task_list", {"limit": 101}, "Bad argument `limit` of task_list; "),
    ("task_list", {"cursor": "WzFd"}, "The cursor is not one of this list; "),
    ("task_list", {"agent": "nobody"}, "There is no such agent; "),
    ("agent_create", {"name": ""}, "Bad argument `name` of agent_create; "),
    ("agent_create", {"name": "default"}, "You have an agent of this name already; names are unique; choose another"),
    (
        "agent_create",
        {"name": "x", "config": {"temperature": 3}},
        "Bad argument `config.temperature` of agent_create; ",
    ),
    (
        "agent_create",
        {"name": "x", "config": {"model_preferences": {"poetry": "gpt-4o"}}},
        "Bad argument `config.model_preferences.poetry",
    ),
    ("agent_create", {"name": "x", "config": {"colour": 3}}, "Bad argument `config.colour` of agent_create; "),
    ("agent_create", {"name": "x", "config": {"providers": ["no"]}}, "No such provider; it is not in the catalog; use"),
    ("agent_get", {"agent": "nobody"}, "There is no such agent; "),
    ("agent_update", {"agent": "default", "config": {"policy": "no"}}, "Bad value for config.policy; "),
    ("agent_update", {"agent": "default", "name": "other"}, "The agent default keeps its name; "),
    ("agent_update", {"agent": "default", "status": "error"}, "Bad argument `status` of agent_update; "),
    ("agent_delete", {"agent": "default"}, "The agent default stays; "),
    ("agent_list", {"status": "gone"}, "Bad argument `status` of agent_list; "),
    ("agent_test", {"agent": "nobody"}, "There is no such agent; "),
    ("route_explain", {"prompt": "x", "policy": "fixed"}, "Bad argument `policy` of route_explain; "),
    ("usage_report", {"period": "year"}, "Bad argument `period` of usage_report; "),
    ("usage_report", {"what_if_policy": "fixed"}, "Bad argument `what_if_policy` of usage_report; "),
    ("audit_search", {"since": "yesterday"}, "`since` is not a time; it must be ISO 8601; write it like 2026-"),
    ("audit_search", {"until": "0001-01-01T00:00:00+14:00"}, "`until` is not a time; "),
    ("workflow_save", {"name": "x", "definition": {"steps": []}}, "The definition is not valid; steps: "),
    (
        "workflow_save",
        {"name": "x", "definition": PLANS},
        "The definition is not valid; steps.a.kind: a plan is begun ",
    ),
    ("workflow_run", {"workflow": "nobody"}, "There is no such workflow; "),
    ("workflow_get", {"id": "nobody"}, "There is no such run or workflow; "),
    ("workflow_decide", {"run": NOWHERE, "step": "x", "approve": True}, "There is no such run; "),
    ("workflow_retry", {"run": NOWHERE}, "There is no such run; "),
    ("taskmaster_list", {"project": "here"}, "The project's path is relative; "),
    ("taskmaster_list", {"project": "/no/such/folder"}, "There is no such folder; "),
    ("taskmaster_plan", {"project": "here", "action": "analyze"}, "The project's path is relative; "),
    ("taskmaster_plan", {"project": "/", "action": "plan"}, "Bad argument `action` of taskmaster_plan; "),
    ("taskmaster_run", {"project": "here"}, "The project's path is relative; "),
    ("taskmaster_run", {"project": "/", "ids": ["1"], "all_ready": True}, "Give ids or all_ready; both were given; "),
    ("taskmaster_run", {"project": "/", "ids": ["a b"]}, "The ids are no list of items; "),
    ("dashboard_show", {"view": "users"}, "Bad argument `view` of dashboard_show; "),
    ("dashboard_data", {"path": f"/api/tasks/{NOWHERE}"}, "There is no such task; "),
    ("dashboard_data", {"path": "/api/tasks?limit=1000"}, "Bad value for limit; "),
    ("dashboard_data", {"path": "/api/nothing"}, "There is no such path; "),
    ("no_such_tool", {}, "Unknown tool: no_such_tool; "),
]


async def test_every_refusal_says_what_why_and_what_to_do(client: Client, providers: Providers) -> None:
    for tool, arguments, sentence in REFUSALS:
        said = await refused(client, tool, **arguments)

        assert said.startswith(sentence)
        assert said.endswith(".")
        assert said.count("; ") >= 1
    assert {tool for tool, _, _ in REFUSALS} - {"no_such_tool"} == TOOLS - {"audit_verify"}  # which takes no argument
    assert (providers.groq.requests, providers.openai.requests) == ([], [])


async def test_a_refused_argument_is_never_repeated(client: Client) -> None:
    secret = "sk-proj-abcdefgh"
    for arguments in ({"prompt": "x", "priority": secret}, {"prompt": "x", "agent": secret}, {"prompt": [secret]}):
        assert secret not in await refused(client, "task_submit", **arguments)


async def test_an_ended_task_is_neither_cancelled_nor_retried(client: Client) -> None:
    _, task = await told(client, "task_submit", prompt="Say hello")

    assert task["status"] == TaskStatus.COMPLETED
    assert "is completed already; only a task that has not ended" in await refused(client, "task_cancel", id=task["id"])
    assert "only a failed or cancelled one can be retried" in await refused(client, "task_retry", id=task["id"])

"""Every resource and template through a real client, in both protocol eras."""

import json
import time
from dataclasses import asdict
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents
from server import soon
from world import Providers

from vel_tutor_mcp.app import App
from vel_tutor_mcp.doors.dashboard.page import html
from vel_tutor_mcp.models import AgentConfig, AgentType, FailureKind, Principal, TaskRequest
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.doctor import checkup
from vel_tutor_mcp.services.doctor.checkup import check_up
from vel_tutor_mcp.services.reports import Told, full_task
from vel_tutor_mcp.store.places import database_of

pytestmark = pytest.mark.anyio

JSON, TEXT, MARKDOWN = "application/json", "text/plain", "text/markdown"


async def text_of(client: Client, uri: str, mime_type: str = JSON) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert (content.uri, content.mime_type) == (uri, mime_type)
    return content.text


async def read(client: Client, uri: str) -> Any:
    return json.loads(await text_of(client, uri))


async def answered(app: App, me: Principal, prompt: str = "Say hello") -> Told:
    task = await app.tasks.submit(me, TaskRequest(prompt=prompt))
    return await app.tasks.follow(me, task.id, 20)


async def test_all_are_published_with_title_description_and_type(client: Client) -> None:
    resources = (await client.list_resources()).resources
    templates = (await client.list_resource_templates()).resource_templates

    assert {resource.uri: resource.mime_type for resource in resources} == dict.fromkeys(
        (
            "agents://list",
            "tasks://recent",
            "audit://recent",
            "models://catalog",
            "usage://summary",
            "health://status",
        ),
        JSON,
    ) | {"ui://vel-tutor/dashboard.html": "text/html;profile=mcp-app"}
    assert {template.uri_template: template.mime_type for template in templates} == {
        "agent://{id}": JSON,
        "task://{id}": JSON,
        "task://{id}/output": TEXT,
        "guide://{topic}": MARKDOWN,
        "run://{id}": JSON,
        "workflow://{id}": JSON,
        "taskmaster://{project}/tasks": JSON,
    }
    assert all(resource.title and resource.description for resource in resources)
    assert all(template.title and template.description for template in templates)


async def test_the_dashboards_page_is_the_one_that_browsers_get_and_asks_for_no_domain(client: Client) -> None:
    (page,) = (await client.read_resource("ui://vel-tutor/dashboard.html")).contents

    assert isinstance(page, TextResourceContents)
    assert (page.mime_type, page.text) == ("text/html;profile=mcp-app", html())
    assert page.meta == {"ui": {"csp": {"connectDomains": [], "resourceDomains": []}, "prefersBorder": True}}


async def test_agents_are_read_one_by_one_and_as_a_list(client: Client, app: App, me: Principal) -> None:
    made = await app.agents.create(me, "my helper", AgentType.RESEARCHER, AgentConfig(system_prompt="Help."))

    listed = (await read(client, "agents://list"))["agents"]
    assert [agent["name"] for agent in listed] == ["my helper", "default"]
    for reference in (made.id, "my%20helper"):
        agent = await read(client, f"agent://{reference}")
        assert (agent["id"], agent["config"]["system_prompt"]) == (made.id, "Help.")
        assert [version["version"] for version in agent["versions"]] == [1]


async def test_a_task_is_read_with_its_whole_output(
    client: Client, app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.answer = lambda _: "ünïcödé " * 4000
    told = await answered(app, me)

    assert await read(client, f"task://{told.task.id}") == full_task(told)
    assert await text_of(client, f"task://{told.task.id}/output", TEXT) == "ünïcödé " * 4000
    (recent,) = (await read(client, "tasks://recent"))["tasks"]
    assert (recent["id"], recent["status"]) == (told.task.id, "completed")


async def test_the_output_of_a_task_is_empty_until_there_is_one(
    client: Client, app: App, me: Principal, providers: Providers
) -> None:
    providers.groq.always = Fault(kind="stall", after_chunks=2)
    task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
    await soon(providers.groq.until(lambda sim: bool(sim.requests) and sim.requests[0].chunks_sent == 2))

    before = await text_of(client, f"task://{task.id}/output", TEXT)
    await app.tasks.cancel(me, task.id)
    await app.tasks.follow(me, task.id, 20)  # the cancelling waits for its end no longer than a second
    after = await text_of(client, f"task://{task.id}/output", TEXT)

    assert (before, after) == ("", "[simulated groq/openai/gpt-oss-20b]")


async def test_the_audit_shows_its_newest_entries(client: Client, app: App, me: Principal) -> None:
    await answered(app, me)

    entries = (await read(client, "audit://recent"))["entries"]
    assert [entry["action"] for entry in entries][:2] == ["task_completed", "provider_called"]
    assert entries[-1]["sequence"] == 1


async def test_the_catalog_says_what_each_model_costs_and_whether_it_can_be_used(client: Client) -> None:
    models = {f"{row['provider']}/{row['model']}": row for row in (await read(client, "models://catalog"))["models"]}

    mini, sonar = models["openai/gpt-4o-mini"], models["perplexity/sonar"]
    assert mini["usd_per_1000_in_1000_out"] == pytest.approx(0.00075)
    assert (mini["configured"], sonar["configured"]) == (True, False)
    assert models["groq/mixtral-8x7b-32768"]["retired"]


async def test_usage_compares_with_the_strongest_model_alone(client: Client, app: App, me: Principal) -> None:
    (attempt,) = (await answered(app, me)).attempts
    usage = await read(client, "usage://summary")

    assert (usage["day"]["period"], usage["month"]["period"]) == ("day", "month")
    for report in usage.values():
        strongest = app.catalog.find(report["baseline_model"])
        alone = app.prices.cost(strongest, attempt.tokens_in or 0, attempt.tokens_out or 0) or 0
        assert strongest.tier == "frontier"
        assert report["cost_usd"] == pytest.approx((attempt.cost_nanousd or 0) / 1e9)
        assert report["baseline_cost_usd"] == pytest.approx(alone / 1e9)
        assert report["savings_usd"] > 0
        assert [group["group"] for group in report["groups"]] == ["groq"]


async def test_health_names_providers_and_open_circuits(client: Client, app: App) -> None:
    well = await read(client, "health://status")
    for _ in range(5):
        app.health.record("groq", "openai/gpt-oss-20b", FailureKind.SERVER_ERROR, time.time())
    ill = await read(client, "health://status")

    assert (well["status"], well["providers"], well["circuits_open"]) == ("ok", ["groq", "openai"], [])
    assert ill["circuits_open"] == ["groq/openai/gpt-oss-20b"]


async def test_health_tells_what_the_doctor_finds(client: Client, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_GLANCE_SECONDS", 20.0)  # long enough for both to see the whole file
    told = {check["check"]: check for check in (await read(client, "health://status"))["checks"]}
    found = {finding.check: asdict(finding) for finding in await check_up(lambda: app._parts.settings, database_of)}

    assert {"home folder", "database", "traces"} <= told.keys() <= found.keys()
    same = told.keys() - {"home folder"}  # whose free space is told in bytes
    assert {name: told[name] for name in same} == {name: found[name] for name in same}


@pytest.mark.parametrize("client", ["auto"], indirect=True)
async def test_guides_are_markdown(client: Client) -> None:
    for topic in ("start", "agents", "tasks", "routing", "money", "errors"):
        assert (await text_of(client, f"guide://{topic}", MARKDOWN)).startswith("# ")


async def test_what_is_not_there_is_an_error_that_says_so(client: Client) -> None:
    for uri, sentence in (
        ("task://917e6895-66c8-445f-b6d6-6f615c07879c", "There is no such task; no task of yours has this id;"),
        ("task://no-id/output", "There is no such task; no task of yours has this id;"),
        ("agent://no%00body", "Unknown resource"),
        ("task://no%00id/output", "Unknown resource"),
        ("agent://nobody", "There is no such agent; no agent of yours has this id or name;"),
        ("guide://cooking", "There is no guide on this topic; the topics are agents, errors, money, routing, start"),
        ("guide://..%2F..%2Fpyproject", "Unknown resource"),
        ("nothing://here", "Unknown resource"),
    ):
        with pytest.raises(MCPError, match=sentence):
            await client.read_resource(uri)

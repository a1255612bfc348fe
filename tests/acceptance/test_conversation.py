"""The official SDK's client, in both protocol eras and over each transport, with the real server as a subprocess."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cues import Cues
from deployment import Deployment
from mcp import Client
from mcp_types import TextResourceContents
from server import soon
from world import ERAS, Era, Providers

from vel_tutor_mcp.models import TaskType

pytestmark = pytest.mark.anyio

COLOUR = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=ERAS)
def era(request: pytest.FixtureRequest) -> Era:
    era: Era = request.param
    return era


@pytest.fixture(scope="module")
def cues() -> Cues:
    return Cues()


@pytest.fixture(scope="module")
async def client(place: Deployment, vendors: Providers, era: Era, cues: Cues) -> AsyncIterator[Client]:
    async with place.client(era, vendors.environment(), message_handler=cues.hear) as client:
        yield client


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await soon(client.call_tool(tool, arguments))
    assert not result.is_error, result.content
    content: dict[str, Any] = result.structured_content
    return content


async def read(client: Client, uri: str) -> str:
    (content,) = (await soon(client.read_resource(uri))).contents
    assert isinstance(content, TextResourceContents)
    return content.text


def paced(vendors: Providers, monkeypatch: pytest.MonkeyPatch, tokens_per_second: float) -> None:
    for vendor in (vendors.groq, vendors.openai):
        monkeypatch.setattr(vendor, "tokens_per_second", tokens_per_second)


async def test_the_tools_are_listed(client: Client) -> None:
    names = {tool.name for tool in (await soon(client.list_tools())).tools}

    assert {"agent_create", "task_submit", "task_get", "task_cancel", "route_explain", "audit_search"} <= names


async def test_an_agent_is_created_and_found_by_its_name(client: Client, era: Era) -> None:
    created = await called(client, "agent_create", name=f"Poet {era}", config={"system_prompt": "Rhyme."})
    found = await called(client, "agent_get", agent=f"Poet {era}")

    assert found["id"] == created["id"]
    assert found["config"]["system_prompt"] == "Rhyme."


async def test_a_route_is_explained_without_a_call(client: Client, vendors: Providers) -> None:
    before = len(vendors.openai.requests + vendors.groq.requests)
    decision = await called(client, "route_explain", prompt="Write a function in Python that reverses a list")

    assert decision["task_type"] == "code_generation"
    assert {candidate["provider"] for candidate in decision["candidates"]} == {"openai", "groq"}
    assert decision["reasons"]
    assert len(vendors.openai.requests + vendors.groq.requests) == before


async def test_a_task_is_answered_with_its_model_cost_and_route(client: Client) -> None:
    task = await called(client, "task_submit", prompt="Say hello", wait_seconds=15)

    chosen = task["decision"]["candidates"][0]
    assert (task["status"], task["provider"], task["model"]) == ("completed", chosen["provider"], chosen["model"])
    assert task["output"].startswith(f"[simulated {task['provider']}/{task['model']}]")
    assert 0 < task["cost_usd"] < 0.01
    assert [attempt["cost_usd"] for attempt in task["attempts"]] == [task["cost_usd"]]


async def test_progress_arrives_and_grows(client: Client, vendors: Providers, monkeypatch: pytest.MonkeyPatch) -> None:
    paced(vendors, monkeypatch, 3.0)
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        if "tokens so far" in (message or ""):
            paced(vendors, monkeypatch, 0.0)

    await soon(client.call_tool("task_submit", {"prompt": "Say hello slowly"}, progress_callback=hear))

    shares = [share for share, _, _ in told]
    assert shares == sorted(set(shares))
    assert shares[-1] == 100
    words = " ".join(message or "" for _, _, message in told)
    assert "asking " in words
    assert "first token from " in words
    assert "tokens so far" in words


async def test_a_task_and_its_whole_text_are_resources(client: Client) -> None:
    task = await called(client, "task_submit", prompt="Say hello to a resource", wait_seconds=15)

    shown = json.loads(await read(client, f"task://{task['id']}"))
    assert (shown["status"], shown["attempts"]) == ("completed", task["attempts"])
    assert await read(client, f"task://{task['id']}/output") == task["output"]


async def test_who_subscribes_to_a_task_hears_of_its_end(
    client: Client, cues: Cues, vendors: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    paced(vendors, monkeypatch, 2.0)
    task = await called(client, "task_submit", prompt="Say hello to a listener", wait_seconds=0)
    async with cues.of(client, output := f"task://{task['id']}/output"):
        paced(vendors, monkeypatch, 0.0)  # it ends now, and not before
        while await cues.next() != output:
            pass
    assert "hello" in await read(client, output)


async def test_tasks_of_every_type_are_answered_side_by_side(client: Client) -> None:
    calls = [called(client, "task_submit", prompt="Do it", task_type=kind, wait_seconds=30) for kind in TaskType]
    tasks = await asyncio.gather(*calls)

    assert {task["status"] for task in tasks} == {"completed"}
    assert [task["task_type"] for task in tasks] == list(TaskType)
    assert [task["decision"]["task_type"] for task in tasks] == list(TaskType)


async def test_an_answer_by_schema_is_an_object(client: Client) -> None:
    task = await called(client, "task_submit", prompt="Which colour?", response_schema=COLOUR, wait_seconds=15)

    assert task["output"] == {"colour": "simulated"}
    assert json.loads(await read(client, f"task://{task['id']}/output")) == task["output"]


async def test_the_same_key_is_the_same_task(client: Client, vendors: Providers, era: Era) -> None:
    once = {"prompt": "Only once", "idempotency_key": era, "wait_seconds": 15}
    first, again = await called(client, "task_submit", **once), await called(client, "task_submit", **once)
    other = await soon(client.call_tool("task_submit", once | {"prompt": "Something else"}))

    assert again == first
    assert other.is_error
    assert first["id"] in str(other.content)
    sent = [received.prompt for received in vendors.groq.requests + vendors.openai.requests]
    assert "Something else" not in sent

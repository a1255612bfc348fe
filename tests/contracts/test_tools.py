"""Each tool as clients see it, reviewed: a change of what is published is a change of a file here."""

import asyncio
import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from world import ERAS, Era

from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.models import TaskType

Published = dict[str, Any]

HERE = Path(__file__).parent
UPDATE = "VEL_UPDATE_CONTRACTS=1 pytest tests/contracts"
NO_TOOL = "server.schema"
REVIEWS = "reviews.toml"
ASPECTS = {"purpose", "not_for", "units", "returns", "effect"}
DIGITS = 12
READS = "test_a_tool_that_is_marked_as_reading_changes_nothing"
TOOLS = sorted(file.stem for file in leaves.folder("tools").glob("*.py"))
MOST_BYTES = 16_000

# The contract: these names are fixed.
ARGUMENTS = {
    "agent_create": "name type config",
    "agent_delete": "agent",
    "agent_get": "agent",
    "agent_list": "status limit cursor",
    "agent_test": "agent prompt live",
    "agent_update": "agent name status config",
    "audit_search": "action principal subject since until limit cursor",
    "audit_verify": "",
    "dashboard_data": "path",
    "dashboard_show": "view id",
    "route_explain": "prompt agent task_type policy",
    "task_cancel": "id",
    "task_get": "id wait_seconds",
    "task_list": "status agent query limit cursor",
    "task_rate": "id rating comment",
    "task_retry": "id wait_seconds",
    "task_submit": "prompt agent task_type priority parameters response_schema max_cost_usd idempotency_key "
    "wait_seconds",
    "taskmaster_list": "project tag limit cursor",
    "taskmaster_plan": "project action target count tag wait_seconds",
    "taskmaster_run": "project ids all_ready tag agent review_agent max_cost_usd wait_seconds",
    "usage_report": "period group_by what_if_policy",
    "workflow_decide": "run step approve comment",
    "workflow_get": "id limit cursor wait_seconds",
    "workflow_retry": "run step",
    "workflow_run": "workflow inputs max_cost_usd idempotency_key wait_seconds",
    "workflow_save": "name definition",
}


@cache
def published(era: Era) -> tuple[Published, ...]:
    """The tools of a fresh server, as they stand on the wire."""

    async def asked() -> tuple[Published, ...]:
        async with Client(make_server(Desk()), mode=era) as client:
            listed = await client.list_tools()
        return tuple(tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools)

    return asyncio.run(asked())


def tool(name: str, era: Era = "auto") -> Published:
    (found,) = (tool for tool in published(era) if tool["name"] == name)
    return found


def parts(schema: Published) -> Iterator[Any]:
    """The schema, and each that stands in it: of a property, of a choice, of items, of a map's values."""
    yield schema
    within = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    within += [schema["items"]] if "items" in schema else []
    within += [values] if isinstance(values := schema.get("additionalProperties"), dict) else []
    for part in within:
        yield from parts(part)


def pretty(tool: Published) -> str:
    return json.dumps(tool, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def reviewed(file: Path, now: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The contract in the file, None where there is none; on request it is first written anew, but never by CI."""
    if environment.get("VEL_UPDATE_CONTRACTS") == "1" and environment.get("CI") != "true":
        file.write_text(now, encoding="utf-8", newline="\n")
    return file.read_text(encoding="utf-8") if file.exists() else None


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_is_published_as_reviewed(name: str, era: Era) -> None:
    now = pretty(tool(name, era))
    contract = reviewed(HERE / f"{name}.json", now)
    assert contract is not None, f"{name} has no contract; review what it publishes, then write it with: {UPDATE}"
    assert now == contract, f"{name} differs from its contract; if that is meant, update it with: {UPDATE}"


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_was_reviewed_as_it_is_published(name: str) -> None:
    review = tomllib.loads((HERE / REVIEWS).read_text(encoding="utf-8")).get(name, {})
    now = hashlib.sha256(pretty(tool(name)).encode()).hexdigest()[:DIGITS]
    assert review.get("of") == now, (
        f"{name} changed since it was reviewed; read what it publishes as a model would, correct it or its note in "
        f'{REVIEWS}, then write there: of = "{now}"'
    )
    assert review.keys() == ASPECTS | {"of"}
    assert all(review[aspect] for aspect in ASPECTS)


@pytest.mark.parametrize("name", TOOLS)
def test_the_test_of_a_tools_effect_exists(name: str) -> None:
    path, _, test = tomllib.loads((HERE / REVIEWS).read_text(encoding="utf-8"))[name]["effect"].partition("::")
    assert f"async def {test}(" in (HERE.parents[1] / path).read_text(encoding="utf-8")
    assert (test == READS) == tool(name)["annotations"].get("readOnlyHint", False)


def test_every_review_is_of_a_tool() -> None:
    assert sorted(tomllib.loads((HERE / REVIEWS).read_text(encoding="utf-8"))) == TOOLS


def test_every_contract_is_of_a_tool() -> None:
    assert sorted(file.stem for file in HERE.glob("*.json") if file.stem != NO_TOOL) == TOOLS


@pytest.mark.parametrize(
    ("environment", "before", "after"),
    [
        ({}, "old", "old"),
        ({}, None, None),
        ({"CI": "true"}, None, None),
        ({"VEL_UPDATE_CONTRACTS": "1"}, "old", "new"),
        ({"VEL_UPDATE_CONTRACTS": "1"}, None, "new"),
        ({"VEL_UPDATE_CONTRACTS": "1", "CI": "true"}, "old", "old"),
        ({"VEL_UPDATE_CONTRACTS": "1", "CI": "true"}, None, None),
    ],
)
def test_a_contract_is_written_on_request_only_and_never_by_ci(
    tmp_path: Path, environment: dict[str, str], before: str | None, after: str | None
) -> None:
    file = tmp_path / "tool.json"
    if before is not None:
        file.write_text(before, encoding="utf-8")
    assert reviewed(file, "new", environment) == after
    assert file.exists() == (after is not None)


def test_both_eras_publish_the_same_tools_in_the_same_order() -> None:
    legacy, stateless = (published(era) for era in ERAS)
    assert legacy == stateless
    assert [tool["name"] for tool in legacy] == TOOLS


def test_a_fresh_server_publishes_the_same_bytes() -> None:
    first = json.dumps(published("auto"))
    published.cache_clear()
    assert json.dumps(published("auto")) == first


@pytest.mark.parametrize("era", ERAS)
def test_the_list_fits_into_a_models_window(era: Era) -> None:
    wire = json.dumps({"tools": published(era)}, separators=(",", ":"), ensure_ascii=False)
    assert len(wire.encode()) <= MOST_BYTES


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_has_a_title_and_says_what_it_does_to_the_world(name: str) -> None:
    hints = tool(name)["annotations"]
    assert tool(name)["title"]
    assert hints["openWorldHint"] in {True, False}
    assert hints.get("readOnlyHint") or hints["destructiveHint"] in {True, False}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_has_no_output_schema_and_no_icons(name: str) -> None:
    for_apps = {"_meta"} if name.startswith("dashboard_") else set()
    assert tool(name).keys() == {"name", "title", "description", "inputSchema", "annotations"} | for_apps


@pytest.mark.parametrize("name", TOOLS)
def test_a_description_is_short_and_says_something(name: str) -> None:
    description = tool(name)["description"]
    assert 20 <= len(description.encode()) <= 220
    assert "\n" not in description


@pytest.mark.parametrize("name", TOOLS)
def test_the_arguments_have_the_names_of_the_contract(name: str) -> None:
    assert " ".join(tool(name)["inputSchema"].get("properties", {})) == ARGUMENTS[name]


def test_an_agents_preferences_say_which_task_types_there_are() -> None:
    preferences = tool("agent_create")["inputSchema"]["properties"]["config"]["properties"]["model_preferences"]
    assert all(kind in preferences["description"] for kind in TaskType)


@pytest.mark.parametrize("name", TOOLS)
def test_a_schema_is_one_that_every_client_can_take(name: str) -> None:
    """By the rules of the Inspector's `--strict`: each part says what it takes, in one type, and refers to no other.

    Gemini's API refuses a whole request for one `propertyNames` in it.
    """
    for part in parts(tool(name)["inputSchema"]):
        assert "anyOf" in part or isinstance(part.get("type"), str), part
        assert not {"$ref", "propertyNames"} & part.keys()

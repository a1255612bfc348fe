"""A server offers what its settings leave, what can work here and what the caller may do, and refuses the rest."""

import re
from pathlib import Path
from typing import Any

import pytest
from handles import Handles, ask
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent
from people import asking
from world import ERAS, Era

from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import Server, make_server
from vel_tutor_mcp.doors.surface import EVERYTHING, Surface, surface_of, toolset_of
from vel_tutor_mcp.errors import Unavailable
from vel_tutor_mcp.settings import TOOLSETS, Settings

pytestmark = pytest.mark.anyio

LEAVES = {leaf.__name__: leaf for leaf in leaves.load("tools")}
TOOLS = list(LEAVES)
PROMPTS = {"compare_models", "delegate", "review_audit", "run_task_master"}
CHANGING_NOTHING = {
    *("agent_get", "agent_list", "audit_search", "audit_verify", "route_explain", "task_get", "task_list"),
    *("taskmaster_list", "usage_report", "workflow_get", "dashboard_data", "dashboard_show"),
}


def surface(*toolsets: str, **values: Any) -> Surface:
    return Surface(toolsets=frozenset(toolsets or TOOLSETS), **values)


def server(shown: Surface) -> Server:
    desk = Desk()
    desk.failed(Unavailable("The database is away."))  # what is shipped needs no product
    return make_server(desk, shown)


def names(shown: Surface) -> set[str]:
    return {name for name, leaf in LEAVES.items() if shown.offers(name, leaf.card)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_of_a_toolset(name: str) -> None:
    assert toolset_of(name) in TOOLSETS


def test_each_toolset_has_its_tools_and_all_together_have_all() -> None:
    of_sets = [names(surface(toolset)) for toolset in TOOLSETS]

    assert all(of_sets)
    assert sorted(name for found in of_sets for name in found) == TOOLS
    assert names(surface("audit", "routing")) == {
        *("audit_search", "audit_verify", "route_explain", "usage_report"),
    }


def test_a_server_that_is_read_only_offers_what_changes_nothing() -> None:
    assert names(surface(read_only=True)) == CHANGING_NOTHING
    assert names(surface("tasks", read_only=True)) == {"task_get", "task_list"}


def test_what_needs_task_master_is_listed_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in ("task-master", "node"):
        (tmp_path / program).touch(mode=0o755)
    here, away = (surface("taskmaster", task_master=command) for command in ("task-master", "other-master"))
    assert names(here) == {"taskmaster_list", "taskmaster_plan", "taskmaster_run"}
    assert names(away) == {"taskmaster_list"}

    (tmp_path / "other-master").touch(mode=0o755)
    assert names(away) == {"taskmaster_list"}  # nobody would be told of a change


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (
            surface("audit", "tasks"),
            "this server offers the toolsets audit, tasks alone (VEL_TUTOR_TOOLSETS)",
        ),
        (
            surface(read_only=True),
            "this server is read-only (VEL_TUTOR_READ_ONLY)",
        ),
    ],
    ids=["toolsets", "read-only"],
)
async def test_a_tool_that_is_switched_off_is_refused_by_its_name(shown: Surface, why: str, era: Era) -> None:
    async with Client(server(shown), mode=era) as client:
        result = await client.call_tool("agent_create", {"name": "x"})

    (said,) = result.content
    assert isinstance(said, TextContent)
    assert result.is_error
    assert said.text.startswith(f"agent_create is switched off; {why}; use a tool that tools/list has, or have ")


async def test_what_is_switched_off_is_not_done_by_a_handle_either() -> None:
    async with Client(server(surface(read_only=True)), mode="auto", extensions=[Handles()]) as client:
        with pytest.raises(MCPError, match="task_cancel is switched off"):
            await ask(client, "tasks/cancel", "x")
        with pytest.raises(MCPError, match="workflow_decide is switched off"):
            await ask(client, "tasks/update", "x", inputResponses={})


@pytest.mark.parametrize(
    ("shown", "prompts"),
    [
        (EVERYTHING, PROMPTS),
        (surface("agents", "tasks", "routing"), {"compare_models", "delegate"}),
        (surface(read_only=True), {"review_audit"}),
        (surface("taskmaster"), set()),
    ],
    ids=["everything", "some toolsets", "read-only", "one toolset"],
)
async def test_prompts_come_with_the_tools_that_they_speak_of(shown: Surface, prompts: set[str]) -> None:
    made = server(shown)
    assert {prompt.name for prompt in await made.list_prompts()} == prompts
    for name in PROMPTS - prompts:
        with pytest.raises(MCPError, match="There is no such prompt"):
            await made.get_prompt(name, {})


async def test_an_argument_that_a_prompt_does_not_have_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(MCPError) as told:
        await server(EVERYTHING).get_prompt("review_audit", {"days": "7", "since": "x"})
    assert "The prompt review_audit has no such argument; it takes since alone" in told.value.message


@pytest.mark.parametrize("leaf", list(leaves.load("prompts")), ids=lambda leaf: leaf.__name__)
async def test_a_prompt_names_all_tools_that_it_speaks_of(leaf: Any) -> None:
    arguments = dict.fromkeys(leaf.__annotations__.keys() - {"return"}, "x")
    spoken_of = set(re.findall(r"\b[a-z]+_[a-z]+\b", await leaf(**arguments))) & set(TOOLS)
    assert spoken_of == set(leaf.card.tools)


async def test_resources_are_listed_with_the_tools_of_their_toolset() -> None:
    made = server(surface("tasks"))
    assert [row.uri for row in await made.list_resources()] == ["health://status", "tasks://recent"]
    assert [row.uri_template for row in await made.list_resource_templates()] == [
        *("guide://{topic}", "task://{id}", "task://{id}/output"),
    ]


async def test_a_role_is_offered_what_it_may_do() -> None:
    made = server(EVERYTHING)
    with asking("viewer"):
        assert {tool.name for tool in await made.list_tools()} == CHANGING_NOTHING - {"taskmaster_list"} | {
            "agent_test"
        }
        assert {prompt.name for prompt in await made.list_prompts()} == {"review_audit"}
        assert "taskmaster://{project}/tasks" not in {row.uri_template for row in await made.list_resource_templates()}
    with asking("admin"):
        assert {tool.name for tool in await made.list_tools()} == set(TOOLS)


async def test_what_is_listed_may_be_kept_for_a_while_but_not_for_others() -> None:
    async with Client(server(EVERYTHING), mode="auto") as client:
        tools, prompts, templates = (
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resource_templates(),
        )
        guide = await client.read_resource("guide://start")
        page = await client.read_resource("ui://vel-tutor/dashboard.html")

    kept = [(listed.ttl_ms, listed.cache_scope) for listed in (tools, prompts, templates)]
    assert kept == [(300_000, "private"), (0, "private"), (300_000, "private")]
    assert {(read.ttl_ms, read.cache_scope) for read in (guide, page)} == {(3_600_000, "public")}


def test_without_settings_all_is_offered_that_can_work() -> None:
    assert surface_of(Settings.model_validate({"home": "/x"})) == surface(task_master="task-master-mcp")


def test_settings_narrow_what_is_offered() -> None:
    told = Settings.model_validate({"home": "/x", "toolsets": "Tasks, audit", "read_only": True})
    assert surface_of(told) == surface("tasks", "audit", read_only=True, task_master="task-master-mcp")

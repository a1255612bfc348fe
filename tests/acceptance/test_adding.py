"""What docs/how-to/adding.md says is the whole of adding something: its very blocks, in a copy of the checkout."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest
from people import asking
from planted import key
from server import WAIT_SECONDS, Server, serving

from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.store import schema

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/adding.md").read_text(encoding="utf-8")
# By the file that each names in its first line.
BLOCKS = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
COPIED = ("src", "tools", "resources", "prompts", "migrations", "tests")
ADDED_TO = ("src/vel_tutor_mcp/policies.py", "src/vel_tutor_mcp/doors/rest/agents.py")
SETTINGS, CATALOG, CALL = "settings.toml", "src/vel_tutor_mcp/routing/catalog.toml", "try-out/call.py"
HEAD = schema.revisions()[-1]
NEXT = f"{int(HEAD) + 1:04}"
OF_ALL_TABLES = (
    "tests/integration/test_notes.py",
    "tests/migration/test_migrations.py::test_the_upgraded_schema_is_that_of_the_tables",
    "tests/migration/test_migrations.py::test_the_upgraded_schema_has_the_indexes_and_foreign_keys_of_the_tables",
    f"tests/migration/test_migrations.py::test_a_migration_goes_up_and_down_and_up_again[sqlite-{NEXT}]",
    f"tests/migration/test_migrations.py::test_a_migration_goes_up_and_down_and_up_again[postgresql-{NEXT}]",
    "tests/integration/test_isolation.py::test_every_table_has_its_policy_unless_it_is_named_as_of_no_organisation",
    "tests/integration/test_isolation.py::test_no_row_of_another_organisation_is_seen_changed_or_removed",
    "tests/integration/test_isolation.py::test_no_row_is_put_into_another_organisation",
    "tests/integration/test_copying.py::test_a_chain_whose_beginning_was_pruned_is_copied",
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A copy of what is needed of it, with all that the page adds; not where secrets are searched for, of which our
    tests are full.
    """
    with TemporaryDirectory() as folder:
        copied = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, copied / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        shutil.copy(ROOT / "pyproject.toml", copied)
        add_all(copied)
        yield copied


def add_all(copy: Path) -> None:
    for path, text in BLOCKS.items():
        add(copy, path, text)
    add(copy, CATALOG, BLOCKS[SETTINGS].replace("house", "office").replace("HOUSE", "OFFICE"))


def add(copy: Path, path: str, text: str) -> None:
    there = (copy / path).exists()
    (copy / path).parent.mkdir(exist_ok=True)
    assert there == (path in {*ADDED_TO, CATALOG}), path
    with (copy / path).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{text}" if path.endswith("agents.py") else text)


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[SimulatedProvider]:
    async with SimulatedProvider("house") as house:
        yield house


@pytest.fixture(scope="module")
async def server(
    checkout: Path, house: SimulatedProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Server]:
    """Of the copy, over HTTP, with both providers at the simulated one."""
    for path in (SETTINGS, CATALOG):
        text = (checkout / path).read_text(encoding="utf-8")
        (checkout / path).write_text(re.sub(r"https://models\.\w+\.example/v1", house.base_url, text), encoding="utf-8")
    values = {
        "PYTHONPATH": str(checkout / "src"),
        "VEL_TUTOR_CONFIG": str(checkout / SETTINGS),
        "HOUSE_API_KEY": key("house"),
        "OFFICE_API_KEY": key("office"),
    }
    async with serving(tmp_path_factory.mktemp("place"), values, transport="http") as server:
        yield server


def test_the_migration_on_the_page_has_the_next_number() -> None:
    (path,) = (path for path in BLOCKS if path.startswith("migrations/"))
    given = re.findall(r'^(?:down_)?revision = "(\d+)"$', BLOCKS[path], re.MULTILINE)
    assert (Path(path).name.partition("_")[0], given) == (NEXT, [NEXT, HEAD])


async def test_a_tool_is_one_file(server: Server) -> None:
    listed = {tool["name"]: tool for tool in (await server.request("tools/list"))["tools"]}
    assert listed["agent_copy"]["inputSchema"]["required"] == ["agent", "name"]

    made = await server.call("agent_copy", agent="default", name="mine")

    assert (await server.call("agent_get", agent="mine"))["id"] == made["id"]
    (entry,) = (await server.call("audit_search", subject=f"agent:{made['id']}"))["entries"]
    assert entry["action"] == "agent_created"


async def test_a_tool_is_shown_to_whom_its_operation_is_for(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaves, "folder", lambda name: checkout / name)
    offering = make_server(Desk())
    shown = {}
    for role in ("viewer", "agent_manager"):
        with asking(role):
            shown[role] = "agent_copy" in [tool.name for tool in await offering.list_tools()]
    assert shown == {"viewer": False, "agent_manager": True}


async def test_a_resource_and_a_prompt_are_one_file_each(server: Server) -> None:
    assert json.loads(await server.read("tasks://failed")) == {"tasks": []}
    told = await server.request("prompts/get", name="explain_failures")
    assert told["messages"][0]["content"]["text"].startswith("List my failed tasks")


@pytest.mark.parametrize("provider", ["house", "office"])
async def test_a_provider_is_a_row_of_the_settings_or_of_the_catalogue(
    server: Server, house: SimulatedProvider, provider: str
) -> None:
    listed = json.loads(await server.read("models://catalog"))["models"]
    assert [row["model"] for row in listed if row["provider"] == provider] == [f"{provider}-large"]
    await server.call("agent_create", name=f"of {provider}", config={"providers": [provider]})

    task = await server.call("task_submit", prompt="Say hello", agent=f"of {provider}")

    assert (task["status"], task["provider"], task["model"]) == ("completed", provider, f"{provider}-large")
    (attempt,) = task["attempts"]
    assert attempt["cost_usd"] == pytest.approx(2e-6 * attempt["tokens_in"] + 8e-6 * attempt["tokens_out"])
    assert house.requests


async def test_a_policy_is_one_row(server: Server) -> None:
    decision = await server.call("route_explain", prompt="Say hello", policy="frugal")
    assert "the cheapest that is likely to do" in decision["reasons"][0]
    agent = await server.call("agent_create", name="frugal", config={"policy": "frugal"})
    assert agent["config"]["policy"] == "frugal"


async def test_a_route_of_rest_is_one_function(server: Server) -> None:
    base = (await server.address()).removesuffix("/mcp")
    async with httpx2.AsyncClient(base_url=base, timeout=WAIT_SECONDS) as http:
        reply = await http.post("/api/agents/default/copy", params={"name": "by REST"})
        paths = (await http.get("/api/openapi.json")).json()["paths"]
    assert (reply.status_code, reply.json()["name"]) == (201, "by REST")
    assert "/api/agents/{agent}/copy" in paths


def test_a_table_is_a_migration_and_a_module_that_all_tests_of_tables_know(
    checkout: Path,
) -> None:
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OF_ALL_TABLES],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout


def test_what_the_page_calls_the_tool_with_does_so(checkout: Path) -> None:
    (given,) = re.findall(r"^\.venv/bin/python try-out/call\.py (\w+) '(.*)'$", PAGE, re.MULTILINE)
    command = [sys.executable, str(checkout / CALL), *given]
    # From where the module that it starts is found.
    done = subprocess.run(command, cwd=checkout / "src", capture_output=True, text=True, check=True)
    tools, _, said = done.stdout.partition("\n")
    assert "agent_copy" in tools.split()
    assert said == "Created the agent mine like default.\n"

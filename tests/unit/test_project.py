"""What the project says of itself, in its README, guides, lock files and registry entry, is so."""

import ast
import json
import re
from pathlib import Path
from typing import Any, TypeGuard

import jsonschema
import pytest
from mcp import Client

from vel_tutor_mcp import __version__, leaves
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import INSTRUCTIONS, make_server
from vel_tutor_mcp.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDES = leaves.folder("resources") / "guide"
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-audit.lock",
    "requirements-otel.lock",
    "requirements-mutants.lock",
)
LOCKS_OF_CLIENTS = ("tests/clients/python-sdk-v1.txt", "tests/clients/fastmcp.txt")
PAGES = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md")), *sorted(GUIDES.glob("*.md"))]
NEVER_SET = {"catalog"}
OF_PROVIDERS = [name for name, row in Settings.model_fields.items() if row.validation_alias]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def settings_of_ours() -> set[str]:
    return {f"VEL_TUTOR_{name.upper()}" for name, row in Settings.model_fields.items() if not row.validation_alias} - {
        f"VEL_TUTOR_{name.upper()}" for name in NEVER_SET
    }


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"VEL_TUTOR_[A-Z][A-Z_]*[A-Z]", text))


def requirements(lock: str) -> list[str]:
    """The pinned packages of a lock file, each with its hashes."""
    return re.split(r"\n(?=[a-z0-9])", read(lock).strip())


@pytest.fixture
def registered() -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(read("server.json"))
    return entry


def test_the_registry_entry_is_valid(registered: dict[str, Any]) -> None:
    schema = json.loads(read("tests/contracts/server.schema.json"))
    assert registered["$schema"] == schema["$id"]
    validator = jsonschema.validators.validator_for(schema)
    assert [problem.message for problem in validator(schema).iter_errors(registered)] == []


def test_the_registry_entry_is_of_this_version(registered: dict[str, Any]) -> None:
    assert registered["version"] == __version__
    assert [package["version"] for package in registered["packages"]] == [__version__]


def test_the_registry_entry_and_the_readme_name_the_server_alike(registered: dict[str, Any]) -> None:
    assert re.findall(r"mcp-name: (\S+)", read("README.md")) == [registered["name"]]
    assert [package["identifier"] for package in registered["packages"]] == ["vel-tutor-mcp"]


def test_the_registry_entry_names_settings_that_exist_and_marks_the_secrets(registered: dict[str, Any]) -> None:
    secret = {row["name"]: row.get("isSecret", False) for row in registered["packages"][0]["environmentVariables"]}
    assert secret.keys() <= settings_of_ours() | {name.upper() for name in OF_PROVIDERS}
    assert {name for name, is_secret in secret.items() if is_secret} == {name for name in secret if "KEY" in name}


def test_the_instructions_fit_what_clients_show() -> None:
    assert 0 < len(INSTRUCTIONS) <= 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_only_settings_that_exist_are_told_of(page: Path) -> None:
    assert settings_in(page.read_text(encoding="utf-8")) <= settings_of_ours()


def test_the_guide_names_its_topics_and_no_other() -> None:
    (guide,) = (leaf for leaf in leaves.load("resources") if leaf.__name__ == "guide")
    named = re.findall(r"[a-z]+", (guide.__doc__ or "").partition("Topics:")[2])
    assert sorted(named) == sorted(page.stem for page in GUIDES.glob("*.md"))


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(GUIDES.glob("*.md"))], ids=lambda page: page.stem)
def test_a_guide_that_is_referred_to_exists(page: Path) -> None:
    topics = re.findall(r"guide://([a-z]+)", page.read_text(encoding="utf-8"))
    assert set(topics) <= {page.stem for page in GUIDES.glob("*.md")}


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda page: page.stem)
def test_a_guide_names_tools_that_exist(page: Path) -> None:
    tools = {file.stem for file in leaves.folder("tools").glob("*.py")}
    named = re.findall(r"`((?:agent|task|workflow|route|usage|audit)_[a-z]+)\b", page.read_text(encoding="utf-8"))
    assert set(named) <= tools | {"task_type"}


def test_pictures_that_are_shown_are_there() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((docs/[^)]+)\)", read("README.md"))
    assert shown
    assert [path for path in shown if not (ROOT / path).is_file()] == []


def test_each_promise_of_security_names_tests_that_exist() -> None:
    promises = [
        row.rpartition("|")[0].rpartition("|")[2] for row in table_of(read("docs/security.md"), "## What is promised")
    ]
    assert len(promises) > 10
    for files in promises:
        assert files.strip()
        assert [name for name in files.replace(",", " ").split() if not (ROOT / name).is_file()] == []


def test_each_attack_of_security_names_tests_that_exist() -> None:
    rows = table_of(read("docs/security.md"), "## Attacks")
    assert len(rows) > 15
    for row in rows:
        named = re.findall(r"(tests/\S+\.py)::(\w+)", row)
        assert named
        assert [test for path, test in named if f"async def {test}(" not in read(path)] == []


def test_each_fault_names_tests_that_exist() -> None:
    for row in table_of(read("docs/faults.md"), "## What happens when"):
        named = re.findall(r"(tests/\S+?\.py)(?:::(test_\w+))?", row)
        assert named, row
        assert [test for path, test in named if f"def {test or 'test_'}" not in read(path)] == []


def test_each_danger_of_task_master_names_tests_that_exist() -> None:
    rows = table_of(read("docs/task-master.md"), "## What Task Master does to files, and what becomes of it")
    named = [name for row in rows for name in re.findall(r"`(test_\w+)`", row)]
    there = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_task_master*.py"))
    assert len(rows) > 10
    assert [name for name in named if f"def {name}(" not in there] == []


def table_of(page: str, heading: str) -> list[str]:
    """The rows of the table under a heading."""
    part = page.partition(f"{heading}\n")[2].partition("\n## ")[0]
    return [row for row in part.splitlines() if row.startswith("|")][2:]


@pytest.mark.parametrize("lock", LOCKS + LOCKS_OF_CLIENTS)
def test_every_locked_package_has_its_version_and_hashes(lock: str) -> None:
    for row in requirements(lock):
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+", row), row
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", row), row


@pytest.mark.parametrize("lock", LOCKS + LOCKS_OF_CLIENTS)
def test_a_lock_file_names_no_address(lock: str) -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links", read(lock))


@pytest.mark.parametrize("folder", ["tests/node", "tests/clients", ".ci/mcpb"])
def test_the_lock_of_what_comes_from_npm_pins_each_package_and_names_no_registry(folder: str) -> None:
    rows = json.loads(read(f"{folder}/package-lock.json"))["packages"]
    named = json.loads(read(f"{folder}/package.json"))["dependencies"]
    assert rows.pop("")["dependencies"] == named
    assert [name for name, row in rows.items() if "integrity" not in row or "resolved" in row] == []
    assert [version for version in named.values() if not re.fullmatch(r"\d+\.\d+\.\d+(-[a-z.0-9]+)?", version)] == []


def test_the_table_of_clients_was_written_with_the_versions_that_are_locked() -> None:
    told = {row.split("|")[2].strip() for row in table_of(read("docs/clients.md"), "## Who speaks what")}
    named = json.loads(read("tests/clients/package.json"))["dependencies"].values()
    ours = [read(path.replace(".txt", ".in")).strip().partition("==")[2] for path in LOCKS_OF_CLIENTS]
    assert {*named, *ours} <= told


def test_what_is_locked_for_users_is_locked_alike_for_developers() -> None:
    ours, developers, _, traced = ({row.split()[0] for row in requirements(lock)} for lock in LOCKS[:4])
    assert ours < traced <= developers


@pytest.mark.anyio
async def test_every_tool_resource_and_prompt_is_in_the_readme() -> None:
    async with Client(make_server(Desk())) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        resources = [str(resource.uri) for resource in (await client.list_resources()).resources]
        templates = [row.uri_template for row in (await client.list_resource_templates()).resource_templates]
    words = set(re.findall(r"[a-z_:/{}]+(?:[-.][a-z_:/{}]+)*", read("README.md")))
    prompts = [file.stem for file in leaves.folder("prompts").glob("*.py")]
    assert {*tools, *resources, *templates, *prompts} - words == set()
    assert len(resources + templates) == len(list(leaves.folder("resources").glob("*.py")))


def test_all_tests_that_share_a_product_are_async() -> None:
    """One that is not would leave all that come after it without their fixtures, which are."""
    shared = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests/integration/shared").glob("*.py")]
    assert [node.name for tree in shared for node in tree.body if _is_plain_test(node)] == []


def test_no_test_that_shares_a_product_opens_another() -> None:
    """The engine is one for each process: what closes its product ends that of all tests which come after it."""
    shared = (ROOT / "tests/integration/shared").glob("test_*.py")
    assert [path.name for path in shared if "open_app(" in path.read_text(encoding="utf-8")] == []


def _is_plain_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")

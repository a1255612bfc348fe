"""What a person has set wrong is told in one sentence, where they will see it, and nothing is damaged."""

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deployment import Deployment
from ports import free_port
from processes import COMMAND
from server import Server, ToolRefused, alone, environment, one_sentence, serving
from world import Providers

from vel_tutor_mcp.providers.simulated import SimulatedProvider
from vel_tutor_mcp.store.places import FILE_NAME
from vel_tutor_mcp.store.schema import revisions

pytestmark = pytest.mark.anyio

BAD_USAGE, BAD_CONFIGURATION = 64, 78  # of sysexits.h
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VEL_TUTOR_COLOUR", "red"),
        ("VEL_TUTOR_TASKS_IN_PROGRES", "3"),
        ("VEL_TUTOR_CATALOG", "{}"),
        ("VEL_TUTOR_TASKS_IN_PROGRESS", "many"),
        ("VEL_TUTOR_TASKS_IN_PROGRESS", "0"),
        ("VEL_TUTOR_LOG_LEVEL", "LOUD"),
        ("OPENAI_BASE_URL", "ftp://example.org"),
    ],
)
async def test_a_wrong_setting_ends_the_start_with_a_sentence_that_names_it(
    tmp_path: Path, name: str, value: str
) -> None:
    async with Server(tmp_path, {name: value}) as server:
        assert await server.ended() == BAD_CONFIGURATION

    said = server.stderr.decode().strip()
    assert one_sentence(said), said
    assert name in said
    assert server.stdout == b""
    assert not server.home.exists()


@pytest.mark.parametrize("content", [None, b"home = [broken", b"\xff\xfe", b"colour = 'red'"])
async def test_a_configuration_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "config.toml"
    if content is not None:
        file.write_bytes(content)
    async with Server(tmp_path, {"VEL_TUTOR_CONFIG": str(file)}) as server:
        assert await server.ended() == BAD_CONFIGURATION

    said = server.stderr.decode().strip()
    assert one_sentence(said), said
    assert "config.toml" in said or "COLOUR" in said
    assert server.stdout == b""


async def test_an_unknown_transport_is_refused_with_a_sentence(tmp_path: Path) -> None:
    command = [*COMMAND, "serve", "--transport", "carrier-pigeon"]
    async with Server(tmp_path, command=command) as server:
        assert await server.ended() == BAD_USAGE

    assert one_sentence(server.stderr.decode().strip())
    assert server.stdout == b""


async def test_without_any_key_a_task_is_refused_with_the_variables_to_set(deployment: Deployment) -> None:
    async with deployment.serving() as server:
        with pytest.raises(ToolRefused) as refused:
            await server.call("task_submit", prompt="Say hello", wait_seconds=15)
        decision = await server.call("route_explain", prompt="Say hello")
        assert (await server.call("task_list"))["tasks"] == []

    sentence = str(refused.value)
    assert one_sentence(sentence)
    assert all(name in sentence for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "PERPLEXITY_API_KEY"))
    assert decision["candidates"] == []


@pytest.mark.parametrize("end", ["it does not run", "its address lacks /v1"])
async def test_where_the_local_server_told_no_models_a_task_fails_with_what_to_do(
    tmp_path: Path, providers: Providers, end: str
) -> None:
    lacking = providers.groq.base_url.removesuffix("/v1")
    address = lacking if "lacks" in end else f"http://127.0.0.1:{free_port()}/v1"
    async with serving(tmp_path, {"VEL_TUTOR_LOCAL_BASE_URL": address}) as server:
        task = await server.call("task_submit", prompt="Say hello", wait_seconds=15)

    sentence = task["error"]["message"]
    assert one_sentence(sentence), sentence
    assert "local: its models are not known: it did not answer" in sentence
    assert sentence.endswith("VEL_TUTOR_LOCAL_BASE_URL ends in /v1, then start this process again.")


async def refusal(server: Server) -> str:
    """What every tool says; twice the same."""
    said = set()
    for tool, arguments in (("agent_list", {}), ("task_submit", {"prompt": "Say hello"})):
        with pytest.raises(ToolRefused) as refused:
            await server.call(tool, **arguments)
        said.add(str(refused.value))
    (sentence,) = said
    return sentence


@pytest.mark.parametrize("home", ["file/home", pytest.param("/proc/nowhere/home", marks=on_linux)])
async def test_a_home_that_cannot_be_made_is_told_by_every_tool(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("in the way")
    async with serving(tmp_path, {"VEL_TUTOR_HOME": str(tmp_path / home)}) as server:
        sentence = await refusal(server)
        server.close_stdin()
        assert await server.ended() == 0

    assert one_sentence(sentence)
    assert home in sentence
    assert "VEL_TUTOR_HOME" in sentence
    assert (tmp_path / "file").read_text() == "in the way"


def not_a_database(database: Path) -> None:
    database.write_bytes(b"Dear diary, this is not a database. " * 100)


def of_a_newer_version(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")


@pytest.mark.parametrize(("make", "why"), [(not_a_database, "not a database"), (of_a_newer_version, "9999")])
async def test_a_database_that_cannot_be_used_is_told_by_every_tool_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    make(home / FILE_NAME)
    before = (home / FILE_NAME).read_bytes()
    async with serving(tmp_path) as server:
        sentence = await refusal(server)
        server.close_stdin()
        assert await server.ended() == 0

    assert one_sentence(sentence), sentence
    assert why in sentence
    assert "VEL_TUTOR_HOME" in sentence
    assert (home / FILE_NAME).read_bytes() == before


async def test_tasks_survive_a_visit_by_an_older_version(tmp_path: Path, providers: Providers) -> None:
    async with serving(tmp_path, alone(providers.groq)) as server:
        task = await server.call("task_submit", prompt="Say hello", wait_seconds=15)
    set_revision(server.database, "9999")
    async with serving(tmp_path, alone(providers.groq)) as older:
        assert "9999" in await refusal(older)
    set_revision(server.database, revisions()[-1])

    async with serving(tmp_path, alone(providers.groq)) as server:
        assert await server.call("task_get", id=task["id"]) == task


def set_revision(database: Path, revision: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


async def test_an_empty_home_variable_does_no_harm(tmp_path: Path, providers: Providers) -> None:
    async with serving(tmp_path, alone(providers.groq) | {"HOME": ""}) as server:
        task = await server.call("task_submit", prompt="Say hello", wait_seconds=15)

    assert task["status"] == "completed"


def test_with_an_empty_home_variable_the_default_folder_is_the_users_own(tmp_path: Path) -> None:
    show = "from vel_tutor_mcp.settings import load_settings; print(load_settings().home)"
    told = environment(tmp_path, {"HOME": "", "VEL_TUTOR_HOME": ""})
    shown = subprocess.run([sys.executable, "-c", show], env=told, cwd=tmp_path, capture_output=True, check=True)

    home = Path(shown.stdout.decode().strip())
    assert home.is_absolute()
    assert tmp_path not in home.parents


@pytest.mark.parametrize("folder", ["read-only", pytest.param("/proc", marks=on_linux)])
async def test_it_works_in_a_folder_that_cannot_be_written(tmp_path: Path, providers: Providers, folder: str) -> None:
    cwd = tmp_path / folder
    cwd.mkdir(mode=0o555, exist_ok=True)
    async with serving(tmp_path, alone(providers.groq), cwd=cwd) as server:
        task = await server.call("task_submit", prompt="Say hello", wait_seconds=15)

    assert task["status"] == "completed"
    assert cwd == Path("/proc") or list(cwd.iterdir()) == []


@pytest.fixture(scope="module")
async def groq() -> AsyncIterator[SimulatedProvider]:
    async with SimulatedProvider("groq") as provider:
        yield provider


@pytest.fixture(scope="module")
async def server(groq: SimulatedProvider, place: Deployment) -> AsyncIterator[Server]:
    async with place.serving(alone(groq)) as server:
        yield server


SECRET = "do-not-repeat-me"
WRONG_CALLS: list[tuple[str, dict[str, Any], str]] = [
    ("task_submit", {"prompt": "Hello", "agent": SECRET}, "There is no such agent"),
    ("task_submit", {"prompt": ""}, "`prompt`"),
    ("task_submit", {"prompt": " \n "}, "The prompt is empty"),
    ("task_submit", {"prompt": SECRET * 6300}, "`prompt`"),
    ("task_submit", {}, "`prompt`"),
    ("task_submit", {"prompt": [SECRET]}, "`prompt`"),
    ("task_submit", {"prompt": "Hello", "wait_seconds": SECRET}, "`wait_seconds`"),
    ("task_submit", {"prompt": "Hello", "wait_seconds": 51}, "`wait_seconds`"),
    ("task_submit", {"prompt": "Hello", "priority": SECRET}, "`priority`"),
    ("task_submit", {"prompt": "Hello", "parameters": [SECRET]}, "`parameters`"),
    ("task_submit", {"prompt": "Hello", "max_cost_usd": -1}, "`max_cost_usd`"),
    ("task_submit", {"prompt": "Hello", "response_schema": {"type": SECRET}}, "response_schema"),
    ("agent_create", {"name": "a", "config": {"model_preferences": {"general": SECRET}}}, "No such model"),
    ("agent_create", {"name": "a", "config": {"providers": [SECRET]}}, "No such provider"),
    ("agent_create", {"name": "a", "config": {"colour": SECRET}}, "`config.colour`"),
    ("task_get", {"id": SECRET}, "There is no such task"),
    ("task_fly", {}, "task_fly"),
]


@pytest.mark.parametrize(("tool", "arguments", "why"), WRONG_CALLS)
async def test_a_wrong_call_is_refused_with_a_sentence_and_costs_nothing(
    server: Server, groq: SimulatedProvider, tool: str, arguments: dict[str, Any], why: str
) -> None:
    with pytest.raises(ToolRefused) as refused:
        await server.call(tool, **arguments)

    sentence = str(refused.value)
    assert why in sentence
    assert one_sentence(sentence), sentence
    assert SECRET not in sentence
    assert groq.requests == []


async def test_a_line_that_is_no_message_does_not_end_the_conversation(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert server._process.stdin is not None
        server._process.stdin.write(b"hello?\n{\n\xff\n")
        assert (await server.call("task_list"))["tasks"] == []

    assert server.rubbish == []

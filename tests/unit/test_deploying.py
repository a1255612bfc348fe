"""What the files for deployment name exists: settings, commands and their options, paths."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vel_tutor_mcp.doors.cli import app
from vel_tutor_mcp.settings import Settings

ROOT = Path(__file__).parents[2]
FILES = ("Dockerfile", ".dockerignore", "fly.toml")
# Beyond the drain: for the cut calls to be booked and open streams to end, as docs/deploy.md has it.
SPARE_SECONDS = 15
LONGEST_ON_FLY = 300


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def instructions(name: str) -> list[str]:
    """The rest of each such instruction of the Dockerfile, its lines joined."""
    return re.findall(rf"^{name} (.*)$", read("Dockerfile").replace("\\\n", ""), re.MULTILINE)


@pytest.fixture
def today() -> dict[str, Any]:
    return tomllib.loads(read("fly.toml"))


@pytest.fixture
def later() -> dict[str, Any]:
    """With the web group."""
    return tomllib.loads(re.sub(r"(?m)^#~ ?", "", read("fly.toml")))


def checked_by_docker() -> list[str]:
    (check,) = instructions("HEALTHCHECK")
    command: list[str] = json.loads(check.partition(" CMD ")[2])
    return command


def commands() -> list[str]:
    entry, *arguments = checked_by_docker()
    assert entry == "vel-tutor-mcp"
    lines = re.findall(r'^(?:#~ )?(?:web|worker|release_command) = "(.*)"$', read("fly.toml"), re.MULTILINE)
    told = re.findall(r"docker run .*(?:IMAGE|vel-tutor-mcp:local) ([a-z][^`\n]*)", read("docs/deploy.md"))
    return [shlex.join(arguments), *lines, *told]


@pytest.mark.parametrize("command", commands())
def test_every_command_and_option_exists(command: str) -> None:
    ended = CliRunner().invoke(app, [*shlex.split(command), "--help"])
    assert (ended.exit_code, "Usage" in ended.stdout) == (0, True), ended.output


@pytest.mark.parametrize("name", FILES)
def test_only_settings_that_exist_are_set(name: str) -> None:
    known = {f"VEL_TUTOR_{setting.upper()}" for setting in Settings.model_fields}
    assert set(re.findall(r"VEL_TUTOR_[A-Z_]*[A-Z]", read(name))) <= known


@pytest.mark.parametrize("name", FILES)
def test_neither_a_secret_nor_a_registry_is_named(name: str) -> None:
    assert not re.search(r"(?i)_KEY=|password|pypi|npmjs|index-url|://", read(name))


def test_the_entry_point_is_the_command_of_the_project() -> None:
    (entry,) = instructions("ENTRYPOINT")
    assert json.loads(entry) == list(tomllib.loads(read("pyproject.toml"))["project"]["scripts"])


def test_the_image_is_run_by_a_user_without_rights_and_told_to_stop_in_good_order() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("VOLUME") == re.findall(r"VEL_TUTOR_HOME=(\S+)", "\n".join(instructions("ENV")))


def test_what_the_image_is_built_of_reaches_the_build() -> None:
    kept = {line.removeprefix("!") for line in read(".dockerignore").splitlines() if line.startswith("!")}
    built = tomllib.loads(read("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {path.strip("/") for path in built} - {"server.json", "web"} <= kept  # the page is built already
    assert kept == {name for name in kept if (ROOT / name).exists()}
    assert "requirements.lock" in kept


def test_fly_gives_a_worker_the_time_that_it_takes_to_stop(today: dict[str, Any]) -> None:
    assert today["kill_signal"] == "SIGTERM"
    assert today["kill_timeout"] == int(today["env"]["VEL_TUTOR_DRAIN_SECONDS"]) + SPARE_SECONDS <= LONGEST_ON_FLY


def test_fly_runs_only_workers_until_there_are_accounts(today: dict[str, Any]) -> None:
    assert today["processes"].keys() == {"worker"}
    assert "http_service" not in today


def told_beside(line: str, text: str) -> list[str]:
    """Of each paragraph, table row or block of the text in which this stands, all of it."""
    return [part for part in re.split(r"\n\n|\n\| ?|```", text) if line in part]


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("fly.toml", "`fly secrets set`"),
        ("docs/deploy.md", "fly secrets set"),
        ("docs/deploy.md", "--env-file environment IMAGE worker"),
        ("docs/deploy.md", "all alike, on several machines"),
    ],
)
def test_keys_that_must_outlive_a_machines_disk_are_named_where_its_secrets_are_set(name: str, beside: str) -> None:
    (told,) = told_beside(beside, read(name))
    assert {"VEL_TUTOR_AUDIT_KEY", "VEL_TUTOR_SECRET_KEY"} <= set(re.findall(r"VEL_TUTOR_[A-Z_]*KEY", told))


def test_fly_would_stop_and_start_and_ask_the_web_group_alone(later: dict[str, Any]) -> None:
    service = later["http_service"]
    assert later["processes"].keys() == {"web", "worker"}
    assert service["processes"] == ["web"]
    assert f"--port {service['internal_port']}" in later["processes"]["web"]
    assert [check["path"] for check in service["checks"]] == ["/api/health"]

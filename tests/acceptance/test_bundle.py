"""What a host of bundles does with ours: it unpacks it, fills in what its user said, and runs it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare import VALUES, bare, read_only
from ci_scripts import script
from node_programs import had
from server import alone, serving
from world import Providers

pytestmark = pytest.mark.anyio

bundle = script("bundle")

UV = Path(sys.executable).with_name("uv")
# Where uv finds what it needs of this machine, as it does of a user's.
MACHINE = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_CERT_"))}


def uv(*arguments: str | Path, offline: bool = True) -> str | None:
    """What it says; None where it fails."""
    told = {**os.environ, "UV_PYTHON": sys.executable} | ({"UV_OFFLINE": "1"} if offline else {})
    done = subprocess.run([UV, *arguments], env=told, capture_output=True, text=True, timeout=100, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its environment is made of what `make setup` left in uv's cache, else of what the registry has."""
    folder = tmp_path_factory.mktemp("bundle")
    with zipfile.ZipFile(had(lambda: bundle.main(folder))) as packed:
        packed.extractall(folder / "unpacked")
    script = folder / "unpacked" / "server.py"
    assert uv("sync", "--script", script) is not None or uv("sync", "--script", script, offline=False) is not None
    yield script.parent
    made = Path(uv("python", "find", "--script", script) or "").parent.parent
    assert made.is_relative_to(uv("cache", "dir") or "/nowhere")  # and no Python of the machine's
    shutil.rmtree(made)


def filled_in(manifest: dict[str, Any], folder: Path, said: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Command and variables. What has no default and was not said stays as it is written, as in Claude Desktop."""
    config = manifest["server"]["mcp_config"]
    known = {name: row["default"] for name, row in manifest["user_config"].items() if "default" in row} | said
    values = {f"${{user_config.{name}}}": value for name, value in known.items()}
    arguments = [word.replace("${__dirname}", str(folder)) for word in config["args"]]
    return [str(UV), *arguments], {name: values.get(text, text) for name, text in config["env"].items()}


async def test_the_bundle_starts_where_nothing_is_and_does_a_task(
    unpacked: Path, tmp_path: Path, providers: Providers
) -> None:
    manifest = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
    del manifest["user_config"]["perplexity_api_key"]["default"]
    vendor = alone(providers.groq)
    said = {"groq_api_key": vendor.pop("GROQ_API_KEY"), "vel_tutor_home": str(tmp_path / "home")}
    command, variables = filled_in(manifest, unpacked, said)
    cache = uv("cache", "dir")
    assert cache is not None
    machine = MACHINE | VALUES | {"UV_CACHE_DIR": cache, "UV_PYTHON": sys.executable, "UV_OFFLINE": "1"}
    machine |= {"VEL_TUTOR_TASK_MASTER_COMMAND": "no-task-master-here"}
    with read_only(unpacked):
        async with serving(tmp_path, machine | variables | vendor, bare(command), Path("/")) as server:
            tools = (await server.request("tools/list"))["tools"]
            prompts = (await server.request("prompts/list"))["prompts"]
            task = await server.call("task_submit", prompt="Say hello", wait_seconds=15)
            health = json.loads(await server.read("health://status"))

    assert {tool["name"] for tool in tools} <= {tool["name"] for tool in manifest["tools"]}
    shipped = {prompt["name"] for prompt in manifest["prompts"]} - {"run_task_master"}
    assert shipped <= {prompt["name"] for prompt in prompts}
    assert (task["status"], task["provider"]) == ("completed", "groq")
    assert variables["PERPLEXITY_API_KEY"].startswith("${")
    assert health["providers"] == ["groq"]
    assert manifest["user_config"]["groq_api_key"]["sensitive"]
    assert server.rubbish == []

"""Clients that people use: how each is had on this machine, and how it is brought to use a server.

Each finds out by itself in which protocol version to speak. Programs get a home of their own, and a model that has one
tool called.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import platformdirs
import playwright
import pytest
from filelock import FileLock
from mcp import Client, MCPDeprecationWarning, StdioServerParameters, stdio_client
from node_programs import Program, call, clean_install, installed, packages
from puppet import SAID, puppet
from server import soon
from world import Era

FOLDER = Path(__file__).parent / "clients"
UV = Path(sys.executable).with_name("uv")
# Newer than what may be here: some of them ask for one.
NODE = Path(playwright.__file__).parent / "driver" / "node"
_RUN_SECONDS = 150.0
_INSTALL_SECONDS = 400

Way = Literal["stdio", "http", "sse"]
# Where a server is: a program to start, or an address; and a home for programs, which is empty.
Use = Callable[[Way, str, Path], Awaitable[None]]


def locked(package: str) -> str:
    """The version that we pin, of a package of npm or of PyPI."""
    for folder in (FOLDER, FOLDER.with_name("node")):
        named: dict[str, str] = json.loads((folder / "package.json").read_text())["dependencies"]
        if package in named:
            return named[package]
    asked = FOLDER / f"{package}.in"
    return asked.read_text().strip().partition("==")[2] if asked.exists() else version(package)


def programs() -> Path:
    """The folder of what `tests/clients/package-lock.json` names."""
    return installed(FOLDER, _install_programs)


def _install_programs(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    clean_install(folder)
    # Its own script, which puts the program of this platform into its place, and fetches nothing.
    call([NODE, folder / "node_modules" / "@anthropic-ai" / "claude-code" / "install.cjs"], folder)


def virtual_environment(name: str) -> Path:
    """The Python of one that has what the requirement file of this name locks, made once on this machine."""
    lock = FOLDER / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = platformdirs.user_cache_path("vel-tutor-mcp-tests") / f"venv-{digest}"
    with FileLock(f"{folder}.lock", timeout=_INSTALL_SECONDS):
        if not (folder / "ready").exists():
            call([UV, "venv", "--clear", "--python", sys.executable, folder], FOLDER)
            python = folder / "bin" / "python"
            call([UV, "pip", "install", "--python", python, "--require-hashes", "--requirement", lock], FOLDER)
            (folder / "ready").touch()
    return folder / "bin" / "python"


def python_sdk(era: Era) -> Use:
    """Our own, in this process."""

    async def use(way: Way, place: str, home: Path) -> None:
        transport = place if way == "http" else stdio_client(StdioServerParameters(command=place, cwd=home))
        told = asyncio.Event()

        async def hear(message: object) -> None:
            if getattr(message, "method", None) == "notifications/resources/updated":
                told.set()

        async with Client(transport, mode=era, message_handler=hear) as client:
            await soon(client.list_tools())
            given = await soon(client.call_tool("task_submit", {"prompt": "Say hello", "wait_seconds": 0}))
            uri = f"task://{given.structured_content['id']}"
            if era == "legacy":
                with pytest.warns(MCPDeprecationWarning):  # it is of the older era, as we are here
                    await soon(client.subscribe_resource(uri))
                await soon(told.wait())
                return
            async with client.listen(resource_subscriptions=[uri]) as cues:
                await soon(anext(aiter(cues)))

    return use


def typescript_sdk(version: str) -> Use:
    async def use(way: Way, place: str, _: Path) -> None:
        async with Program(packages(), "talk", version, way, place) as client:
            _expect(await client.said(), told=True)

    return use


def other_python(name: str, script: str, *, told: bool) -> Use:
    async def use(way: Way, place: str, home: Path) -> None:
        _expect(json.loads(await _ran([virtual_environment(name), FOLDER / script, way, place], home)), told=told)

    return use


def inspector(*options: str) -> Use:
    async def use(way: Way, place: str, home: Path) -> None:
        server = [place] if way == "stdio" else [place, "--transport", way]
        ask = ["mcp-inspector", "--cli", *server, *options, "--method"]
        assert "task_submit" in await _ran([*ask, "tools/list"], home)
        assert '"default"' in (await _ran([*ask, "tools/call", "--tool-name", "agent_list"], home)).replace("\\", "")

    return use


async def claude_code(way: Way, place: str, home: Path) -> None:
    if way == "stdio":
        await _ran([place, "install", "claude-code", "--write"], home)
    else:
        await _ran(["claude", "mcp", "add", "--scope", "user", "--transport", way, "vel-tutor", place], home)
    async with puppet() as url:
        variables = {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "unused",
            "ENABLE_TOOL_SEARCH": "false",  # else a model looks for tools before it is shown them
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        command = ["claude", "--print", "hi", "--allowedTools", "mcp__vel-tutor__agent_list"]
        assert SAID in await _ran(command, home, variables)


async def codex(way: Way, place: str, home: Path) -> None:
    (home / ".codex").mkdir()
    if way == "stdio":
        await _ran([place, "install", "codex", "--write"], home)
    else:
        await _ran(["codex", "mcp", "add", "vel-tutor", "--url", place], home)
    async with puppet() as url:
        provider = f'{{name="puppet",base_url="{url}/v1",wire_api="responses"}}'
        settings = {
            "model_provider": "puppet",
            "model_providers.puppet": provider,
            "mcp_servers.vel-tutor.required": "true",  # else it asks the model before it has heard of the tools
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        alone = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
        assert SAID in await _ran(["codex", "exec", "-m", "puppet", *alone, *options, "hi"], home)


async def gemini(way: Way, place: str, home: Path) -> None:
    (home / ".gemini").mkdir()
    (home / ".gemini" / "settings.json").write_text('{"security": {"auth": {"selectedType": "gemini-api-key"}}}')
    trusted = {"GEMINI_CLI_TRUST_WORKSPACE": "true"}
    if way == "stdio":
        await _ran([place, "install", "gemini", "--write"], home)
    else:
        add = ["gemini", "mcp", "add", "--scope", "user", "--transport", way, "vel-tutor", place]
        await _ran(add, home, trusted)
    async with puppet() as url:
        variables = {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "unused", **trusted}
        assert SAID in await _ran(
            ["gemini", "--model", "gemini-2.5-flash", "--yolo", "--prompt", "hi"], home, variables
        )


def _expect(said: Any, *, told: bool) -> None:
    assert said["tools"] > 20, said
    assert said["status"] in {"pending", "in_progress", "completed"}, said
    assert said["told"] is told, said


async def _ran(command: Sequence[str | Path], home: Path, variables: Mapping[str, str] = {}) -> str:
    """What it printed; where it fails, the failure shows what it complained of."""
    path = os.pathsep.join(map(str, (NODE.parent, programs() / "node_modules" / ".bin", os.environ["PATH"])))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=home,
        env={"PATH": path, "HOME": str(home), **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        out, err = await soon(process.communicate(), _RUN_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, f"{command}: {out.decode()}\n{err.decode()}"
    return out.decode()

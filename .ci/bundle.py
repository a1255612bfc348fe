"""The bundle that desktop clients install with a click: `bundle.py FOLDER` packs it there, with the official tool.

Two readings of a bundle of the kind `uv` are about: hosts run `mcp_config` with a uv of their own, or they run the
entry point themselves. Both come to `uv run server.py`, whose head says what it needs: uv makes the environment in its
cache, so that the bundle may lie in a folder that cannot be written.
"""

import asyncio
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tomlkit
from node_programs import clean_install, installed

from vel_tutor_mcp import leaves

ROOT = Path(__file__).parents[1]
PACKER = Path(__file__).parent / "mcpb"
SERVER = Path(__file__).parent / "bundled_server.py"
SECONDS = 100

Table = dict[str, Any]


def main(folder: Path) -> Path:
    """The path of the new bundle."""
    registered = json.loads(read("server.json"))
    target = folder.absolute() / f"{registered['packages'][0]['identifier']}-{registered['version']}.mcpb"
    with TemporaryDirectory() as unpacked:
        fill(Path(unpacked), registered)
        mcpb("pack", unpacked, target)
    print(f"bundle: {target}")
    return target


def fill(folder: Path, registered: Table) -> None:
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    (wheel,) = folder.glob("*.whl")
    project = tomllib.loads(read("pyproject.toml"))["project"]
    (folder / "manifest.json").write_text(json.dumps(manifest(registered, project), indent=2) + "\n", "utf-8")
    needs = needed(project, wheel.name, read("requirements.lock"))
    (folder / "server.py").write_text(head(needs) + SERVER.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "pyproject.toml").write_text(as_project(needs, registered["version"]), encoding="utf-8")
    (folder / "LICENSE").write_text(read("LICENSE"), encoding="utf-8")


def manifest(registered: Table, project: Table) -> Table:
    """What a host shows of it, asks for and runs."""
    (package,) = registered["packages"]
    variables = {row["name"]: row for row in package["environmentVariables"]}
    return {
        "manifest_version": "0.4",
        "name": package["identifier"],
        "display_name": registered["title"],
        "version": registered["version"],
        "description": registered["description"],
        "author": {"name": re.findall(r"Copyright \(c\) \d+ (.+)", read("LICENSE"))[0]},
        "license": project["license"],
        "keywords": project["keywords"],
        "server": {
            "type": "uv",
            "entry_point": "server.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "server.py"],
                "env": {name: f"${{user_config.{name.lower()}}}" for name in variables},
            },
        },
        "tools": [described(leaf) for leaf in leaves.load("tools")],
        "prompts": [asyncio.run(spoken(leaf)) for leaf in leaves.load("prompts")],
        "prompts_generated": True,  # saved templates
        "user_config": {name.lower(): asked_for(row) for name, row in variables.items()},
        "compatibility": {
            "platforms": ["darwin", "linux", "win32"],
            "runtimes": {"python": pythons(project)},
        },
    }


def described(leaf: Callable[..., Any]) -> Table:
    return {"name": leaf.__name__, "description": " ".join((leaf.__doc__ or "").split())}


async def spoken(prompt: Callable[..., Awaitable[str]]) -> Table:
    """The prompt with its text, into which hosts put the arguments."""
    names = list(inspect.signature(prompt).parameters)
    text = await prompt(**{name: f"${{arguments.{name}}}" for name in names})
    return described(prompt) | {"arguments": names, "text": text}


def asked_for(row: Table) -> Table:
    """What the host asks its user for; without a default it would hand on the placeholder itself. (Pure.)"""
    return {
        "type": "string",
        "title": row["description"].partition(";")[0],
        "description": row["description"],
        "required": False,
        "default": "",
        "sensitive": row.get("isSecret", False),
    }


def pythons(project: Table) -> str:
    """The versions that are declared: the newest one of all, which a host may choose, may lack wheels. (Pure.)"""
    minors = [int(found) for text in project["classifiers"] for found in re.findall(r"Python :: 3\.(\d+)$", text)]
    return f"{project['requires-python']},<3.{max(minors) + 1}"


def needed(project: Table, wheel: str, lock: str) -> Table:
    """The wheel beside it, and the locked versions of what that depends on. (Pure.)"""
    pins = re.findall(r"^([a-z0-9][^\n]*?) *\\$", lock, re.MULTILINE)
    return {
        "requires-python": pythons(project),
        "dependencies": [project["name"]],
        "tool": {"uv": {"constraint-dependencies": pins, "sources": {project["name"]: {"path": wheel}}}},
    }


def head(needs: Table) -> str:
    """As a script says what it needs. (Pure.)"""
    lines = ("# /// script", *tomlkit.dumps(needs).splitlines(), "///")
    return lines[0] + "".join(f"\n# {line}".rstrip(" ") for line in lines[1:]) + "\n"


def as_project(needs: Table, version: str) -> str:
    """As a project does, for hosts that look for one. (Pure.)"""
    about = {"name": "vel-tutor-mcp-bundle", "version": version}
    rest = {name: needs[name] for name in ("requires-python", "dependencies")}
    return tomlkit.dumps({"project": about | rest, "tool": {"uv": {"package": False} | needs["tool"]["uv"]}})


def mcpb(*arguments: str | Path) -> None:
    """The official tool, installed once."""
    run("node", installed(PACKER, _install) / "node_modules/@anthropic-ai/mcpb/dist/cli/cli.js", *arguments)


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_text((PACKER / name).read_text(encoding="utf-8"), encoding="utf-8")
    clean_install(folder)


def run(*command: str | Path) -> None:
    ended = subprocess.run(  # noqa: S603 - our own tools
        command, capture_output=True, text=True, check=False, timeout=SECONDS, cwd=ROOT
    )
    if ended.returncode:
        sys.exit(f"bundle: {Path(command[0]).name} failed.\n{ended.stdout}{ended.stderr}")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The official conformance suite of MCP: what it asks an MCP server, and an authorization server with a person at a
browser.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import playwright
from server import soon

BACK = "OK. You can close this page."
REVISIONS = ("2025-11-25", "2026-07-28")
# It asks for a newer node than may be here; Playwright brings one along.
_NODE = Path(playwright.__file__).parent / "driver" / "node"
_SUITE = Path("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
_RUN_SECONDS = 120
_RESULT = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\dZ-]+")
_NOT_SCORED = re.compile(r"^  [✓✗] (\S+) \((.+)\)$", re.MULTILINE)
_WORST = {"FAILURE": "fails", "WARNING": "passes with a warning", "SUCCESS": "passes"}


@dataclass(frozen=True)
class Run:
    """What came of a revision's scenarios: each one's word, why it is not scored where it is not, and what the suite
    complains of in the others.
    """

    code: int
    words: Mapping[str, str]
    not_scored: Mapping[str, str]
    complaints: list[str]


async def asked(url: str, revision: str, folder: Path, results: Path) -> Run:
    """Ask the server at the URL all that the revision of the protocol requires of one."""
    options = ("--url", url, "--requirements", revision)
    process = await _suite("server", *options, folder=folder, results=results)
    try:
        said, _ = await soon(process.communicate(), _RUN_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    rows = {_RESULT.sub(r"\1", path.parent.name): _checks(path) for path in sorted(results.rglob("checks.json"))}
    words = {name: _word({row["status"] for row in checks}) for name, checks in rows.items()}
    not_scored = dict(_NOT_SCORED.findall(said.decode()))
    complaints = [
        f"{name}: {row['id']}: {row['errorMessage']}"
        for name in rows.keys() - not_scored.keys()
        for row in rows[name]
        if row["status"] in {"FAILURE", "WARNING"}
    ]
    return Run(process.returncode, words, not_scored, complaints)


async def outcomes(
    url: str, client_id: str, port: int, folder: Path, results: Path, person: Callable[[str], Awaitable[None]]
) -> dict[str, str]:
    """The status of each check of all its scenarios, which are one conversation: what the first learns the next needs.

    The person comes back to `BACK` at 127.0.0.1 and the port; `folder` is that of `node_programs.packages`.
    """
    options = ("--url", url, "--client-id", client_id, "--resource", f"{url}/mcp", "--port", str(port))
    process = await _suite("authorization", *options, folder=folder, results=results)
    try:
        said = ""
        assert process.stdout is not None
        while not said.startswith(f"{url}/oauth/authorize?"):
            said = (await soon(process.stdout.readline())).decode()
            assert said, "It has ended without sending its person anywhere."
        await person(said.strip())
        await soon(process.communicate())
    finally:
        if process.returncode is None:
            process.kill()
    return {row["id"]: row["status"] for path in sorted(results.rglob("checks.json")) for row in _checks(path)}


async def _suite(*arguments: str, folder: Path, results: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        _NODE, _SUITE, *arguments, "-o", results, cwd=folder, stdout=asyncio.subprocess.PIPE
    )


def _checks(path: Path) -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return checks


def _word(statuses: set[str]) -> str:
    """Of a scenario whose checks came out so; one in which nothing was checked has passed nothing."""
    return next((word for status, word in _WORST.items() if status in statuses), "checks nothing")

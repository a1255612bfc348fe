"""Real clients find our tools and use them; what each spoke is written into docs/clients.md."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from balancer import balanced
from negotiated import Notes, Row
from node_programs import NoNodeError
from real_clients import (
    Use,
    Way,
    claude_code,
    codex,
    gemini,
    inspector,
    locked,
    other_python,
    python_sdk,
    typescript_sdk,
)
from server import Server, environment, soon
from tee import placed
from world import Providers, simulated_providers

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
HEAD = "| client | version | over | speaks | asked for |\n|---|---|---|---|---|\n"
OLD, NEW, OLDER = "2025-11-25", "2026-07-28", "2025-06-18"
ASKED = ("initialize", "server/discover", "tools/list", "tools/call", "resources/subscribe", "subscriptions/listen")
LATENCY_SECONDS = 3.0


@dataclass(frozen=True)
class Case:
    """A client as the table names it, the package whose version is told, and what it is expected to speak and to do."""

    title: str
    package: str
    way: Way
    use: Use
    speaks: str
    subscribes: bool = False

    def __str__(self) -> str:
        return f"{self.title} {self.way}".replace("`", "").replace(",", "").replace(" ", "-")


def cases() -> Iterator[Case]:
    ways: tuple[Way, ...] = ("stdio", "http")
    for way in ways:
        yield Case("Claude Code", "@anthropic-ai/claude-code", way, claude_code, NEW, subscribes=True)
    for way in ways:
        yield Case("Codex", "@openai/codex", way, codex, OLDER)
    for way in ways:
        yield Case("Gemini CLI", "@google/gemini-cli", way, gemini, OLDER)
    for title, options, speaks, way in (
        ("Inspector CLI", (), OLD, "stdio"),
        ("Inspector CLI", (), OLD, "http"),
        ("Inspector CLI", (), OLD, "sse"),
        ("Inspector CLI, `--protocol-era modern`", ("--protocol-era", "modern"), NEW, "stdio"),
        ("Inspector CLI, `--protocol-era modern`", ("--protocol-era", "modern"), NEW, "http"),
    ):
        yield Case(title, "@modelcontextprotocol/inspector", way, inspector(*options), speaks, speaks == NEW)
    for title, package, use, speaks in (
        ("TypeScript SDK v1", "@modelcontextprotocol/sdk", typescript_sdk("v1"), OLD),
        ("TypeScript SDK v2", "@modelcontextprotocol/client", typescript_sdk("v2"), OLD),
        ("TypeScript SDK v2, `auto`", "@modelcontextprotocol/client", typescript_sdk("v2-auto"), NEW),
        ("Python SDK v1", "python-sdk-v1", other_python("python-sdk-v1", "python_v1_client.py", told=True), OLD),
        ("Python SDK v2", "mcp", python_sdk("auto"), NEW),
        ("Python SDK v2, `legacy`", "mcp", python_sdk("legacy"), OLD),
        ("fastmcp", "fastmcp", other_python("fastmcp", "fastmcp_client.py", told=False), NEW),
    ):
        for way in ways:
            yield Case(title, package, way, use, speaks, title != "fastmcp")


CASES = list(cases())


class Table:
    """What was seen, a row for each case, in their order."""

    def __init__(self) -> None:
        self._rows: dict[Case, str] = {}

    def add(self, case: Case, speaks: str, asked: str) -> None:
        version = locked(case.package)
        self._rows[case] = f"| {case.title} | {version} | {case.way} | {speaks} | {asked} |\n"

    def write(self) -> None:
        """Into the page, where all were tried."""
        if all(case in self._rows for case in CASES):
            before, _, rest = PAGE.read_text(encoding="utf-8").partition(HEAD)
            after = "".join(line for line in rest.splitlines(keepends=True) if not line.startswith("|"))
            PAGE.write_text(before + HEAD + "".join(self._rows[case] for case in CASES) + after, encoding="utf-8")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    table = Table()
    yield table
    table.write()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def vendors() -> AsyncIterator[Providers]:
    async with simulated_providers() as providers:
        for provider in (providers.openai, providers.groq):
            provider.latency = LATENCY_SECONDS  # whoever subscribes to a task does so before it ends
        yield providers


@pytest.fixture(scope="module")
async def origin(vendors: Providers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Where a server is that clients may come to over HTTP."""
    async with Server(tmp_path_factory.mktemp("http"), vendors.environment(), transport="http") as server:
        yield (await soon(server.address())).removesuffix("/mcp")


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_client_finds_our_tools_and_calls_one(
    case: Case, origin: str, vendors: Providers, table: Table, tmp_path: Path
) -> None:
    (home := tmp_path / "home").mkdir()
    notes = Notes(tmp_path / "notes")
    try:
        if case.way == "stdio":
            variables = environment(tmp_path, without_secrets(vendors) | {"HOME": str(home)})
            place = placed(tmp_path, tmp_path / "notes", variables)
            await case.use(case.way, str(place), home)
        else:
            async with balanced(origin, hear=lambda headers, body: notes.hear(body, headers)) as (url, _):
                await case.use(case.way, f"{url}/{'sse' if case.way == 'sse' else 'mcp'}", home)
    except NoNodeError as problem:
        table.add(case, "not tried", f"it could not be had: {str(problem).splitlines()[0]}")
        pytest.skip(str(problem))
    rows = notes.rows()
    table.add(case, spoken(rows), ", ".join(f"`{word}`" for word in asked(rows)))

    assert spoken(rows) == case.speaks, rows
    assert {"tools/list", "tools/call"} <= {row.get("method") for row in rows}, rows
    subscribed = {"resources/subscribe", "subscriptions/listen"} & {row.get("method") for row in rows}
    assert bool(subscribed) is case.subscribes


def without_secrets(vendors: Providers) -> dict[str, str]:
    """What a program may have in its text: simulated vendors do not look at keys."""
    return {name: "unused" if name.endswith("KEY") else value for name, value in vendors.environment().items()}


def spoken(rows: list[Row]) -> str:
    """The version of the last message that tells one."""
    return next((row["version"] for row in reversed(rows) if "version" in row), "")


def asked(rows: list[Row]) -> list[str]:
    """Which methods, each once, in the order of the first time; of calls which tools."""
    told = (f"tools/call {row['tool']}" if "tool" in row else row.get("method", "") for row in rows)
    return [word for word in dict.fromkeys(told) if word.startswith(ASKED)]

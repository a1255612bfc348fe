"""The official conformance suite of MCP, as far as it asks an authorization server, with a person at a browser."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import playwright
from server import soon

BACK = "OK. You can close this page."
# It asks for a newer node than may be here; Playwright brings one along.
_NODE = Path(playwright.__file__).parent / "driver" / "node"
_SUITE = Path("node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")


async def outcomes(
    url: str, client_id: str, port: int, folder: Path, results: Path, person: Callable[[str], Awaitable[None]]
) -> dict[str, str]:
    """The status of each check of all its scenarios, which are one conversation: what the first learns the next needs.

    The person comes back to `BACK` at 127.0.0.1 and the port; `folder` is that of `node_programs.packages`.
    """
    options = ("--url", url, "--client-id", client_id, "--resource", f"{url}/mcp", "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        _NODE, _SUITE, "authorization", *options, "-o", results, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
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
    rows = [row for path in sorted(results.rglob("checks.json")) for row in json.loads(path.read_text())]
    return {row["id"]: row["status"] for row in rows}

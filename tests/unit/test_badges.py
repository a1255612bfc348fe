"""The badges of the README install what the registry's entry names, and ask for its secrets where the client can."""

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from vel_tutor_mcp.doors.cli.clients import NAME

ROOT = Path(__file__).parents[2]


@pytest.fixture
def links() -> dict[str, Any]:
    """Each badge's link, by its text."""
    found = re.findall(r"\[!\[Install in ([^]]+)\]\([^)]+\)\]\((\S+)\)", (ROOT / "README.md").read_text("utf-8"))
    return {client: urlsplit(link) for client, link in found}


@pytest.fixture
def package() -> dict[str, Any]:
    (row,) = json.loads((ROOT / "server.json").read_text("utf-8"))["packages"]
    return dict(row)


def test_the_badge_of_cursor(links: dict[str, Any], package: dict[str, Any]) -> None:
    told = {name: value for name, (value,) in parse_qs(links["Cursor"].query, strict_parsing=True).items()}
    assert (links["Cursor"].netloc, links["Cursor"].path) == ("cursor.com", "/en/install-mcp")
    assert told["name"] == NAME
    config = json.loads(base64.b64decode(told["config"], validate=True))
    assert config == {"command": package["runtimeHint"], "args": [package["identifier"]]}


def test_the_badge_of_vs_code(links: dict[str, Any], package: dict[str, Any]) -> None:
    (target,) = parse_qs(links["VS Code"].query, strict_parsing=True)["url"]
    assert (links["VS Code"].netloc, links["VS Code"].path) == ("insiders.vscode.dev", "/redirect")
    secrets = [row for row in package["environmentVariables"] if row.get("isSecret")]
    assert target.startswith("vscode:mcp/install?")
    assert json.loads(unquote(target.partition("?")[2])) == {
        "name": NAME,
        "command": package["runtimeHint"],
        "args": [package["identifier"]],
        "env": {row["name"]: f"${{input:{row['name'].lower()}}}" for row in secrets},
        "inputs": [
            {
                "id": row["name"].lower(),
                "type": "promptString",
                "description": row["description"],
                "password": True,
            }
            for row in secrets
        ],
    }

"""What a server hears of its client: one row for each message, kept as lines of JSON.

A row has the `method`, the `tool` of a call, and where the message tells it, the `client` and the protocol `version` in
which it speaks. What a client of the handshake era only wishes for is no version yet.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_META = "io.modelcontextprotocol/"
_VERSION_HEADER = "mcp-protocol-version"

Row = dict[str, str]


class Notes:
    """The rows in a file, which several processes may add to."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def hear(self, message: bytes, headers: Mapping[str, str] = {}) -> None:
        """Of a client, or what a server says to one over stdio."""
        try:
            told = row(json.loads(message), headers)
        except ValueError:
            return
        if told:
            with self._file.open("a") as rows:
                rows.write(json.dumps(told) + "\n")

    def rows(self) -> list[Row]:
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []


def row(message: Any, headers: Mapping[str, str]) -> Row:
    """What there is to note of a message; of most answers nothing."""
    if not isinstance(message, dict):
        return {}
    params = message.get("params") or {}
    meta = params.get("_meta") or {}
    of_client = params.get("clientInfo") or meta.get(f"{_META}clientInfo") or {}
    told = {
        "method": message.get("method"),
        "tool": params.get("name") if message.get("method") == "tools/call" else None,
        "client": " ".join(filter(None, (of_client.get("name"), of_client.get("version")))),
        "version": meta.get(f"{_META}protocolVersion")
        or headers.get(_VERSION_HEADER)
        or (message.get("result") or {}).get("protocolVersion"),
    }
    return {name: value for name, value in told.items() if value}

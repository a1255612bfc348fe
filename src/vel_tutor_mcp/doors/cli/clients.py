"""The MCP clients that `install` knows: where each keeps its servers, and what it wants to be told of one. (Pure.)"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.splicing import plain, replaced

NAME = "vel-tutor"
KEYS = ("OPENAI_API_KEY", "GROQ_API_KEY", "PERPLEXITY_API_KEY")

_BYTE_ORDER_MARK = "\ufeff"
_BARE_LINE_END = re.compile(r"(?<!\r)\n")

ClientName = Literal["claude-desktop", "claude-code", "cursor", "vscode", "codex", "gemini"]
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Client:
    """`table` is the name of the servers' table in the client's `file`, which depends on the environment; `extra` is
    what it wants to be told of a server beside its command, arguments and environment.
    """

    title: str
    table: str
    file: Callable[[Mapping[str, str]], Path]
    extra: Entry

    def with_server(self, text: str, file: Path, entry: Entry) -> str:
        """The text of the client's file with our server in it, all else as it was.

        Raises:
            InputError: the text is not in order; says where.
        """
        entry = {**self.extra, **entry}
        return (_with_toml if file.suffix == ".toml" else _with_json)(text, self.table, entry)


def _home(folder: str, name: str, variable: str = "") -> Callable[[Mapping[str, str]], Path]:
    """A file of the user's home, or of the folder that the variable names instead."""

    def file(environment: Mapping[str, str]) -> Path:
        named = environment.get(variable)
        return (Path(named) if named else Path.home() / folder) / name

    return file


def _data(*parts: str) -> Callable[[Mapping[str, str]], Path]:
    """A file of a desktop program: in Application Support, %APPDATA% or ~/.config."""
    return lambda _: Path(platformdirs.user_config_dir(roaming=True), *parts)


CLIENTS: dict[ClientName, Client] = {
    "claude-desktop": Client("Claude Desktop", "mcpServers", _data("Claude", "claude_desktop_config.json"), {}),
    "claude-code": Client(
        "Claude Code", "mcpServers", _home("", ".claude.json", "CLAUDE_CONFIG_DIR"), {"type": "stdio"}
    ),
    "cursor": Client("Cursor", "mcpServers", _home(".cursor", "mcp.json"), {}),
    "vscode": Client("VS Code", "servers", _data("Code", "User", "mcp.json"), {"type": "stdio"}),
    # It hands on no more of its own environment than is named.
    "codex": Client("Codex", "mcp_servers", _home(".codex", "config.toml", "CODEX_HOME"), {"env_vars": list(KEYS)}),
    "gemini": Client("Gemini CLI", "mcpServers", _home(".gemini", "settings.json"), {}),
}


def _with_toml(text: str, table: str, entry: Entry) -> str:
    import tomlkit

    body = text.removeprefix(_BYTE_ORDER_MARK)
    servers = _servers(_toml(body), table)
    document = tomlkit.parse(body)
    if table not in document:
        document[table] = tomlkit.table(is_super_table=True)
    document[table][NAME] = _merged(servers.get(NAME), entry)
    after = tomlkit.dumps(document)
    if "\r\n" in body and not _BARE_LINE_END.search(body):
        after = _BARE_LINE_END.sub("\r\n", after)  # what is new ends its lines as the rest does
    return text[: len(text) - len(body)] + after


def _with_json(text: str, table: str, entry: Entry) -> str:
    text = text if plain(text).strip() else text + "{}\n"
    return replaced(text, [table, NAME], _merged(_servers(_json(text), table).get(NAME), entry))


def _merged(old: Any, entry: Entry) -> Entry:
    """What its owner has added to the entry, such as keys, stays."""
    if not isinstance(old, Mapping):
        return entry
    variables = {**_mapping(old.get("env")), **entry.get("env", {})}
    return {**old, **entry, **({"env": variables} if variables else {})}


def _servers(document: Any, table: str) -> Mapping[str, Any]:
    servers = document.get(table, {}) if isinstance(document, dict) else None
    if not isinstance(servers, dict):
        raise InputError(f"The file cannot be changed; its {table} is no table of servers; correct it first.")
    return servers


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _json(text: str) -> Any:
    try:
        return json.loads(plain(text))
    except (json.JSONDecodeError, RecursionError) as problem:
        line = getattr(problem, "lineno", 1)
        raise InputError(f"The file cannot be changed; line {line} of it is no JSON; correct it first.") from None


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"The file cannot be changed; it is no TOML ({problem}); correct it first.") from None

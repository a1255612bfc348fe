"""`install` puts our server into each client's own file, and leaves all else there as it was."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from planted import MARK

from vel_tutor_mcp.doors.cli.clients import CLIENTS, ClientName
from vel_tutor_mcp.doors.cli.install import install
from vel_tutor_mcp.errors import ConfigurationError, InputError
from vel_tutor_mcp.splicing import plain

OURS = {"command": sys.executable, "args": ["-m", "vel_tutor_mcp"]}
JSONC = """{
    // what I use
    "servers": {
        "other": {"command": "other", "args": []}, // keep
    },
    "inputs": []
}
"""
TOML = """# mine
model = "o"   # the small one

[mcp_servers.other]
command = "other" # keep

[profiles.x]
model = "p"
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("VEL_TUTOR_", "OPENAI_", "GROQ_", "PERPLEXITY_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def file_of(name: ClientName, content: str | None = None) -> Path:
    file = CLIENTS[name].file(os.environ)
    file.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        file.write_text(content, encoding="utf-8", newline="")
    return file


def servers_in(file: Path, name: ClientName) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8-sig")
    document = tomllib.loads(text) if file.suffix == ".toml" else json.loads(plain(text))
    servers: dict[str, Any] = document[CLIENTS[name].table]
    return servers


def test_every_client_that_can_be_named_is_known() -> None:
    assert list(CLIENTS) == list(get_args(ClientName))


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_printed_is_what_is_written(name: ClientName, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of(name)
    install(name)
    printed = capsys.readouterr()
    assert not file.exists()
    assert str(file) in printed.err

    install(name, write=True)
    assert file.read_text(encoding="utf-8").strip() == printed.out.strip()
    assert servers_in(file, name) == {"vel-tutor": {**CLIENTS[name].extra, **OURS}}
    assert file.is_relative_to(home)
    assert sys.platform == "win32" or file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "vscode",
            JSONC,
            ('"other": {"command": "other", "args": []}, // keep\n        "vel-tutor": {', "// what I use"),
        ),
        ("codex", TOML, ("# mine\n", "   # the small one\n", "# keep\n", "[profiles.x]\n")),
        ("gemini", '{"theme": "dark"}', ('{"theme": "dark",\n  "mcpServers": {',)),
        ("cursor", "", ()),
        (
            "cursor",
            '\ufeff{\r\n\t"x": 1\r\n}\r\n',
            ('\ufeff{\r\n\t"x": 1,\r\n\t"mcpServers": {\r\n\t\t"vel-tutor": {\r\n',),
        ),
        ("codex", '\ufeffmodel = "o" # mine\r\n', ('model = "o" # mine\r\n',)),
    ],
)
def test_the_rest_of_a_file_stays_and_a_copy_is_kept(name: ClientName, before: str, after: tuple[str, ...]) -> None:
    file = file_of(name, before)
    file.chmod(0o640)
    install(name, write=True)

    text = file.read_bytes().decode()
    assert [part for part in after if part not in text] == []
    assert text.startswith("\ufeff") == before.startswith("\ufeff")
    assert ("\r\n" not in before) or text.count("\n") == text.count("\r\n") > before.count("\r\n")
    assert servers_in(file, name)["vel-tutor"]["command"] == sys.executable
    assert file.stat().st_mode & 0o777 == 0o640
    (backup,) = file.parent.glob("*.bak")
    assert backup.read_bytes().decode() == before


def test_a_second_time_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of("vscode", JSONC)
    install("vscode", write=True)
    once = file.read_bytes()
    install("vscode", write=True)
    assert file.read_bytes() == once
    assert "has it already" in capsys.readouterr().err
    assert len(list(file.parent.glob("*.bak"))) == 1


@pytest.mark.parametrize("name", ["cursor", "codex"])
def test_what_its_owner_added_to_our_entry_stays(name: ClientName) -> None:
    old = {
        "cursor": '{"mcpServers": {"vel-tutor": {"command": "old", "env": {"OPENAI_API_KEY": "k"}, "disabled": true}}}',
        "codex": '[mcp_servers.vel-tutor]\ncommand = "old"\ndisabled = true\nenv = { OPENAI_API_KEY = "k" }\n',
    }
    file = file_of(name, old[name])
    install(name, write=True)
    ours = servers_in(file, name)["vel-tutor"]
    assert (ours["command"], ours["env"], ours["disabled"]) == (sys.executable, {"OPENAI_API_KEY": "k"}, True)


def test_keys_are_written_when_asked_for_and_never_otherwise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MARK)
    monkeypatch.setenv("VEL_TUTOR_DATABASE_URL", f"postgresql://{MARK}@host/name")
    monkeypatch.setenv("VEL_TUTOR_HOME", "here")
    file = file_of("cursor")
    install("cursor", write=True)
    assert servers_in(file, "cursor")["vel-tutor"]["env"] == {"VEL_TUTOR_HOME": str(Path.cwd() / "here")}
    assert "OPENAI_API_KEY, VEL_TUTOR_DATABASE_URL;" in capsys.readouterr().err

    install("cursor", write=True, keys=True)
    assert servers_in(file, "cursor")["vel-tutor"]["env"]["OPENAI_API_KEY"] == MARK
    told = capsys.readouterr()
    assert MARK not in told.err + told.out
    file.unlink()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("cursor", '{"mcpServers": {\n', "line 2 of it is no JSON"),
        ("cursor", '{"mcpServers": []}', "its mcpServers is no table of servers"),
        ("cursor", "[]", "its mcpServers is no table of servers"),
        ("cursor", "[" * 100_000, "is no JSON"),
        ("codex", "[mcp_servers", "it is no TOML"),
        ("codex", "mcp_servers = 1", "its mcp_servers is no table of servers"),
    ],
)
def test_a_file_that_is_not_in_order_is_left_alone(name: ClientName, content: str, why: str) -> None:
    file = file_of(name, content)
    with pytest.raises(InputError, match=why):
        install(name, write=True)
    assert file.read_text(encoding="utf-8") == content
    assert list(file.parent.iterdir()) == [file]


def test_a_read_only_file_is_left_alone() -> None:
    file = file_of("cursor", "{}")
    file.chmod(0o444)
    with pytest.raises(ConfigurationError, match="it is read-only; allow its owner to write to it"):
        install("cursor", write=True)
    assert file.read_text(encoding="utf-8") == "{}"
    assert list(file.parent.iterdir()) == [file]


def test_a_client_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match="Cursor was not found; there is no folder"):
        install("cursor", write=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows asks for a privilege before it makes links")
def test_a_link_to_the_file_stays_one(home: Path) -> None:
    (home / "mine.json").write_text("{}", encoding="utf-8")
    file = file_of("cursor")
    file.symlink_to(home / "mine.json")
    install("cursor", write=True)
    assert file.is_symlink()
    assert "vel-tutor" in (home / "mine.json").read_text(encoding="utf-8")

"""Each code block of the documentation is of a kind that is run or read, or says why not; what it names exists.

What is run is run by `tests/acceptance/test_code_blocks.py`.
"""

import configparser
import json
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from code_blocks import ALL_PAGES, BY_THEMSELVES, ROOT, SHELL, Block, blocks, commands, in_sentences, read
from typer.testing import CliRunner

from vel_tutor_mcp.doors.cli import app
from vel_tutor_mcp.doors.cli.clients import CLIENTS, NAME
from vel_tutor_mcp.services.workflows import checked
from vel_tutor_mcp.settings import Settings

BLOCKS = [block for page in ALL_PAGES for block in blocks(page)]
OF_SHELL = [block for block in BLOCKS if block.language in SHELL]
# The blocks that nothing runs, by their reasons. Each more is one thing less that is proven.
UNPROVEN = {
    "no-run: needs Ollama": 1,
    "no-run: needs PyPI and a collector": 1,
    "no-run: needs docker": 1,
    "no-run: needs fly.io": 1,
    "no-run: needs npm": 3,
    "no-run: needs npm and somebody who signs in": 1,
    "no-run: needs root's folders": 1,
    "no-run: needs systemd": 1,
    "no-run: needs the clients' own programs": 1,
    "no-run: needs the package of npm": 1,
    "no-run: needs uv's own folder of tools": 2,
    "no-run: takes three quarters of an hour": 1,
    "no-run: takes minutes, and make test has it": 1,
    "picture: a formula": 1,
    "picture: an option of docker run": 1,
    "picture: the layout": 1,
}
# Begin names of settings and are none.
BEGINNINGS = {"VEL_TUTOR_"}
TARGETS = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
OF_PROVIDERS = {name.upper() for name, row in Settings.model_fields.items() if row.validation_alias}
KNOWN = {f"VEL_TUTOR_{name.upper()}" for name in Settings.model_fields if name.upper() not in OF_PROVIDERS}
OUR_FOLDERS = r"(?:src|tools|resources|prompts|migrations|tests|docs|benchmarks|web|\.ci)"


def of(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=[block.place for block in chosen])


def test_each_block_is_of_a_kind_that_is_looked_at() -> None:
    assert [f"{block.place} {block.language} {block.mark}" for block in BLOCKS if not block.known] == []


def test_what_is_not_run_says_why() -> None:
    assert Counter(block.mark for block in BLOCKS if block.unproven) == UNPROVEN


@pytest.mark.parametrize("page", sorted(BY_THEMSELVES.keys() & {*ALL_PAGES}))
def test_a_page_with_a_test_of_its_own_is_read_by_it(page: str) -> None:
    assert page in read(BY_THEMSELVES[page])


@of(*SHELL)
def test_what_is_typed_is_in_order(block: Block) -> None:
    read_by_bash = subprocess.run(["bash", "-n"], input=block.script, text=True, capture_output=True, check=False)
    assert (read_by_bash.returncode, read_by_bash.stderr) == (0, "")


@pytest.mark.parametrize("page", ALL_PAGES)
def test_each_command_and_option_exists(page: str) -> None:
    typed = [*in_sentences(page), *(block.script for block in OF_SHELL if block.page == page)]
    for command in (command for text in typed for command in commands("vel-tutor-mcp", text)):
        if command and command[0].isupper():  # it stands for any
            continue
        ended = CliRunner().invoke(app, [*command, "--help"])
        assert (ended.exit_code, "Usage" in ended.stdout) == (0, True), (command, ended.output)


@pytest.mark.parametrize("page", ALL_PAGES)
def test_each_target_of_make_exists(page: str) -> None:
    typed = [*in_sentences(page), *(block.script for block in OF_SHELL if block.page == page)]
    made = {words[0] for text in typed for words in commands("make", text) if words}
    assert made - TARGETS == set()


@pytest.mark.parametrize("page", ALL_PAGES)
def test_each_setting_exists(page: str) -> None:
    assert set(re.findall(r"VEL_TUTOR_[A-Z_]*", read(page))) <= KNOWN | BEGINNINGS


@pytest.mark.parametrize("page", ALL_PAGES)
def test_each_path_of_ours_exists(page: str) -> None:
    written = " ".join([*in_sentences(page), *(block.text for block in BLOCKS if block.page == page)])
    named = re.findall(rf"(?<![\w/.<]){OUR_FOLDERS}/[\w./*-]*\.\w+", written)
    assert [path for path in named if not list(ROOT.glob(path))] == []


@of("json")
def test_json_is_in_order(block: Block) -> None:
    json.loads(block.text)


@of("json")
def test_a_workflow_is_one_that_can_be_saved(block: Block) -> None:
    document = json.loads(block.text)
    if "steps" in document:
        checked(document)


@of("json")
def test_the_configuration_of_a_client_is_as_install_writes_it(block: Block) -> None:
    document = json.loads(block.text)
    for client in CLIENTS.values():
        entry = document.get(client.table, {}).get(NAME)
        if entry is None:
            continue
        if "url" in entry:
            assert entry.keys() <= {"type", "url"}
            continue
        assert entry.get("env", {}).keys() <= KNOWN | OF_PROVIDERS
        written = json.loads(client.with_server("", Path("it.json"), {"command": entry["command"], "args": []}))
        assert entry.keys() - {"env"} <= written[client.table][NAME].keys()


@of("toml")
def test_settings_in_toml_exist(block: Block) -> None:
    assert tomllib.loads(block.text).keys() - {client.table for client in CLIENTS.values()} <= {
        *Settings.model_fields,
        *("providers", "models"),
    }


@of("yaml")
def test_yaml_is_in_order(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@of("ini")
def test_a_unit_starts_what_exists(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(block.text if block.text.startswith("[") else f"[all]\n{block.text}")
    started = [section["ExecStart"] for section in parser.values() if "ExecStart" in section]
    for command in (command for line in started for command in commands("vel-tutor-mcp", line)):
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0


@of("mermaid")
def test_a_drawing_is_of_a_kind_that_mermaid_knows(block: Block) -> None:
    first, *rest = block.text.split()
    assert first in {"flowchart", "graph", "sequenceDiagram", "stateDiagram-v2", "erDiagram", "classDiagram"}
    assert rest
    assert [block.text.count(left) - block.text.count(right) for left, right in ("[]", "()", "{}")] == [0, 0, 0]


def test_the_layout_in_the_readme_is_that_of_the_folders() -> None:
    (drawn,) = (block.text for block in blocks("README.md") if block.mark.startswith("picture: "))
    outer, _, inner = drawn.partition("src/vel_tutor_mcp/\n")
    inside = [line for line in inner.splitlines() if line.startswith(" ")]
    assert missing(ROOT, [*outer.splitlines(), *inner.splitlines()[len(inside) :]]) == []
    assert missing(ROOT / "src/vel_tutor_mcp", inside) == []


def missing(folder: Path, lines: list[str]) -> list[str]:
    named = re.findall(r"(?:^ *|  )([a-z_]+(?:/|\.py))", "\n".join(lines), re.MULTILINE)
    assert named
    return [name for name in named if not (folder / name).exists()]

"""The leaf folders: found by file name, imported by nobody, importing only inwards."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import vel_tutor_mcp
from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import ResourceCard, ToolCard

LEAVES = ("tools", "resources", "prompts", "migrations")
OUTSIDE = {name: {"mcp", "mcp_types", "pydantic"} for name in LEAVES}
OUTSIDE["migrations"] |= {"sqlalchemy", "alembic"}
INSIDE = frozenset(
    f"vel_tutor_mcp.{name}"
    for name in (
        "auth.roles",
        "doors.approvals",
        "doors.completion",
        "doors.dashboard.page",
        "doors.dashboard.relay",
        "doors.desk",
        "doors.progress",
        "doors.reply",
        "doors.run_reply",
        "services.reports",
        "services.run_reports",
        "taskmaster.wishes",
        "workflows.model",
        "models",
        "task_lists",
        "news",
        "errors",
        "leaves",
    )
)
TABLES = "vel_tutor_mcp.store.tables"
CARDS = {"tools": ToolCard, "resources": ResourceCard}

FILES = [file for name in LEAVES for file in sorted(leaves.folder(name).rglob("*.py"))]
SOURCES = sorted(
    file
    for file in Path(vel_tutor_mcp.__file__).parent.rglob("*.py")
    if not any(file.is_relative_to(leaves.folder(name)) for name in LEAVES)
)


def leaf_of(file: Path) -> str:
    return next(name for name in LEAVES if file.is_relative_to(leaves.folder(name)))


def said(file: Path) -> str:
    return f"{leaf_of(file)}/{file.relative_to(leaves.folder(leaf_of(file))).as_posix()}"


def imports(code: str) -> Iterator[str]:
    """The modules that the code imports; one taken from the bare package counts by its own name."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            inside = module == "vel_tutor_mcp" or not node.module
            yield from (f"{module}.{alias.name}" if inside else module for alias in node.names)


def foreign(code: str, leaf: str, *also: str) -> list[str]:
    """What the code imports that a leaf may not."""
    allowed = sys.stdlib_module_names | OUTSIDE[leaf]
    return [name for name in imports(code) if name not in INSIDE | set(also) and name.split(".")[0] not in allowed]


def outward(code: str) -> list[str]:
    """The leaf folders that the code imports as modules."""
    return [name for name in imports(code) if name.removeprefix("vel_tutor_mcp.").split(".")[0] in LEAVES]


@pytest.mark.parametrize("file", FILES, ids=said)
def test_a_leaf_imports_only_inwards(file: Path) -> None:
    also = (TABLES,) if said(file) == "migrations/env.py" else ()
    assert foreign(file.read_text(encoding="utf-8"), leaf_of(file), *also) == []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("from task_get import task_get", ["task_get"]),
        ("from tools import task_get", ["tools"]),
        ("from . import task_get", ["..task_get"]),
        ("from .task_get import task_get", [".task_get"]),
        ("import vel_tutor_mcp.app", ["vel_tutor_mcp.app"]),
        ("from vel_tutor_mcp import app, models", ["vel_tutor_mcp.app"]),
        ("def f():\n    from vel_tutor_mcp.store.tasks import get", ["vel_tutor_mcp.store.tasks"]),
        ("import sqlalchemy as sa", ["sqlalchemy"]),
        ("from openai import AsyncOpenAI", ["openai"]),
        ("import json\nfrom mcp.server.mcpserver import Context\nfrom vel_tutor_mcp.errors import NotFound", []),
    ],
)
def test_an_import_that_a_leaf_may_not_make_is_seen(code: str, names: list[str]) -> None:
    assert foreign(code, "tools") == names


@pytest.mark.parametrize("name", LEAVES)
def test_a_leaf_folder_is_there_and_no_package(name: str) -> None:
    assert leaves.folder(name).is_dir()
    assert list(leaves.folder(name).rglob("__init__.py")) == []


@pytest.mark.parametrize("name", CARDS)
def test_every_leaf_of_a_folder_is_loaded_by_its_file_name(name: str) -> None:
    files = sorted(file.stem for file in leaves.folder(name).glob("*.py"))
    assert [leaf.__name__ for leaf in leaves.load(name)] == files
    assert files


@pytest.mark.parametrize("name", CARDS)
def test_every_leaf_has_a_card_and_a_docstring(name: str) -> None:
    for leaf in leaves.load(name):
        assert isinstance(leaf.card, CARDS[name])  # type: ignore[attr-defined]  # set by `desk`
        assert leaf.card.title  # type: ignore[attr-defined]  # set by `desk`
        assert leaf.__doc__


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: "-".join(file.parts[-2:]))
def test_nothing_imports_a_leaf(file: Path) -> None:
    assert outward(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import vel_tutor_mcp.tools.task_get", ["vel_tutor_mcp.tools.task_get"]),
        ("from vel_tutor_mcp import prompts", ["vel_tutor_mcp.prompts"]),
        ("from vel_tutor_mcp.resources.task import task", ["vel_tutor_mcp.resources.task"]),
        ("import migrations.env", ["migrations.env"]),
        ("from importlib.resources import files\nfrom vel_tutor_mcp.store import tasks", []),
    ],
)
def test_an_import_of_a_leaf_is_seen(code: str, names: list[str]) -> None:
    assert outward(code) == names

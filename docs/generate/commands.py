"""The page of commands."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from generate.markdown import code, linked, table
from vel_tutor_mcp.doors.cli import app

_HEAD = """\
# Commands
`vel-tutor-mcp` with no command serves MCP over stdio; `--version` tells the version. What each command is for, how
results are printed, and what exit codes mean: [command line](../command-line.md).
"""
_PLAIN = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH", bool: ""}


def page() -> str:
    return "\n".join([_HEAD, *("\n".join(_of(path, command)) for path, command in _all(typer.main.get_command(app)))])


def _all(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each command with its way, those of groups too."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from _all(below, f"{path} {name}".strip())


def _of(path: str, command: Any) -> Iterator[str]:
    arguments = "".join(f" {_shown(row)}" for row in command.params if _is_argument(row))
    options = "" if all(map(_is_argument, command.params)) else " [OPTIONS]"
    yield f"## {path}"
    yield f"`vel-tutor-mcp {path}{options}{arguments}`\n"
    yield f"{linked(' '.join((command.help or '').split()))}\n"
    rows = [(_name(row), _values(row), _default(row), row.help or "") for row in command.params]
    yield table(("argument", "value", "default", "meaning"), rows) if rows else ""


def _is_argument(row: Any) -> bool:
    return bool(row.param_type_name == "argument")


def _shown(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required else f"[{name}]"


def _name(row: Any) -> str:
    return f"`{_shown(row)}`" if _is_argument(row) else code([*row.opts, *row.secondary_opts])


def _values(row: Any) -> str:
    """What may be given: the words of a choice, or a name for it with its bounds."""
    kind = _kind(row.type_descriptor.annotation)
    if choices := _choices(kind):
        return f"one of {code(choices)}"
    name = "" if _is_argument(row) else f"`{row.metavar or _PLAIN.get(kind, 'TEXT')}`" if kind is not bool else ""
    bounds = [f"at least {row.min}" if row.min is not None else "", f"at most {row.max}" if row.max is not None else ""]
    return ", ".join(filter(None, [name, *bounds, "may be repeated" if row.multiple else ""]))


def _kind(annotation: Any) -> Any:
    """The type behind an optional one or a list."""
    inner = [part for part in get_args(annotation) if part is not type(None)]
    return _kind(inner[0]) if inner and not isinstance(inner[0], str) else annotation


def _choices(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(choice.value) for choice in kind]
    return [str(choice) for choice in get_args(kind)]


def _default(row: Any) -> str:
    if row.required:
        return "must be given"
    value = row.default.value if isinstance(row.default, Enum) else row.default
    return "" if value in (None, False, "") else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"

"""The page of tools."""

import asyncio
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from mcp_types import Tool, ToolAnnotations

from generate import calls, schemas
from generate.markdown import code, linked, table
from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import Server, make_server
from vel_tutor_mcp.doors.surface import toolset_of
from vel_tutor_mcp.errors import Unavailable

_REVIEWS = Path(__file__).parents[2] / "tests" / "contracts" / "reviews.toml"
_HEAD = """\
# Tools
What MCP clients call. What is *needed* is an operation that the caller's [role](../accounts.md#roles) must have; the
toolset is what `VEL_TUTOR_TOOLSETS` [names](../settings.md#what-is-offered-over-mcp). Every tool can also end with
`invalid_input`, `forbidden`, `unauthenticated`, `configuration` or `unavailable`: [errors](errors.md).
"""


@cache
def server() -> Server:
    """The server of a product that is not there: what is published needs none, but for users' templates."""
    desk = Desk()
    desk.failed(Unavailable())
    return make_server(desk)


def page() -> str:
    published = asyncio.run(server().list_tools())
    functions = {leaf.__name__: leaf for leaf in leaves.load("tools")}
    reviews = tomllib.loads(_REVIEWS.read_text(encoding="utf-8"))
    parts = [_of(tool, functions[tool.name], reviews[tool.name]) for tool in published]
    return "\n".join([_HEAD, *("\n".join(part) for part in parts)])


def _of(tool: Tool, function: calls.Function, review: Mapping[str, str]) -> Iterator[str]:
    card = server().cards[tool.name]
    yield f"## {tool.name}"
    yield f"{linked(tool.description or '')}\n"
    yield f"- needs: `{card.operation}`; toolset: `{toolset_of(tool.name)}`; {_effect(card.annotations)}"
    if review["units"] != "none":
        yield f"- counts in: {review['units']}"
    yield f"- returns: {review['returns']}"
    yield from _errors(function)
    rows = [
        (f"`{name}`", schemas.kind(row), schemas.limits(row), "must be given" if must else schemas.default(row),
         row.get("description", ""))
        for name, row, must in schemas.properties(tool.input_schema)
    ]  # fmt: skip
    yield f"\n{table(('argument', 'type', 'limits', 'default', 'meaning'), rows)}" if rows else "\nNo arguments.\n"


def _effect(annotations: ToolAnnotations) -> str:
    told = "reads" if annotations.read_only_hint else "changes"
    told += ", and may end or take away something" if annotations.destructive_hint else ""
    return told + ("; calls providers" if annotations.open_world_hint else "")


def _errors(function: calls.Function) -> Iterator[str]:
    told = [f"{code([name])}{f' ({why})' if why else ''}" for name, why in calls.raised(function).items()]
    if told:
        yield f"- errors: {', '.join(told)}"

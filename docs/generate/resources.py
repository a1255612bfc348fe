"""The page of resources."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from generate import calls
from generate.markdown import code, sentence, table
from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import ResourceCard
from vel_tutor_mcp.doors.surface import toolset_of

_HEAD = """\
# Resources
What MCP clients read. Those of a toolset are listed where the caller has a tool of it; *needs* is the operation that
reading asks for. Some can be [subscribed to](../how-it-works.md#who-subscribes).

"""


def page() -> str:
    rows = sorted(_row(leaf) for leaf in leaves.load("resources"))
    head = ("resource", "is", "form", "toolset", "needs", "variables", "subscribed to")
    return _HEAD + table(head, rows)


def _row(leaf: Callable[..., Any]) -> tuple[str, ...]:
    card: ResourceCard = leaf.card  # type: ignore[attr-defined]  # set by `desk`
    toolset = toolset_of(card.uri)
    return (
        f"`{card.uri}`",
        sentence(leaf.__doc__ or ""),
        card.mime_type.partition(";")[0],
        f"`{toolset}`" if toolset else "",
        code(calls.operations(leaf)),
        ", ".join(_variables(card)),
        "yes" if card.follows else "",
    )


def _variables(card: ResourceCard) -> Iterator[str]:
    for name in re.findall(r"{(\w+)}", card.uri):
        yield f"`{name}`{', completed' if name in card.completes else ''}"

"""Saved templates as MCP prompts: what a user picks by name, and what a model is then told to do."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mcp_types import GetPromptResult, Prompt, PromptArgument, PromptMessage, TextContent

from vel_tutor_mcp.errors import InputError

if TYPE_CHECKING:
    from vel_tutor_mcp.workflows.graph import Graph

# What a template is run with.
TOOL = "workflow_run"
_LONGEST_DESCRIPTION = 300


def published(name: str, graph: "Graph") -> Prompt:
    """The template as it is listed; its inputs are the prompt's arguments."""
    required = graph.definition.inputs.get("required", ())
    arguments = [
        PromptArgument(name=field, description=_described(row), required=field in required)
        for field, row in _inputs(graph).items()
    ]
    description = graph.definition.description[:_LONGEST_DESCRIPTION] or f"Run the workflow {name}."
    return Prompt(name=name, title=name, description=description, arguments=arguments)


def filled(name: str, graph: "Graph", arguments: Mapping[str, str]) -> GetPromptResult:
    """What the model is told.

    Raises:
        InputError: an input that is required is missing.
    """
    check_given(f"template {name}", graph.definition.inputs.get("required", ()), arguments)
    given = {field: value for field, value in arguments.items() if value}
    text = (
        f"Run the workflow {name!r} of vel-tutor for me with {TOOL}. Its inputs, in JSON as I gave them; where "
        "its schema wants a number, a list or an object, convert the text:\n"
        f"{json.dumps(given, ensure_ascii=False)}\n\n"
        "Follow it with workflow_get(wait_seconds=50) until it ends. Where it waits for an approval, show me what is "
        "asked and decide nothing for me. In the end give me its output, and what it cost."
    )
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=graph.definition.description or None, messages=[message])


def choices(graph: "Graph", field: str) -> list[str]:
    """What an input may be, where its schema lists that."""
    row = _inputs(graph).get(field)
    listed = row.get("enum") if isinstance(row, dict) else None
    return [value for value in listed or () if isinstance(value, str)]


def check_given(what: str, required: Iterable[str], arguments: Mapping[str, str]) -> None:
    """Raises:
    InputError: an argument that is required is missing.
    """
    if missing := [field for field in required if not arguments.get(field)]:
        raise InputError(f"The {what} lacks {', '.join(missing)}; it is required; give it as an argument.")


def _inputs(graph: "Graph") -> dict[str, Any]:
    properties: dict[str, Any] = graph.definition.inputs.get("properties", {})
    return properties


def _described(row: Any) -> str:
    described = row.get("description") if isinstance(row, dict) else None
    return str(described)[:_LONGEST_DESCRIPTION] if described else "an input of the workflow"

"""Schemas in their smallest form: every model reads them before anything else."""

from collections.abc import Callable
from typing import Any


def slim(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what says nothing taken out: generated titles, `null` beside a type, and definitions used by
    reference put in place; and without what some vendors refuse.
    """
    definitions = schema.get("$defs", {})

    def cut(node: Any) -> Any:
        if isinstance(node, list):
            return [cut(part) for part in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            rest = {name: value for name, value in node.items() if name != "$ref"}
            return cut(definitions[node["$ref"].rsplit("/", 1)[-1]] | rest)
        return _without_null(
            {name: _cut_member(name, value, cut) for name, value in node.items() if _says(name, value)}
        )

    slimmed: dict[str, Any] = cut({name: value for name, value in schema.items() if name != "$defs"})
    return slimmed


def _says(name: str, value: Any) -> bool:
    if name == "propertyNames":  # Gemini's API refuses all tools for it; whoever takes the arguments checks them anyway
        return False
    # A description of several lines is the docstring of a type of ours, written for who reads the code.
    generated = name in {"title", "description"} and isinstance(value, str) and (name == "title" or "\n" in value)
    return not generated and not (name == "default" and value is None)


def _cut_member(name: str, value: Any, cut: Callable[[Any], Any]) -> Any:
    if name == "properties":  # its names are the caller's, not the schema's
        return {argument: cut(node) for argument, node in value.items()}
    return value if name in {"default", "enum", "const"} else cut(value)


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return node
    only: dict[str, Any] = choices[0]
    return only | {name: value for name, value in node.items() if name != "anyOf"}

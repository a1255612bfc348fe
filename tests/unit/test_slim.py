"""Published schemas are as small as they can be, and still mean what pydantic made."""

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import jsonschema
import pytest
from mcp.server import MCPServer

from vel_tutor_mcp import leaves
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.doors.slim import slim

Schema = dict[str, Any]

TOOLS = sorted(file.stem for file in leaves.folder("tools").glob("*.py"))
NULL: Schema = {"type": "null"}
COLOUR: Schema = {"type": "string", "enum": ["red", "title"]}
ODD: list[Any] = ["", "text", "x" * 101, 0, 1, -1, 1.5, 10**9, True, False, {}, {"a": 1}, {"a": "b"}, [], ["a"], [{}]]


@cache
def generated() -> dict[str, Schema]:
    """The schemas as pydantic made them, by tool."""
    server = make_server(Desk())
    return {tool.name: tool.input_schema for tool in asyncio.run(MCPServer.list_tools(server))}


def nodes(schema: Any) -> Iterator[Schema]:
    """Every schema within the schema, but not what stands under names that a caller chose."""
    if isinstance(schema, list):
        for part in schema:
            yield from nodes(part)
    elif isinstance(schema, dict):
        yield schema
        for name, value in schema.items():
            inner = list(value.values()) if name in {"properties", "$defs"} else value
            yield from () if name in {"default", "enum", "const"} else nodes(inner)


def values(node: Schema) -> Iterator[Any]:
    """Values on both sides of each bound of the schema, and some of every other kind."""
    yield from [*ODD, *node.get("enum", [])]
    for bound in ("minimum", "exclusiveMinimum", "maximum"):
        if bound in node:
            yield from (node[bound] - 1, node[bound], node[bound] + 1, float(node[bound]))
    for bound in ("minLength", "maxLength"):
        if bound in node:
            yield from ("x" * length for length in (node[bound] - 1, node[bound], node[bound] + 1) if length >= 0)
    for name, part in node.get("properties", {}).items():
        yield from ({name: value} for value in values(part))
    for value in ODD if "additionalProperties" in node else ():
        yield {"general": value}


def calls(schema: Schema) -> Iterator[dict[str, Any]]:
    """Arguments of a tool: the least that it takes, each part of that left out, and each argument with each value."""
    required = schema.get("required", [])
    tried = ["x", 1, True, {}]
    least: dict[str, Any] = {
        name: next(value for value in [*part.get("enum", []), *tried] if is_valid(part, value))
        for name, part in schema["properties"].items()
        if name in required
    }
    yield from [least, least | {"unknown": 1}, dict.fromkeys(schema["properties"], "x")]
    yield from ({name: least[name] for name in least if name != left_out} for left_out in least)
    for name, part in schema["properties"].items():
        yield from (least | {name: value} for value in values(part))


def is_valid(schema: Schema, value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


def with_any_names(schema: Schema) -> Schema:
    """The schema, without what it says of the names in a map: that is not published."""
    schema = deepcopy(schema)
    for node in nodes(schema):
        node.pop("propertyNames", None)
    return schema


@pytest.mark.parametrize("tool", TOOLS)
def test_the_slim_schema_accepts_what_the_generated_one_accepts(tool: str) -> None:
    full, small = with_any_names(generated()[tool]), slim(generated()[tool])
    accepted = [is_valid(full, arguments) for arguments in calls(small)]
    assert [is_valid(small, arguments) for arguments in calls(small)] == accepted
    # Of a tool that takes no argument there is nothing to refuse.
    assert set(accepted) == ({True, False} if full["properties"] else {True})


@pytest.mark.parametrize("tool", TOOLS)
def test_the_slim_schema_says_nothing_twice(tool: str) -> None:
    small = slim(generated()[tool])
    jsonschema.Draft202012Validator.check_schema(small)
    for node in nodes(small):
        assert not {"title", "$ref", "$defs", "propertyNames"} & node.keys()
        assert NULL not in node.get("anyOf", [])
        assert "default" not in node or node["default"] is not None


@pytest.mark.parametrize("tool", TOOLS)
def test_the_slim_schema_keeps_every_argument_default_and_bound(tool: str) -> None:
    full, small = generated()[tool], slim(generated()[tool])
    assert list(small["properties"]) == list(full["properties"])
    assert small.get("required") == full.get("required")
    assert slim(small) == small
    for name, part in full["properties"].items():
        assert small["properties"][name].get("default") == part.get("default")
        assert "description" not in part or small["properties"][name]["description"] == part["description"]


def published(**properties: Schema) -> Schema:
    """The properties of a slimmed schema, in whose definitions stand a colour and a box."""
    colour = {"title": "Colour"} | COLOUR
    box = {"title": "Box", "description": "A box.", "type": "object", "properties": {"title": {"$ref": "#/$defs/C"}}}
    slimmed = slim({"title": "x", "type": "object", "properties": properties, "$defs": {"C": colour, "B": box}})
    assert set(slimmed) == {"type", "properties"}
    return dict(slimmed["properties"])


@pytest.mark.parametrize(
    ("node", "slimmed"),
    [
        ({"title": "X", "type": "string"}, {"type": "string"}),
        ({"anyOf": [{"type": "string"}, NULL], "default": None, "title": "X"}, {"type": "string"}),
        ({"anyOf": [{"maxLength": 5}, NULL], "description": "d"}, {"description": "d", "maxLength": 5}),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}),
        ({"$ref": "#/$defs/C", "default": "red"}, COLOUR | {"default": "red"}),
        ({"anyOf": [{"$ref": "#/$defs/C"}, NULL]}, COLOUR),
        ({"items": {"$ref": "#/$defs/C"}}, {"items": COLOUR}),
        (
            {"$ref": "#/$defs/B", "description": "mine"},
            {"description": "mine", "type": "object", "properties": {"title": COLOUR}},
        ),
        ({"propertyNames": COLOUR, "type": "object"}, {"type": "object"}),
        ({"properties": {"propertyNames": {"type": "string"}}}, {"properties": {"propertyNames": {"type": "string"}}}),
        ({"default": {"title": None}}, {"default": {"title": None}}),
        ({"const": {"title": "x"}}, {"const": {"title": "x"}}),
        ({"description": "One line.\n\nAnd more."}, {}),
        ({"properties": {"title": {"title": "T"}, "default": NULL}}, {"properties": {"title": {}, "default": NULL}}),
    ],
)
def test_a_slimmed_node(node: Schema, slimmed: Schema) -> None:
    assert published(x=node) == {"x": slimmed}


def test_an_argument_keeps_its_own_description_beside_that_of_its_type() -> None:
    node = {"anyOf": [{"$ref": "#/$defs/B"}, NULL], "default": None, "description": "mine"}
    assert published(x=node)["x"]["description"] == "mine"


def test_a_schema_is_not_changed_in_place() -> None:
    schema = {"properties": {"x": {"title": "X", "anyOf": [{"type": "string"}, NULL]}}}
    slim(schema)
    assert schema == {"properties": {"x": {"title": "X", "anyOf": [{"type": "string"}, NULL]}}}

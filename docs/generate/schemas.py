"""What JSON Schema says of a value, in words."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from generate.markdown import code

Schema = Mapping[str, Any]
_FORMATS = {"password": "secret", "path": "path", "uuid": "uuid"}


def kind(schema: Schema) -> str:
    """Its type."""
    schema = _there(schema)
    if "enum" in schema:
        return f"one of {code(schema['enum'])}"
    if "anyOf" in schema:
        return " or ".join(map(kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"array of {kind(schema['items'])}"
    return _FORMATS.get(schema.get("format", "")) or str(schema.get("type", "any"))


def limits(schema: Schema) -> str:
    """What it may be at least and at most."""
    schema = _there(schema)
    told = [f"more than {schema['exclusiveMinimum']:g}"] if "exclusiveMinimum" in schema else []
    told += [_range(schema.get("minimum"), schema.get("maximum"), "")]
    told += [_range(schema.get("minLength"), schema.get("maxLength"), " characters")]
    told += [_range(schema.get("minItems"), schema.get("maxItems"), " of them")]
    return ", ".join(filter(None, told))


def default(schema: Schema) -> str:
    value = schema.get("default")
    if value in (None, "", [], {}):
        return "none"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def properties(schema: Schema, within: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Each property with its name and whether it must be given, and those of objects behind them as `a.b`."""
    for name, row in _there(schema).get("properties", {}).items():
        yield f"{within}{name}", row, name in schema.get("required", ())
        yield from properties(row, f"{within}{name}.")


def _there(schema: Schema) -> Schema:
    """What it is where it is not null."""
    choices = [row for row in schema.get("anyOf", ()) if row.get("type") != "null"]
    if len(choices) != 1:
        return schema
    return {name: value for name, value in {**schema, **choices[0]}.items() if name != "anyOf"}


def _range(least: float | None, most: float | None, of: str) -> str:
    match least, most:
        case None, None:
            return ""
        case None, _:
            return f"at most {most:,}{of}"
        case _, None:
            return f"at least {least:,}{of}"
        case _:
            return f"{least:,} to {most:,}{of}"

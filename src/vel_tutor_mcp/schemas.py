"""Structured answers: is a caller's JSON Schema one, and does a model's answer match it? (Pure.)"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import re2
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from vel_tutor_mcp.errors import InputError, ProviderError
from vel_tutor_mcp.models import FailureKind

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)
_MAX_SCHEMA_CHARACTERS = 50_000
# Of a place in a schema, whose keys are the caller's words.
_MAX_SHOWN = 200
# What is deeper could be read here, and not be written where it is part of something else.
_MOST_LEVELS = 200
_REFERENCES = ("$ref", "$dynamicRef")
# What stands under these is data, whatever it looks like.
_DATA = frozenset({"enum", "const", "default", "examples"})


def _matches(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not _compiled(pattern).search(value):
        yield ValidationError("does not match the pattern")


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


# A pattern is the caller's: Python's own `re` can be made to take hours over one, and holds up everything meanwhile.
_Validator = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # the stubs leave it bare
    jsonschema.Draft202012Validator, {"pattern": _matches}
)


def check_schema(schema: dict[str, Any] | None, what: str = "The response_schema") -> None:
    """Refuse what is no JSON Schema (draft 2020-12), is too large, or refers outside itself.

    Raises:
        InputError: with the place in the schema; `what` begins the sentence.
    """
    if schema is None:
        return
    try:
        _check_form(schema, what)
        _check_patterns(schema, what)
        _check_references(schema, what)
    except RecursionError:
        raise InputError(f"{what} has no end; it nests too deep or refers to itself; simplify it.") from None


def mismatch(value: Any, schema: dict[str, Any]) -> str | None:
    """Where a value does not match a checked schema and by which rule, in words; None where it matches."""
    try:
        problem = best_match(_Validator(schema).iter_errors(value))
    except (RecursionError, Unresolvable):
        return "it cannot be checked against the schema"
    if problem is None:
        return None
    return f"it does not match the schema at {_place(problem)} ({problem.validator or 'not allowed'})"


def _check_form(schema: dict[str, Any], what: str) -> None:
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        # JSON may hold half of a surrogate pair, which no database and no wire takes.
        text.encode()
    except (TypeError, ValueError):
        raise InputError(
            f"{what} is not JSON; it holds an endless number or half of a character; send a JSON object."
        ) from None
    if len(text) > _MAX_SCHEMA_CHARACTERS:
        raise InputError(f"{what} is too large; at most {_MAX_SCHEMA_CHARACTERS:,} characters; simplify it.")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as problem:
        raise InputError(
            f"{what} is no JSON Schema; the fault is at {_place(problem)}; correct it there (draft 2020-12)."
        ) from None


def _place(problem: ValidationError | SchemaError) -> str:
    place = "/".join(str(part) for part in problem.absolute_path) or "its top"
    return place if len(place) <= _MAX_SHOWN else f"{place[:_MAX_SHOWN]}..."


def _check_patterns(schema: dict[str, Any], what: str) -> None:
    if "patternProperties" in _keywords(schema):
        raise InputError(f"{what} has patternProperties; they are not taken; name the properties instead.")
    try:
        for pattern in _texts(schema, "pattern"):
            _compiled(pattern)
    except re2.error:
        raise InputError(
            f"{what} has a pattern that could take endless time; look-around and back-references are not "
            "taken; write it without them."
        ) from None


def _check_references(schema: dict[str, Any], what: str) -> None:
    references = _texts(schema, *_REFERENCES)
    if any(not reference.startswith("#") for reference in references):
        raise InputError(f"{what} refers to another document; that is never fetched; put it under $defs.")
    resolver = Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver()
    try:
        for reference in references:
            resolver.lookup(reference)
        # A schema that refers to itself without consuming anything never ends, whatever it is tried on.
        _Validator(schema).is_valid({})
    except Unresolvable:
        raise InputError(f"{what} refers to what it does not hold; a $ref leads nowhere; put it under $defs.") from None


def matched(text: str, schema: dict[str, Any]) -> str:
    """The answer as JSON text that matches the schema; a Markdown fence around it is taken off.

    Raises:
        ProviderError: of kind INVALID_OUTPUT, naming the place that does not match.
    """
    fenced = _FENCED.match(text)
    try:
        value = json.loads(fenced.group(1) if fenced else text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _invalid("the answer is not JSON", text) from None
    if _is_deeper(value, _MOST_LEVELS):
        raise _invalid(f"the answer nests too deep; at most {_MOST_LEVELS} levels are taken", text)
    if (problem := mismatch(value, schema)) is not None:
        raise _invalid(problem.replace("it ", "the answer ", 1), text)
    try:
        stored = json.dumps(value, ensure_ascii=False, allow_nan=False)
        stored.encode()
    except ValueError:
        raise _invalid("the answer holds what JSON cannot: an endless number or half of a character", text) from None
    return stored


def _is_deeper(value: Any, levels: int) -> bool:
    # Level by level, not by recursion: how deep it goes is what a model has decided.
    layer = [value]
    for _ in range(levels):
        layer = [
            part
            for node in layer
            if isinstance(node, (dict, list))
            for part in (node.values() if isinstance(node, dict) else node)
        ]
        if not layer:
            return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's


def _invalid(reason: str, text: str) -> ProviderError:
    return ProviderError(reason, kind=FailureKind.INVALID_OUTPUT, partial=text)


def _texts(schema: dict[str, Any], *keywords: str) -> list[str]:
    """The texts that stand under these keywords, anywhere in the schema."""
    found = (value for name, value in _members(schema) if name in keywords)
    return [value for value in found if isinstance(value, str)]


def _keywords(schema: dict[str, Any]) -> set[str]:
    return {name for name, _ in _members(schema)}


def _members(node: Any) -> Iterator[tuple[str, Any]]:
    parts = node if isinstance(node, list) else []
    if isinstance(node, dict):
        yield from node.items()
        parts = [part for name, part in node.items() if name not in _DATA]
    for part in parts:
        yield from _members(part)

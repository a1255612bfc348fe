import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.errors import InputError, ProviderError
from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.schemas import check_schema, matched

Schema = dict[str, Any]

POINT: Schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "\ud83d", b"bytes"])
def test_a_schema_that_is_no_json_is_refused(value: object) -> None:
    assert refusal({"type": "number", "maximum": [value]}).startswith("The response_schema is not JSON; ")


def refusal(schema: Schema) -> str:
    with pytest.raises(InputError) as refused:
        check_schema(schema)
    return str(refused.value)


def answered(text: str, schema: Schema) -> str:
    check_schema(schema)
    return matched(text, schema)


def mismatch(text: str, schema: Schema) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        matched(text, schema)
    return failed.value


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        POINT,
        {"$defs": {"n": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/n"}}},
        {"$anchor": "top", "properties": {"next": {"$ref": "#top"}}},
        {"properties": {"$ref": {"type": "string"}, "title": {"type": "string"}}},
    ],
)
def test_a_json_schema_is_taken(schema: Schema | None) -> None:
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "nope"}, "type"),
        ({"properties": {"x": {"minimum": "3"}}}, "properties/x/minimum"),
        ({"properties": []}, "properties"),
        ({"items": [{}, {"required": "x"}]}, "items"),
        ({"pattern": "["}, "pattern"),
        ({"type": ["string", 5]}, "type"),
    ],
)
def test_what_is_no_json_schema_is_refused_with_the_place(schema: Schema, place: str) -> None:
    assert refusal(schema) == (
        f"The response_schema is no JSON Schema; the fault is at {place}; correct it there (draft 2020-12)."
    )


@pytest.mark.parametrize("size", [50_001, 500_000])
def test_a_schema_that_is_too_large_is_refused(size: int) -> None:
    assert refusal({"description": "x" * size}) == (
        "The response_schema is too large; at most 50,000 characters; simplify it."
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "other.json#/$defs/x"},
        {"properties": {"x": {"items": {"$ref": "file:///x"}}}},
        {"allOf": [{"$dynamicRef": "https://example.org/schema.json"}]},
        {"$id": "https://example.org/", "$ref": "schema.json"},
    ],
)
def test_a_reference_to_another_document_is_refused(schema: Schema) -> None:
    assert refusal(schema) == (
        "The response_schema refers to another document; that is never fetched; put it under $defs."
    )


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/missing"}, {"$ref": "#missing"}, {"$ref": "#"}])
def test_a_reference_that_leads_nowhere_is_refused(schema: Schema) -> None:
    assert "response_schema" in refusal(schema)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"x": 1}', {"x": 1}),
        ('  {"x": 1}\n', {"x": 1}),
        ('```json\n{"x": 1}\n```', {"x": 1}),
        ('```\n{"x": 1}\n```\n', {"x": 1}),
        ('\n```json\n{\n  "x": 1,\n  "y": "ä"\n}\n```', {"x": 1, "y": "ä"}),
    ],
)
def test_a_matching_answer_is_taken_without_its_fence(text: str, value: Any) -> None:
    assert json.loads(matched(text, POINT)) == value


@given(values)
def test_any_value_is_kept_as_it_is(value: Any) -> None:
    assert json.loads(matched(json.dumps(value), {})) == value


@pytest.mark.parametrize("text", ["", "no JSON", "{'x': 1}", 'Here it is: {"x": 1}', '{"x": 1', '{"x": 1}{"x": 1}'])
def test_an_answer_that_is_no_json_is_a_failed_call(text: str) -> None:
    problem = mismatch(text, POINT)
    assert (problem.kind, str(problem), problem.partial) == (
        FailureKind.INVALID_OUTPUT,
        "the answer is not JSON",
        text,
    )


@pytest.mark.parametrize(
    ("text", "schema", "sentence"),
    [
        ("{}", POINT, "the answer does not match the schema at its top (required)"),
        ('{"x": "secret"}', POINT, "the answer does not match the schema at x (type)"),
        ("[]", POINT, "the answer does not match the schema at its top (type)"),
        ('[1, "secret"]', {"items": {"type": "integer"}}, "the answer does not match the schema at 1 (type)"),
        ('{"a": [{"b": 5}]}', {"properties": {"a": {"items": {"properties": {"b": {"maximum": 4}}}}}}, "at a/0/b (max"),
    ],
)
def test_an_answer_that_does_not_match_is_a_failed_call_with_the_place(
    text: str, schema: Schema, sentence: str
) -> None:
    problem = mismatch(text, schema)
    assert (problem.kind, problem.partial) == (FailureKind.INVALID_OUTPUT, text)
    assert sentence in str(problem)
    assert "secret" not in str(problem)


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", '{"x": NaN}'])
def test_a_number_that_json_does_not_have_is_a_failed_call(text: str) -> None:
    assert mismatch(text, {}).kind is FailureKind.INVALID_OUTPUT


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}'])
def test_half_a_character_is_a_failed_call(text: str) -> None:
    assert mismatch(text, {}).kind is FailureKind.INVALID_OUTPUT


def test_an_answer_nested_beyond_reason_is_a_failed_call() -> None:
    assert mismatch("[" * 100_000, {}).kind is FailureKind.INVALID_OUTPUT


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, '{"a": 1}'),
        ({"items": {"$ref": "#/items"}}, "[1]"),
        ({"type": "array", "items": {"$ref": "#"}}, "[" * 300 + "]" * 300),
    ],
)
def test_a_check_that_never_ends_is_no_fault_of_the_server(schema: Schema, text: str) -> None:
    with pytest.raises((InputError, ProviderError)):
        answered(text, schema)


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1"])
def test_a_pattern_that_could_take_endless_time_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="without them"):
        check_schema({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})


def test_pattern_properties_are_refused() -> None:
    with pytest.raises(InputError, match="name the properties"):
        check_schema({"patternProperties": {"^(a+)+$": {}}})


def test_a_pattern_made_to_take_for_ever_is_answered_at_once() -> None:
    schema = {"pattern": "^(a+)+$"}
    check_schema(schema)
    with pytest.raises(ProviderError, match="does not match"):
        matched(json.dumps("a" * 5000 + "b"), schema)
    assert matched(json.dumps("a" * 5000), schema) == json.dumps("a" * 5000)


def test_what_stands_in_data_is_no_reference_and_no_pattern() -> None:
    check_schema({"enum": [{"$ref": "elsewhere"}], "const": {"pattern": "("}, "default": {"patternProperties": 1}})

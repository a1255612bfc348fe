import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.workflows.text import KEYWORDS, Path, TextError, TooLong, lookup, parse, parse_path, unquoted

SCOPE: dict[str, Any] = {
    "inputs": {"topic": "owls", "files": ["a.py", {"name": "b.py"}], "no-one": None, "0": "zero", "in": "within"},
    "steps": {"a": {"status": "completed", "output": {"verdict": "ok", "score": 1.5, "sure": True}, "error": None}},
    "item": "{{ inputs.topic }}",
    "index": 0,
}
ONE_PATH = (
    "the placeholder is no path; write one path, as in {{ inputs.topic }}, or one text in quotes, as in {{ '{{' }} for "
    "two braces"
)
NO_END = "the placeholder has no end; close it with }}, or write {{ '{{' }} for two braces"
EMPTY = "the placeholder is empty; write a path, as in {{ inputs.topic }}, or {{ '{{' }} for two braces"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("plain {text} }} {", "plain {text} }} {"),
        ('{"json": {"a": {}}}', '{"json": {"a": {}}}'),
        ("On {{ inputs.topic }}.", "On owls."),
        ("{{inputs.topic}}{{\n inputs.topic\t}}", "owlsowls"),
        ("{{ inputs.files }}", '["a.py",{"name":"b.py"}]'),
        ("{{ inputs.files.1.name }}{{ inputs.files.0 }}", "b.pya.py"),
        ("<{{ inputs.files.2 }}{{ inputs.files.name }}{{ inputs.none }}{{ inputs.no-one }}{{ no.such }}>", "<>"),
        ("{{ inputs.0 }} {{ inputs.in }}", "zero within"),
        ("{{ steps.a.output }}", '{"verdict":"ok","score":1.5,"sure":true}'),
        ("{{ steps.a.output.score }} {{ steps.a.output.sure }} {{ index }}", "1.5 true 0"),
        ("{{ item }}", "{{ inputs.topic }}"),
        ("{{ '{{' }} inputs.topic }}", "{{ inputs.topic }}"),
        ('{{ "{{" }} {{ "}}" }}', "{{ }}"),
        (r"{{ 'it\'s' }} {{ '\\d\d\n' }}", "it's \\d\\d\n"),
        ("{{ '' }}", ""),
        ("{{ 'a\\\nb' }}", "a\\\nb"),
    ],
)
def test_a_text_is_put_together(text: str, rendered: str) -> None:
    assert parse(text).render(SCOPE) == rendered


@pytest.mark.parametrize(
    ("put", "written"),
    [("ä\n{{", "ä\n{{"), (["ä", 1], '["ä",1]'), ({"b": 1, "a": None}, '{"b":1,"a":null}'), (False, "false"), (0, "0")],
)
def test_a_text_is_put_in_as_it_is_and_anything_else_as_json(put: Any, written: str) -> None:
    assert parse("{{ put }}").render({"put": put}) == written


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("plain {{ '{{' }}", ()),
        ("{{ item }} {{ steps.a-1.output.0 }} {{ item }}", (("item",), ("steps", "a-1", "output", "0"))),
        ("{{ b }}{{ a }}", (("b",), ("a",))),
    ],
)
def test_the_variables_of_a_text_are_told_once_each_in_their_order(text: str, variables: tuple[Path, ...]) -> None:
    assert parse(text).variables == variables


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{", f"at character 1: {NO_END}"),
        ("On {{ inputs.topic }", f"at character 4: {NO_END}"),
        ("{{ a }} {{ b", f"at character 9: {NO_END}"),
        ("{{ '}} ", f"at character 1: {ONE_PATH}"),
        ("{{}}", f"at character 1: {EMPTY}"),
        ("{{ a }}{{ \n }}", f"at character 8: {EMPTY}"),
        ("{{{ a }}}", f"at character 1: {ONE_PATH}"),
        ("{{ a or b }}", f"at character 1: {ONE_PATH}"),
        ("{{ a b }}", f"at character 1: {ONE_PATH}"),
        ("{{ a.b() }}", f"at character 1: {ONE_PATH}"),
        ("{{ a | upper }}", f"at character 1: {ONE_PATH}"),
        ("{{ 'a' 'b' }}", f"at character 1: {ONE_PATH}"),
        ("{{ 1 }}", f"at character 1: {ONE_PATH}"),
        ("{{ null }}", f"at character 1: {ONE_PATH}"),
        ("{{ a. }}", f"at character 1: {ONE_PATH}"),
        ("{{ .a }}", f"at character 1: {ONE_PATH}"),
        ("x{% if a %}{{ a['b'] }}", f"at character 12: {ONE_PATH}"),
    ],
)
def test_a_malformed_placeholder_is_refused_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(TextError) as refused:
        parse(text)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("inputs.files", ("inputs", "files")),
        ("item", ("item",)),
        ("_a-1.0.B_2.in", ("_a-1", "0", "B_2", "in")),
        ("order.andy", ("order", "andy")),
        ("a.__class__", ("a", "__class__")),
    ],
)
def test_a_path_is_names_and_numbers(text: str, path: Path) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    ("text", "place"),
    [("", 1), ("1", 1), (".a", 1), ("a.", 2), ("a..b", 2), ("a b", 2), (" a", 1), ("a ", 2), ("a.b[0]", 4), ("a.1x", 4)]
    + [(f"{keyword}.x", 1) for keyword in KEYWORDS]
    + [("ä", 1), ("a.ä", 2), ("a.-1", 2), (f"a.{'1' * 19}", 21), ("{{ a }}", 1)],
)
def test_what_is_no_path_is_refused_with_the_place(text: str, place: int) -> None:
    with pytest.raises(TextError) as refused:
        parse_path(text)
    assert str(refused.value) == (
        f"at character {place}: this is no path; write names with dots between, as in inputs.files"
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("inputs.topic", "owls"),
        ("inputs.files.0", "a.py"),
        ("inputs.files.00", "a.py"),
        ("inputs.files.999999999999999999", None),
        ("inputs.topic.0", None),
        ("inputs.topic.upper", None),
        ("inputs.__class__", None),
        ("inputs.files.append", None),
        ("steps.b.output", None),
        ("index.real", None),
    ],
)
def test_only_members_of_objects_and_lists_are_found(path: str, found: Any) -> None:
    assert lookup(SCOPE, parse_path(path)) == found


@given(values, st.text())
def test_any_value_is_rendered_once_and_never_again(put: Any, text: str) -> None:
    rendered = parse("{{ put }}{{ text }}").render({"put": put, "text": text, "put.text": "wrong"})
    assert rendered.endswith(text)
    if isinstance(put, str):
        assert rendered == put + text
    elif put is not None:
        assert rendered == json.dumps(put, ensure_ascii=False, separators=(",", ":")) + text


@given(st.text(alphabet="{}'\"\\ a.b1-\n|"), values)
def test_any_text_is_read_and_rendered_or_refused(text: str, put: Any) -> None:
    try:
        rendered = parse(text).render({"a": put, "b": {"a": put}})
    except TextError:
        return
    assert "{{" in text or rendered == text


@given(st.text())
def test_any_text_can_be_quoted(text: str) -> None:
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    assert unquoted(quoted) == text
    assert parse(f"{{{{ {quoted} }}}}").render({}) == text


def test_what_nests_without_reason_is_left_out() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert parse("<{{ deep }}>").render({"deep": deep}) == "<>"


def test_a_long_text_is_read_in_no_time() -> None:
    assert len(parse("{{ a }} ' " * 100_000).variables) == 1
    with pytest.raises(TextError, match="at character 800001: the placeholder is no path"):
        parse("{{ a }} " * 100_000 + "{{ '" + "\\'" * 100_000 + "}}")


def test_a_text_has_as_many_characters_as_are_taken() -> None:
    assert len(parse("{{ a }}" * 1000).render({"a": "x" * 100})) == 100_000
    with pytest.raises(TooLong, match="it has more than 100,000 characters; put in less") as refused:
        parse("{{ a }}" * 1000 + "!").render({"a": "x" * 100})
    assert refused.value.beginning == "x" * 100_000


@given(values, values, st.text())
def test_what_is_put_in_before_makes_no_difference(put: Any, item: Any, more: str) -> None:
    text, scope = parse("{{ put }} {{ item }}{{ item.a }} {{ more }}!"), {"put": put, "more": more}
    before = text.given(scope, later=("item",))
    assert before.render({"item": item}) == text.render(scope | {"item": item})


def test_what_is_put_in_before_ends_where_the_text_is_too_long() -> None:
    text, scope = parse("{{ item }}{{ a }}{{ b }}"), {"a": ["x" * 100_000], "b": "never reached"}
    before = text.given(scope, later=("item",))
    with pytest.raises(TooLong) as refused:
        before.render({"item": "one"})
    assert len(before.parts) == 2
    assert refused.value.beginning == ('one["' + "x" * 100_000)[:100_000]


def test_a_text_that_is_too_long_is_given_up_before_it_is_written() -> None:
    text, scope = parse("{{ a }}" * 1000), {"a": ["x" * 100_000]}
    tracemalloc.start()
    with pytest.raises(TooLong):
        text.render(scope)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2_000_000

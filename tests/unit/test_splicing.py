"""One place of a JSON text is changed, and every other character stays."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.splicing import plain, replaced

ADDED = [
    ("{}", '{\n  "a": {\n    "b": 1\n  }\n}'),
    ('{"x": 1}', '{"x": 1,\n  "a": {\n    "b": 1\n  }\n}'),
    ('{\n    "x": 1\n}\n', '{\n    "x": 1,\n    "a": {\n        "b": 1\n    }\n}\n'),
    ('{\r\n\t"x": 1,\r\n}', '{\r\n\t"x": 1,\r\n\t"a": {\r\n\t\t"b": 1\r\n\t}\r\n}'),
    ('{\n  "x": 1 // one\n  // last\n}', '{\n  "x": 1, // one\n  // last\n  "a": {\n    "b": 1\n  }\n}'),
    ('{\n  "a": {} // none yet\n}', '{\n  "a": {\n    "b": 1\n  } // none yet\n}'),
    ('{\n  "a": {\n    // none yet\n  }\n}', '{\n  "a": {\n    // none yet\n    "b": 1\n  }\n}'),
    ('{"a": {"b": [2, 3]}, "x": "// no comment, }"}', '{"a": {"b": 1}, "x": "// no comment, }"}'),
    ('\ufeff{"a": {"b": 2}}', '\ufeff{"a": {"b": 1}}'),
    ('{"a": {"b": 2, "b": 3}}', '{"a": {"b": 2, "b": 1}}'),
]


@pytest.mark.parametrize(("before", "after"), ADDED, ids=range(len(ADDED)))
def test_a_value_is_put_where_it_belongs_in_the_manner_of_the_text(before: str, after: str) -> None:
    assert replaced(before, ["a", "b"], 1) == after


def test_a_member_of_a_list_is_replaced() -> None:
    assert replaced('[{"id": 1}, {"id": 2}]', [1, "id"], 3) == '[{"id": 1}, {"id": 3}]'


def test_what_is_wrong_in_a_text_is_still_on_its_line() -> None:
    text = '{\n  /* two\n  lines */\n  "a": ?\n}'
    with pytest.raises(json.JSONDecodeError) as problem:
        json.loads(plain(text))
    assert (problem.value.lineno, problem.value.colno) == (4, 8)


KEYS = st.sampled_from(["a", "b", 'c"}', "//", "/* d */", ",]"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
GAPS = st.sampled_from(["", " ", "\n  ", "\r\n\t", " // why\n", "/* so, } */", "\n\t// ]\n"])


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, Any]:
    """A document, and one of the texts that say it."""

    def said(value: Any) -> str:
        if isinstance(value, dict):
            return listed("{", [f"{json.dumps(key)}{draw(GAPS)}:{said(inner)}" for key, inner in value.items()], "}")
        return listed("[", list(map(said, value)), "]") if isinstance(value, list) else around(json.dumps(value))

    def listed(begin: str, members: list[str], end: str) -> str:
        last = "," if draw(st.booleans()) and members else ""
        return around(begin + ",".join(map(around, members)) + last + draw(GAPS) + end)

    def around(text: str) -> str:
        return draw(GAPS) + text + draw(GAPS)

    document = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    return said(document), document


@given(texts(), st.lists(KEYS, min_size=1, max_size=3), VALUES)
def test_any_document_gets_the_value_and_keeps_the_rest(text: tuple[str, Any], path: list[str], value: Any) -> None:
    before, document = text
    assert json.loads(plain(before)) == document
    inner = document
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            return
    is_new = path[-1] not in inner
    inner[path[-1]] = value

    after = replaced(before, path, value)
    assert json.loads(plain(after)) == document
    assert replaced(after, path, value) == after
    if is_new:
        later = iter(after)
        assert all(character in later for character in before if not character.isspace())


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def written(value: Any, spaces: str) -> str:
    return json.dumps(value, ensure_ascii=False, indent=spaces or None, separators=(",", ":") if not spaces else None)


def chosen(draw: st.DrawFn, value: Any) -> list[str | int]:
    """A path to something in the value."""
    path: list[Any] = []
    while isinstance(value, dict | list) and value and (not path or draw(st.booleans())):
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        path.append(draw(st.sampled_from(keys)))
        value = value[path[-1]]
    return path


@st.composite
def places(draw: st.DrawFn) -> tuple[dict[str, Any], list[str | int]]:
    value = draw(st.dictionaries(st.text(max_size=3), ANY, min_size=1, max_size=3))
    return value, chosen(draw, value)


@settings(max_examples=examples(150))
@given(places(), ANY, st.sampled_from(["", "  ", "\t"]), st.sampled_from(["", "\ufeff", " \n"]))
def test_only_what_is_named_changes(
    place: tuple[dict[str, Any], list[str | int]], new: Any, spaces: str, before: str
) -> None:
    value, path = place
    text = before + written(value, spaces) + "\n"
    marked = replaced(text, path, "\u2603\u2603")
    expected = deepcopy(value)
    holder: Any = expected
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new

    assert json.loads(replaced(text, path, new).removeprefix("\ufeff")) == expected
    head, _, tail = marked.partition('"\u2603\u2603"')
    assert text.startswith(head)
    assert text.endswith(tail)

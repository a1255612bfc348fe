"""Changes of one place in a JSON text: that place is as wished, and no other character has changed."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from times import examples

from vel_tutor_mcp.taskmaster.splicing import replaced

VALUES = st.recursive(
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
    value = draw(st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=3))
    return value, chosen(draw, value)


@settings(max_examples=examples(150))
@given(places(), VALUES, st.sampled_from(["", "  ", "\t"]), st.sampled_from(["", "\ufeff", " \n"]))
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


@pytest.mark.parametrize(
    ("text", "path", "changed"),
    [
        ("{}", ["a"], '{\n  "a": [\n    1\n  ]\n}'),
        ('{ "b": 1.50 }', ["a"], '{ "b": 1.50,\n  "a": [\n    1\n  ] }'),
        ('{"a": {}, "b": {"a": 2}}', ["b", "c"], '{"a": {}, "b": {"a": 2,\n    "c": [\n      1\n    ]}}'),
        ('{"a": 1, "a": 2}', ["a"], '{"a": 1, "a": [\n    1\n  ]}'),
        ('[{"a": 0}, {"a": 0}]', [1, "a"], '[{"a": 0}, {"a": [\n      1\n    ]}]'),
    ],
    ids=["into nothing", "behind others", "deeper", "the one that counts", "in a list"],
)
def test_what_is_missing_is_added_behind_the_rest(text: str, path: list[str | int], changed: str) -> None:
    assert replaced(text, path, [1]) == changed

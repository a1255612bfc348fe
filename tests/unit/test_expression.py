import operator
import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.workflows.expression import ExpressionError, constant, parse
from vel_tutor_mcp.workflows.text import Path

SCOPE: dict[str, Any] = {
    "inputs": {"topic": "owls", "files": ["a.py", {"name": "b.py"}, 1, None], "dry": False, "n": 3, "none": None},
    "steps": {
        "review-1": {"status": "completed", "output": {"verdict": "ok", "score": 0.5, "tags": []}, "error": None},
    },
    "item": "true",
    "index": 0,
    "half": "\ud83d",
}
HOSTILE = "".join(random.Random(1).choices("ab", k=50_000)) + "a" * 50_000 + "b"
OPERAND = "a path, a text in quotes or a number should stand here, not "
JOINT = "an and, an or or the end should stand here, not "
NO_PATTERN = "RE2 cannot take this pattern; it is malformed, too large, or has look-around or back-references"
TOO_DEEP = "this nests too deep; at most 30 levels are taken"
LONGEST_SECONDS = 5.0  # what takes endless time takes hours; a busy machine is slow too


def holds(text: str) -> bool:
    return parse(text).holds(SCOPE)


def refusal(text: str) -> str:
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        # an operand alone
        ("true", True),
        ("false", False),
        ("null", False),
        ("0", False),
        ("0.0", False),
        ("-1", True),
        ("''", False),
        ("'false'", True),
        ("inputs", True),
        ("inputs.dry", False),
        ("inputs.none", False),
        ("inputs.files", True),
        ("steps.review-1.output.tags", False),
        ("no.such.thing", False),
        ("item", True),
        ("index", False),
        # equality, as JSON has it
        ("inputs.topic == 'owls'", True),
        ('inputs.topic == "Owls"', False),
        ("inputs.topic != 'owls'", False),
        ("inputs.n == 3.0", True),
        ("3 == '3'", False),
        ("1 == true", False),
        ("0 == false", False),
        ("0 != false", True),
        ("null == false", False),
        ("null == 0", False),
        ("null == ''", False),
        ("null == null", True),
        ("no.such == null", True),
        ("no.such == also.none", True),
        ("steps.review-1.output.tags == null", False),
        ("inputs.files == inputs.files", True),
        ("inputs.files != steps.review-1.output.tags", True),
        ("inputs == steps", False),
        ("inputs == inputs", True),
        ("steps.review-1.output.score == 0.50", True),
        ("item == true", False),
        # order
        ("inputs.n > 2.5", True),
        ("inputs.n >= 3", True),
        ("inputs.n < 3", False),
        ("inputs.n <= 3", True),
        ("-2 < -1.5", True),
        ("'a' < 'b'", True),
        ("'B' < 'a'", True),
        ("'10' < '9'", True),
        ("'10' < 9", False),
        ("'10' >= 9", False),
        ("true > false", False),
        ("true >= true", False),
        ("null <= null", False),
        ("null < 1", False),
        ("inputs.files <= inputs.files", False),
        ("inputs <= inputs", False),
        # contains, in
        ("inputs.topic contains 'ow'", True),
        ("inputs.topic contains 'OW'", False),
        ("inputs.topic contains ''", True),
        ("inputs.topic contains inputs.n", False),
        ("inputs.files contains 'a.py'", True),
        ("inputs.files contains 'a'", False),
        ("inputs.files contains 1.0", True),
        ("inputs.files contains true", False),
        ("inputs.files contains null", True),
        ("inputs.files contains inputs.files.1", True),
        ("inputs contains 'topic'", True),
        ("inputs contains 'owls'", False),
        ("inputs contains 1", False),
        ("inputs contains inputs.files", False),
        ("inputs.n contains 3", False),
        ("no.such contains null", False),
        ("'ow' in inputs.topic", True),
        ("'topic' in inputs", True),
        ("null in inputs.files", True),
        ("inputs.topic in 'many owls'", True),
        ("3 in inputs.n", False),
        # matches
        ("inputs.topic matches '^o.*s$'", True),
        ("inputs.topic matches 'w'", True),
        ("inputs.topic matches 'W'", False),
        ("inputs.topic matches '(?i)W'", True),
        (r"'2026-01-31' matches '^\d{4}-\d\d-\d\d$'", True),
        (r"'a.b' matches 'a\.b'", True),
        (r"'axb' matches 'a\\.b'", False),
        ("inputs.n matches '3'", False),
        ("inputs.none matches ''", False),
        ("half matches ''", False),
        # texts and paths
        (r"""'it\'s' == "it's" """, True),
        (r"""'a\\b' == 'a\b'""", True),
        (r"""'\n\t\d' contains '\d'""", True),
        ("inputs.files.0 == 'a.py'", True),
        ("inputs.files.1.name == 'b.py'", True),
        ("inputs.files.9 == null", True),
        ("inputs.n.0 == null", True),
        ("inputs.topic.__class__ == null", True),
        # not, and, or, parentheses
        ("not inputs.dry", True),
        ("not not inputs.dry", False),
        ("not index == 0", False),
        ("(not index) and true", True),
        ("true or false and false", True),
        ("(true or false) and false", False),
        ("not true or true", True),
        ("not (true or true)", False),
        ("not false and false", False),
        ("false or false or true", True),
        ("true and true and false", False),
        ("inputs.n == 3 and inputs.topic == 'owls' or null", True),
        ("((((inputs.n))))", True),
        (" and ".join(["(not (false))"] * 40), True),
        ("true\n  and\ttrue", True),
        ("(true)and(true)", True),
        ("1<2", True),
        ("inputs.n>=-1", True),
    ],
)
def test_an_expression_holds_or_not(text: str, outcome: bool) -> None:
    assert holds(text) is outcome


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", f"at character 1: {OPERAND}the end"),
        ("   ", f"at character 4: {OPERAND}the end"),
        ("a ==", f"at character 5: {OPERAND}the end"),
        ("a and", f"at character 6: {OPERAND}the end"),
        ("a and or b", f"at character 7: {OPERAND}or"),
        ("and x", f"at character 1: {OPERAND}and"),
        ("a == (b)", f"at character 6: {OPERAND}("),
        ("a == not b", f"at character 6: {OPERAND}not"),
        ("a == == b", f"at character 6: {OPERAND}=="),
        (")", f"at character 1: {OPERAND})"),
        ("()", f"at character 2: {OPERAND})"),
        ("a b", f"at character 3: {JOINT}b"),
        ("a 'secret'", f"at character 3: {JOINT}a text"),
        ("a < b < c", f"at character 7: {JOINT}<"),
        ("(a == b) == c", f"at character 10: {JOINT}=="),
        ("a) or b", f"at character 2: {JOINT})"),
        ("a AND b", f"at character 3: {JOINT}AND"),
        ("a() == 1", f"at character 2: {JOINT}("),
        ("1e5", f"at character 2: {JOINT}e5"),
        ("a -1", f"at character 3: {JOINT}-1"),
        (f"a {'b' * 21}", f"at character 3: {JOINT}{'b' * 17}..."),
        ("(a", "at character 3: the parenthesis of character 1 should be closed here"),
        ("a or (b c)", "at character 9: the parenthesis of character 6 should be closed here"),
        ("a == 'b", "at character 6: the text that begins here has no closing quote"),
        (r"a == 'b\'", "at character 6: the text that begins here has no closing quote"),
        ('"', "at character 1: the text that begins here has no closing quote"),
        ("a = b", "at character 3: = means nothing here; write =="),
        ("a && b", "at character 3: & means nothing here; write and"),
        ("a || b", "at character 3: | means nothing here; write or"),
        ("!a", "at character 1: ! means nothing here; write not"),
        ("a + b", "at character 3: + means nothing here"),
        ("a.", "at character 2: . means nothing here"),
        ("true.x", "at character 5: . means nothing here"),
        ("a.b[0]", "at character 4: [ means nothing here"),
        ("a == \x00", "at character 6: this character means nothing here"),
        ("\ud800", "at character 1: this character means nothing here"),
        ("a matches b", "at character 11: after matches stands a pattern in quotes"),
        ("a matches", "at character 10: after matches stands a pattern in quotes"),
        ("a matches (", "at character 11: after matches stands a pattern in quotes"),
        ("a matches '('", f"at character 11: {NO_PATTERN}"),
        (r"a matches '(b)\1'", f"at character 11: {NO_PATTERN}"),
        ("a matches '(?=b)'", f"at character 11: {NO_PATTERN}"),
        ("a matches '\ud800'", f"at character 11: {NO_PATTERN}"),
        (r"a matches '(?i)\pL{1000}'", f"at character 11: {NO_PATTERN}"),
        ("a matches '.{1000}'", "at character 11: the patterns are too large together; let them repeat less"),
        (
            "a matches '.{200}' or a matches '.{200}'",
            "at character 33: the patterns are too large together; let them repeat less",
        ),
        ("a" * 1001, "at character 1001: the expression goes on; at most 1,000 characters are taken"),
        ("not " * 31 + "a", f"at character 121: {TOO_DEEP}"),
        ("(" * 31 + "a" + ")" * 31, f"at character 31: {TOO_DEEP}"),
        ("not (" * 16 + "a" + ")" * 16, f"at character 76: {TOO_DEEP}"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_place(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


def test_a_bad_pattern_is_told_to_nobody_else(capfd: pytest.CaptureFixture[str]) -> None:
    refusal("a matches 'secret('")
    assert "secret" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("true or 'a' == 'b'", ()),
        ("steps.a.output.verdict == 'ok'", (("steps", "a", "output", "verdict"),)),
        ("b or not (a.0 == b and in-x in c)", (("b",), ("a", "0"), ("in-x",), ("c",))),
        ("order.in.or == nullable.true", (("order", "in", "or"), ("nullable", "true"))),
    ],
)
def test_the_variables_of_an_expression_are_told_once_each_in_their_order(
    text: str, variables: tuple[Path, ...]
) -> None:
    assert parse(text).variables == variables


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("true", True), ("1 > 2 or 'a' in 'b'", False), ("a", None), ("true or a", None), ("'a' matches 'a'", True)],
)
def test_an_expression_without_variables_is_constant(text: str, outcome: bool | None) -> None:
    assert constant(parse(text)) is outcome


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc") | st.text(), inner, max_size=3),
    max_leaves=8,
)
scopes = st.dictionaries(st.sampled_from("abc"), values)
PIECES = ["a", "b.a", "c.0", "'a'", '"', "'", "1", "-2.5", "(", ")", "==", "!=", "<", ">=", "\\", ".", "=", "__class__"]
WORDS = ["and", "or", "not", "in", "contains", "matches", "true", "false", "null", "'(a|b)+$'"]
scraps = st.lists(st.sampled_from([*PIECES, *WORDS, *WORDS]), max_size=12).map(" ".join)


@given(st.text(st.characters(exclude_categories=())) | scraps, scopes)
def test_any_text_is_an_expression_that_holds_or_not_or_is_refused(text: str, scope: dict[str, Any]) -> None:
    try:
        read = parse(text)
    except ExpressionError as refused:
        place = re.match(r"at character (\d+): .", str(refused))
        told = place and 1 <= int(place[1]) <= len(text) + 1
    else:
        told = read.holds(scope) in {True, False}
    assert told


@given(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "contains", "in"]), values, values)
def test_any_two_values_compare(sign: str, left: Any, right: Any) -> None:
    assert parse(f"a {sign} b").holds({"a": left, "b": right}) in {True, False}


@given(values, values)
def test_equality_is_that_of_json(left: Any, right: Any) -> None:
    scope = {"a": left, "b": right}
    assert parse("a == b").holds(scope) is same(left, right)
    assert parse("a != b").holds(scope) is not same(left, right)
    assert parse("a contains b").holds({"a": [left], "b": right}) is same(left, right)
    assert parse("a == b").holds(scope) is parse("b == a").holds(scope)


Tree = tuple[Any, ...]
CONSTANTS = [
    ("true", True),
    ("false", False),
    ("null", None),
    ("0", 0),
    ("1", 1),
    ("1.0", 1.0),
    ("'ab'", "ab"),
    ("''", ""),
]
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

operands = st.sampled_from(CONSTANTS) | st.sampled_from("abc").map(lambda name: (name, ...))
comparisons = st.tuples(st.sampled_from(["==", "!=", *ORDERS, "contains", "in"]), operands, operands)
trees: st.SearchStrategy[Tree] = st.recursive(
    operands.map(lambda operand: ("truth", operand)) | comparisons,
    lambda inner: (
        st.tuples(st.just("not"), inner)
        | st.tuples(st.sampled_from(["and", "or"]), inner, inner)
        | st.tuples(st.just("()"), inner)
    ),
    max_leaves=8,
)
BINDING = {"or": 0, "and": 1, "not": 2}


def printed(tree: Tree, within: int = 0) -> str:
    """With no more parentheses than there must be, but for those of the tree itself."""
    sign, *parts = tree
    binding = BINDING.get(sign, 3)
    match sign:
        case "truth":
            text = parts[0][0]
        case "not":
            text = f"not {printed(parts[0], binding)}"
        case "()":
            text = f"({printed(parts[0])})"
        case "and" | "or":
            text = f"{printed(parts[0], binding)} {sign} {printed(parts[1], binding + 1)}"
        case _:
            text = f"{parts[0][0]} {sign} {parts[1][0]}"
    return text if binding >= within else f"({text})"


def reference(tree: Tree, scope: dict[str, Any]) -> bool:
    match tree:
        case "not", part:
            return not reference(part, scope)
        case "()", part:
            return reference(part, scope)
        case "and", left, right:
            return reference(left, scope) and reference(right, scope)
        case "or", left, right:
            return reference(left, scope) or reference(right, scope)
    sign, *operands = tree
    return compared(sign, *(scope.get(name) if value is ... else value for name, value in operands))


def compared(sign: str, left: Any, right: Any = None) -> bool:
    match sign:
        case "truth":
            return bool(left)
        case "==" | "!=":
            return same(left, right) is (sign == "==")
        case "contains" | "in":
            whole, part = (left, right) if sign == "contains" else (right, left)
            return holding(whole, part)
    alike = kind(left) is kind(right) and kind(left) in {float, str}
    return alike and ORDERS[sign](left, right)


def holding(whole: Any, part: Any) -> bool:
    if isinstance(whole, list):
        return any(same(element, part) for element in whole)
    return isinstance(whole, str | dict) and isinstance(part, str) and part in whole


def same(left: Any, right: Any) -> bool:
    if kind(left) is not kind(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def kind(value: Any) -> type:
    return float if type(value) is int else type(value)


@given(trees, scopes)
def test_an_expression_comes_to_what_its_tree_does(tree: Tree, scope: dict[str, Any]) -> None:
    assert parse(printed(tree)).holds(scope) is reference(tree, scope)


@pytest.mark.parametrize(
    "text",
    [
        "().__class__.__bases__",
        "''.__class__",
        "a.b()",
        "__import__('os')",
        "lambda: 0",
        "a if b else c",
        "[x for x in a]",
        "{a}",
        "a; b",
        "a ** 9 ** 9",
        "f'{a}'",
        "a := 1",
        "\uff41 == 1",
        "(" * 10_000,
        "(" * 500 + ")" * 500,
        "not " * 249 + "a",
        "'" * 999,
        "\\" * 1000,
    ],
)
def test_what_a_language_would_do_is_refused(text: str) -> None:
    assert len(refusal(text)) < 120


@pytest.mark.parametrize("text", ["__class__", "a.__class__.__init__.__globals__", "a.keys", "a.0.__len__"])
def test_the_names_of_python_are_but_names(text: str) -> None:
    assert not parse(text).holds({"a": ["x"]})
    assert parse("__class__.a").holds({"__class__": {"a": 1}})


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("a matches '(a+)+$'", False),
        ("a matches '^(a|aa)+$'", False),
        ("a matches '(a*)*(a*)*(a*)*c'", False),
        ("a matches '[ab]*a[ab]{1000}c'", False),
        (" or ".join(["a matches '(x+x+)+y'"] * 40), False),
        (" and ".join(["b == c"] * 80), True),
        (" or ".join(["b contains d"] * 60), False),
        ("not " * 30 + "b", True),
        ("(" * 30 + "b" + ")" * 30, True),
        (" or ".join(["e"] * 200), False),
        (f"{'9' * 990}.9 > 1", True),
        (f"a.{'0.' * 400}0", False),
    ],
)
def test_what_is_made_to_take_for_ever_is_decided_at_once(text: str, outcome: bool) -> None:
    scope = {"a": HOSTILE, "b": ["x"] * 1000, "c": ["x"] * 1000, "d": "y"}
    begun = time.process_time()
    assert parse(text).holds(scope) is outcome
    assert time.process_time() - begun < LONGEST_SECONDS


def test_values_that_nest_without_reason_compare() -> None:
    deep: list[list[Any]] = [[], []]
    for _ in range(100_000):
        deep = [[one] for one in deep]
    scope = {"a": deep[0], "b": deep[1], "c": [deep[0]]}
    assert parse("a == b and c contains b and not a == c").holds(scope)

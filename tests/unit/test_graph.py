"""What a definition may say, and where its faults are told to be."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.leaves import folder
from vel_tutor_mcp.workflows.graph import Graph, read

Step = dict[str, Any]
Raw = dict[str, Any]

INPUTS = {"type": "object", "properties": {"topic": {"type": "string"}, "files": {"type": "array"}}}
NO_LIST = "it is no list; write its items between [ and ]"
NO_OBJECT = "it is no object; write its fields between { and }"
NO_FIELD = "there is no such field; take it out, or correct its name"
NO_TEXT = "it should be a valid string; correct it"
NO_NUMBER = "it should be a valid integer; correct it"
NO_ID = "it is no id; write letters, digits, _ and -, beginning with a letter or _"
NO_KIND = "write task, map, approval or taskmaster"
NO_INPUT = "{} is undefined, for inputs has no such property; add it there"
NO_AGENT = "it should have at least 1 character; correct it"
NOT_WHOLE = "it is no absolute path; the server has a folder of its own; write the whole path"
NOT_GIVEN = (
    "steps.w.output.cost is undefined, for the output of w has items, done, review, failed, left; name one of these"
)
BOTH = "it names its items with ids too; take one of the two out"
NO_PROMPT = "it is empty or holds a NUL; say in it what is to be done"
NO_HALF = "it holds half of a character (a lone surrogate); send it without"
NOT_ITS = "leads to no step; write an id behind it, as in steps.a.output"


def task(name: str, *needs: str, **more: Any) -> Step:
    return {"id": name, "kind": "task", "prompt": "Do it", "needs": list(needs)} | more


def a_map(name: str, *needs: str, **more: Any) -> Step:
    return task(name, *needs) | {"kind": "map", "over": "inputs.files", "prompt": "Do {{ item }}"} | more


def approval(name: str, *needs: str, **more: Any) -> Step:
    return task(name, *needs) | {"kind": "approval"} | more


def work(name: str, *needs: str, **more: Any) -> Step:
    return {"id": name, "kind": "taskmaster", "project": "/a/project", "needs": list(needs)} | more


def of(*steps: Any, **more: Any) -> Raw:
    return {"inputs": INPUTS, "steps": list(steps)} | more


def one(**fields: Any) -> Raw:
    """A definition whose second step has these fields."""
    return of(task("a"), task("b", "a", **fields))


def without(raw: Step, field: str) -> Step:
    return {name: value for name, value in raw.items() if name != field}


def refusal(raw: Any) -> str:
    with pytest.raises(InputError) as refused:
        read(raw)
    return str(refused.value)


def nested(depth: int) -> Any:
    made: Any = {}
    for _ in range(depth):
        made = {"not": made}
    return made


@pytest.mark.parametrize("template", ["write-review-revise", "research-then-answer", "plan-implement-test"])
def test_a_template_that_is_shipped_is_valid(template: str) -> None:
    raw = json.loads((folder("resources") / "templates" / f"{template}.json").read_text(encoding="utf-8"))
    graph = read(raw)
    assert graph.definition.template
    assert graph.definition.description


def test_the_example_in_the_guide_is_valid() -> None:
    page = (folder("resources") / "guide" / "workflows.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert set(read(json.loads(example)).steps) == {"review", "judge", "warn", "release", "by_hand", "report"}


@pytest.mark.parametrize(
    "raw",
    [
        {"steps": [{"id": "a", "kind": "task", "prompt": "x"}]},
        of(*(task(f"s{number}") for number in range(100))),
        of(task("_"), task("A-1_b"), task("x" * 40)),
        one(when="steps.a.output.verdict == 'ok'", on_error="continue", timeout_seconds=7_776_000),
        one(on_error={"goto": "c"}) | {"steps": [task("a"), task("b", "a", on_error={"goto": "c"}), task("c")]},
        one(retry={"attempts": 10, "backoff_seconds": 3600}, max_cost_usd=1, priority="high", task_type="research"),
        one(response_schema={"type": "object"}, agent="somebody", prompt="{{ steps.a.output }} {{ '{{' }}"),
        one(needs=["a", "a"]),
        of(a_map("m", parallel=20, prompt="{{ index }}: {{ item.name }} {{ inputs }}")),
        of(task("a"), a_map("m", "a", over="steps.a.output.parts"), task("c", "m", when="steps.m.output.failed > 0")),
        of(approval("p", human=True, on_timeout="approve"), task("c", "p", prompt="{{ steps.p.output.comment }}")),
        of(task("a", on_error={"goto": "c"}), task("c", prompt="{{ steps.a.error }}", when="steps.a.error")),
        of(task("c", "a"), task("a")),
        of(task("a"), task("b", "a"), task("c", "b", prompt="{{ steps.a.status }}")),
        of(task("a", when="inputs.topic matches '^x' and inputs")),
        of(work("w", all_ready=True, parallel=20, agents={"research": "finder"}, review_agent="critic")),
        of(task("a"), work("w", "a", project="{{ inputs.topic }}", tag="{{ steps.a.output }}", ids="inputs.files")),
        of(work("w"), task("c", "w", when="steps.w.output.failed > 0 or steps.w.output.left")),
    ],
)
def test_a_definition_is_taken(raw: Raw) -> None:
    assert list(read(raw).steps) == [step["id"] for step in raw["steps"]]


@pytest.mark.parametrize(
    ("raw", "place", "what"),
    [
        # its form
        (None, "its top", NO_OBJECT),
        ([], "its top", NO_OBJECT),
        ("steps", "its top", NO_OBJECT),
        ({}, "steps", "it is missing; add it"),
        ({"steps": None}, "steps", NO_LIST),
        ({"steps": {}}, "steps", NO_LIST),
        ({"steps": "abc"}, "steps", NO_LIST),
        ({"steps": []}, "steps", "it should have at least 1 item, not 0; correct it"),
        (of(task("a"), step=1), "step", NO_FIELD),
        (of(task("a"), **{"a b": 1}), "(a field with an odd name)", NO_FIELD),
        (of(task("a"), **{"x" * 50_000: 1}), "(a field with an odd name)", NO_FIELD),
        (of(task("a"), template="yes"), "template", "it should be a valid boolean; correct it"),
        (of(task("a"), template=1), "template", "it should be a valid boolean; correct it"),
        (of(task("a"), description=None), "description", NO_TEXT),
        (of(task("a"), description="x" * 1001), "description", "it should have at most 1000 characters; correct it"),
        (of(*(task(f"s{n}") for n in range(101))), "steps", "it should have at most 100 items, not 101; correct it"),
        # steps
        (of(task("a"), 5), "steps[1]", NO_OBJECT),
        (of(task("a"), None), "steps[1]", NO_OBJECT),
        (of(task("a"), {}), "steps[1].kind", f"it is missing; {NO_KIND}"),
        (of(without(task("a"), "kind")), "steps.a.kind", f"it is missing; {NO_KIND}"),
        (of(work("w", project="a/project")), "steps.w.project", NOT_WHOLE),
        (of(work("w", project="{{ inputs.where }}")), "steps.w.project", NO_INPUT.format("inputs.where")),
        (of(work("w", tag="{{ inputs.where }}")), "steps.w.tag", NO_INPUT.format("inputs.where")),
        (of(work("w", ids="inputs.where")), "steps.w.ids", NO_INPUT.format("inputs.where")),
        (of(work("w", ids=["1"])), "steps.w.ids", NO_TEXT),
        (of(work("w", ids="inputs.files", all_ready=True)), "steps.w.all_ready", BOTH),
        (of(work("w", prompt="Do it")), "steps.w.prompt", NO_FIELD),
        (of(work("w", review_agent="")), "steps.w.review_agent", NO_AGENT),
        (of(work("w"), task("c", "w", prompt="{{ steps.w.output.cost }}")), "steps.c.prompt", NOT_GIVEN),
        (one(kind="errand"), "steps.b.kind", f"it is none that we know; {NO_KIND}"),
        (one(kind=5), "steps.b.kind", f"it is none that we know; {NO_KIND}"),
        (one(kind=["task"]), "steps.b.kind", f"it is none that we know; {NO_KIND}"),
        (one(prompts="x"), "steps.b.prompts", NO_FIELD),
        (one(task=1), "steps.b.task", NO_FIELD),
        (one(over="inputs.files"), "steps.b.over", NO_FIELD),
        (one(**{"\ud800": 1}), "steps.b", NO_HALF),
        (one(**{"x.y": 1}), "steps.b.(a field with an odd name)", NO_FIELD),
        (of(without(task("a"), "prompt")), "steps.a.prompt", "it is missing; add it"),
        (of(without(a_map("a"), "over")), "steps.a.over", "it is missing; add it"),
        (of(approval("a", retry={"attempts": 2})), "steps.a.retry", NO_FIELD),
        (of(approval("a", human=1)), "steps.a.human", "it should be a valid boolean; correct it"),
        (of(approval("a", on_timeout="x")), "steps.a.on_timeout", "it should be 'reject' or 'approve'; correct it"),
        # ids
        (of(task("a"), task("b"), without(task("c"), "id")), "steps[2].id", "it is missing; add it"),
        (of(task("")), "steps[0].id", NO_ID),
        (of(task("1a")), "steps[0].id", NO_ID),
        (of(task("a.b")), "steps[0].id", NO_ID),
        (of(task("a\n")), "steps[0].id", NO_ID),
        (of(task("é")), "steps[0].id", NO_ID),
        (of(task("x" * 41)), "steps[0].id", "it should have at most 40 characters; correct it"),
        (one(id=5), "steps[1].id", NO_TEXT),
        (one(id="a", needs=[]), "steps[1].id", "there is a step a already; give each its own id"),
        # the fields of a step
        (one(id="b-1", needs="a"), "steps.b-1.needs", NO_LIST),
        (one(needs={"a": 1}), "steps.b.needs", NO_LIST),
        (one(needs=["a", 5]), "steps.b.needs[1]", NO_TEXT),
        (one(needs=["a", "a b"]), "steps.b.needs[1]", NO_ID),
        (one(needs=["a"] * 101), "steps.b.needs", "it should have at most 100 items, not 101; correct it"),
        (one(prompt=None), "steps.b.prompt", NO_TEXT),
        (one(prompt=""), "steps.b.prompt", "it should have at least 1 character; correct it"),
        (one(prompt=" \n"), "steps.b.prompt", NO_PROMPT),
        (one(prompt="a\0b"), "steps.b.prompt", NO_PROMPT),
        (one(prompt="\ud83d"), "steps.b.prompt", NO_HALF),
        (one(prompt="x" * 100_001), "steps.b.prompt", "it should have at most 100000 characters; correct it"),
        (one(agent=""), "steps.b.agent", "it should have at least 1 character; correct it"),
        (one(task_type="art"), "steps.b.task_type", "it should be 'reasoning', "),
        (one(priority=3), "steps.b.priority", "it should be 'low', 'medium' or 'high'; correct it"),
        (one(max_cost_usd=0), "steps.b.max_cost_usd", "it should be greater than 0; correct it"),
        (one(max_cost_usd="1"), "steps.b.max_cost_usd", "it should be a valid number; correct it"),
        (one(max_cost_usd=float("nan")), "steps.b.max_cost_usd", "it should be a finite number; correct it"),
        (one(on_error="stop"), "steps.b.on_error", "it should be 'fail' or 'continue'; correct it"),
        (one(on_error=None), "steps.b.on_error", "it should be 'fail' or 'continue'; correct it"),
        (one(on_error={}), "steps.b.on_error.goto", "it is missing; add it"),
        (one(on_error={"goto": 5}), "steps.b.on_error.goto", NO_TEXT),
        (one(on_error={"goto": "a", "retry": 1}), "steps.b.on_error.retry", NO_FIELD),
        (one(retry=3), "steps.b.retry", NO_OBJECT),
        (one(retry={"attempts": 0}), "steps.b.retry.attempts", "it should be greater than or equal to 1; correct it"),
        (one(retry={"attempts": 11}), "steps.b.retry.attempts", "it should be less than or equal to 10; correct it"),
        (one(retry={"attempts": "3"}), "steps.b.retry.attempts", NO_NUMBER),
        (one(retry={"attempts": True}), "steps.b.retry.attempts", NO_NUMBER),
        (
            one(retry={"backoff_seconds": 3601}),
            "steps.b.retry.backoff_seconds",
            "it should be less than or equal to 3600; correct it",
        ),
        (one(timeout_seconds=0), "steps.b.timeout_seconds", "it should be greater than or equal to 1; correct it"),
        (
            one(timeout_seconds=10**5000),
            "steps.b.timeout_seconds",
            "it should be less than or equal to 7776000; correct it",
        ),
        (one(timeout_seconds=1.5), "steps.b.timeout_seconds", NO_NUMBER),
        (of(a_map("m", parallel=21)), "steps.m.parallel", "it should be less than or equal to 20; correct it"),
        (of(a_map("m", parallel=0)), "steps.m.parallel", "it should be greater than or equal to 1; correct it"),
        # schemas
        (one(response_schema=[]), "steps.b.response_schema", NO_OBJECT),
        (
            one(response_schema={"type": "text"}),
            "steps.b.response_schema",
            "it is no JSON Schema; the fault is at type; correct it there (draft 2020-12)",
        ),
        (one(response_schema={"patternProperties": {}}), "steps.b.response_schema", "it has patternProperties; "),
        (one(response_schema={"properties": {"x" * 45_000: 5}}), "steps.b.response_schema", "it is no JSON Schema; "),
        (of(task("a"), inputs=[]), "inputs", NO_OBJECT),
        (of(task("a"), inputs={"properties": []}), "inputs", "it is no JSON Schema; the fault is at properties; "),
        (of(task("a"), inputs={"type": "array"}), "inputs.type", "a run is given an object; write object"),
        (of(task("a"), inputs={"$ref": "http://x.example"}), "inputs", "it refers to another document; "),
        (of(task("a"), inputs={"not": nested(10_000)}), "inputs", "it has no end; it nests too deep "),
        (of(task("a"), inputs={"default": [float("nan")]}), "inputs", "it is not JSON; "),
        (of(task("a"), inputs={"description": "x" * 60_000}), "inputs", "it is too large; "),
        # what leads nowhere, or round
        (one(needs=["a", "c"]), "steps.b.needs[1]", "there is no step c; name one that there is"),
        (one(on_error={"goto": "c"}), "steps.b.on_error.goto", "there is no step c; name one that there is"),
        (one(needs=["b"]), "steps.b", "it waits for itself (b -> b); take one of these out of needs or goto"),
        (one(on_error={"goto": "b"}), "steps.b", "it waits for itself (b -> b); "),
        (one(on_error={"goto": "a"}), "steps.", "it waits for itself ("),
        (of(task("a", "c"), task("b", "a"), task("c", "b")), "steps.", "it waits for itself ("),
        (of(*(task(x, y) for x, y in pairwise("abcdefghijka"))), "steps.", "it waits for itself ("),
        # texts and expressions
        (one(prompt="Do {{ inputs.topic"), "steps.b.prompt", "at character 4: the placeholder has no end; "),
        (one(prompt="{{ 1 + 1 }}"), "steps.b.prompt", "at character 1: the placeholder is no path; "),
        (of(approval("p", prompt="{{ }}")), "steps.p.prompt", "at character 1: the placeholder is empty; "),
        (one(when=5), "steps.b.when", NO_TEXT),
        (one(when=""), "steps.b.when", "at character 1: "),
        (one(when="steps.a.output ="), "steps.b.when", "at character 16: = means nothing here; write =="),
        (one(when="x" * 1001), "steps.b.when", "at character 1001: the expression goes on; "),
        (one(when="1 < 2"), "steps.b.when", "it looks at nothing, so the step always runs; leave it out"),
        (one(when="not 'x'"), "steps.b.when", "it looks at nothing, so the step can never run; correct it"),
        (of(a_map("m", over="")), "steps.m.over", "at character 1: this is no path; "),
        (of(a_map("m", over="[1, 2]")), "steps.m.over", "at character 1: this is no path; "),
        (of(a_map("m", over="inputs.files[0]")), "steps.m.over", "at character 13: this is no path; "),
        (of(a_map("m", over="x" * 201)), "steps.m.over", "it should have at most 200 characters; correct it"),
        # undefined variables
        (one(prompt="{{ topic }}"), "steps.b.prompt", "topic is undefined, for variables begin with inputs or steps; "),
        (
            one(prompt="{{ inputs.x.y }}"),
            "steps.b.prompt",
            "inputs.x.y is undefined, for inputs has no such property; ",
        ),
        (one(when="inputs.x"), "steps.b.when", "inputs.x is undefined, for inputs has no such property; "),
        (of(a_map("m", over="inputs.x")), "steps.m.over", "inputs.x is undefined, for inputs has no such property; "),
        (one(prompt="{{ steps }}"), "steps.b.prompt", f"steps is undefined, for it {NOT_ITS}"),
        (one(when="steps.c.output"), "steps.b.when", "steps.c.output is undefined, for there is no step c; "),
        (one(when="steps.b.output"), "steps.b.when", "steps.b.output is undefined, for b need not have ended then; "),
        (
            of(task("a"), task("b", prompt="{{ steps.a.output }}")),
            "steps.b.prompt",
            "steps.a.output is undefined, for a need not have ended then; add it to needs",
        ),
        (one(when="steps.a"), "steps.b.when", "steps.a is undefined, for a step has status, output, error; "),
        (one(when="steps.a.outputs"), "steps.b.when", "steps.a.outputs is undefined, for a step has status, "),
        (
            one(prompt="{{ steps.a.error.message }}"),
            "steps.b.prompt",
            "steps.a.error.message is undefined, for the error of a step is a text; name nothing behind it",
        ),
        (
            of(a_map("m"), task("b", "m", prompt="{{ steps.m.output.0 }}")),
            "steps.b.prompt",
            "steps.m.output.0 is undefined, for the output of m has items, succeeded, failed, errors; name one of ",
        ),
        (
            of(approval("p"), task("b", "p", when="steps.p.output.yes")),
            "steps.b.when",
            "steps.p.output.yes is undefined, for the output of p has approved, by, how, comment, at; name one of ",
        ),
        (one(prompt="{{ item }}"), "steps.b.prompt", "item is undefined, for only the prompt of a map has items; "),
        (of(a_map("m", when="item.x")), "steps.m.when", "item.x is undefined, for only the prompt of a map has items"),
        (of(a_map("m", over="index")), "steps.m.over", "index is undefined, for only the prompt of a map has items; "),
        (one(prompt=f"{{{{ {'y' * 9000} }}}}"), "steps.b.prompt", f"{'y' * 60} is undefined, for variables begin "),
    ],
)
def test_a_fault_is_named_with_its_place_and_what_to_do(raw: Any, place: str, what: str) -> None:
    told = refusal(raw)
    assert told.startswith("The definition is not valid; " + (place if place == "steps." else f"{place}: "))
    assert what in told
    assert_is_a_sentence(told)


def assert_is_a_sentence(told: str) -> None:
    """One, which names a place and then, behind a semicolon, what to do; and which repeats little of what was sent."""
    assert told.endswith(".")
    assert ". " not in told
    assert "\n" not in told
    assert len(told) < 500
    told.encode()


def test_a_long_way_round_is_shown_in_part() -> None:
    names = [f"s{number}" for number in range(30)]
    told = refusal(of(*(task(name, before) for before, name in pairwise([names[-1], *names]))))
    assert told.count(" -> ") == 8
    assert " -> ...); take one of these out" in told


def graph(properties: dict[str, Any], **more: Any) -> Graph:
    return read(of(task("a"), inputs={"type": "object", "properties": properties} | more))


@pytest.mark.parametrize(
    ("inputs", "whole"),
    [
        ({}, {"style": "dry", "tags": []}),
        ({"style": None}, {"style": None, "tags": []}),
        ({"topic": "owls", "tags": [1]}, {"topic": "owls", "style": "dry", "tags": [1]}),
        ({"else": 1}, {"else": 1, "style": "dry", "tags": []}),
    ],
)
def test_inputs_that_are_left_out_have_their_defaults(inputs: dict[str, Any], whole: dict[str, Any]) -> None:
    properties = {"topic": {"type": "string"}, "style": {"default": "dry"}, "tags": {"default": []}, "any": True}
    assert graph(properties).given(inputs) == whole


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "they lack topic"),
        ({"topic": 5}, "it does not match the schema at topic (type)"),
        ({"topic": "owls", "x": 1}, "it does not match the schema at its top (additionalProperties)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, Any], why: str) -> None:
    taking = graph({"topic": {"type": "string"}}, required=["topic"], additionalProperties=False)
    with pytest.raises(InputError) as refused:
        taking.given(inputs)
    assert str(refused.value) == (
        f"The inputs do not fit this workflow; {why}; it takes topic, see its `inputs` with workflow_get."
    )


def test_what_stands_before_a_step_is_what_it_needs_and_what_fails_to_it() -> None:
    raw = of(task("a", on_error={"goto": "c"}), task("b", "a"), task("c", "d"), task("d"), task("e", "c", "b"))
    made = read(raw)
    assert made.sources == {"a": (), "b": (), "c": ("a",), "d": (), "e": ()}
    assert made.before == {"a": (), "b": ("a",), "c": ("d", "a"), "d": (), "e": ("c", "b")}
    assert made.ancestors["e"] == {"a", "b", "c", "d"}
    assert made.order.index("e") == 4


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)
NAMES = st.sampled_from(["a", "b", "c", ""])
FIELDS = {
    "kind": st.sampled_from(["task", "map", "approval", "x"]),
    "id": NAMES,
    "needs": st.lists(NAMES, max_size=2),
    "prompt": st.sampled_from(["x", "{{ inputs.x }}", "{{ steps.a.output }}", "{{ item }}", "{{"]),
    "when": st.sampled_from(["inputs.x", "steps.b.output == 1", "true", "("]),
    "over": st.sampled_from(["inputs.x", "steps.a.output", "x y"]),
    "on_error": st.sampled_from(["fail", "continue", {"goto": "b"}, {"goto": "z"}]),
    "retry": st.fixed_dictionaries({}, optional={"attempts": values, "backoff_seconds": values}),
}
steps = st.fixed_dictionaries(
    {name: FIELDS[name] | values if name != "kind" else FIELDS[name] for name in ("kind", "id", "prompt")},
    optional={name: field | values for name, field in FIELDS.items() if name not in {"kind", "id", "prompt"}},
)
definitions: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"steps": st.lists(steps | values, max_size=4)},
    optional={"inputs": st.just({"properties": {"x": {}}}) | values, "template": values, "x": values},
)


@given(values | definitions)
def test_whatever_is_sent_is_a_graph_or_refused_in_a_sentence(raw: Any) -> None:
    told = refused_or_taken(raw)
    if told is not None:
        assert told.startswith("The definition is not valid; ")
        assert_is_a_sentence(told)


def refused_or_taken(raw: Any) -> str | None:
    try:
        read(raw)
    except InputError as refused:
        return str(refused)
    return None

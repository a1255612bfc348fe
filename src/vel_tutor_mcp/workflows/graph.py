"""A checked definition, ready to run: every reference leads somewhere, and every fault was named with its place.

Every step of it can run: a condition that never holds is refused, and without one a step runs in the world in which all
goes well, or in which just that fails what leads to it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.models import LONGEST_STEP
from vel_tutor_mcp.schemas import check_schema, mismatch
from vel_tutor_mcp.workflows.definition import (
    NAME_PATTERN,
    ApprovalStep,
    Definition,
    MapStep,
    PlanStep,
    Step,
    TaskMasterStep,
    TaskStep,
)
from vel_tutor_mcp.workflows.expression import Expression, ExpressionError, constant
from vel_tutor_mcp.workflows.expression import parse as parse_expression
from vel_tutor_mcp.workflows.text import Path, Text, TextError, parse_path
from vel_tutor_mcp.workflows.text import parse as parse_text

_OF_ITEMS = ("item", "index")
_FIELDS = ("status", "output", "error")
_OUTPUT_FIELDS: Mapping[type, tuple[str, ...]] = {
    MapStep: ("items", "succeeded", "failed", "errors"),
    ApprovalStep: ("approved", "by", "how", "comment", "at"),
    TaskMasterStep: ("items", "done", "review", "failed", "left"),
}
_NO_FIELD = "there is no such field; take it out, or correct its name"
_NO_OBJECT = "it is no object; write its fields between { and }"
_KINDS = "write task, map, approval or taskmaster"
_ADVICE = {
    "missing": "it is missing; add it",
    "extra_forbidden": _NO_FIELD,
    "invalid_key": _NO_FIELD,
    "union_tag_invalid": f"it is none that we know; {_KINDS}",
    "union_tag_not_found": f"it is missing; {_KINDS}",
    "model_type": _NO_OBJECT,
    "model_attributes_type": _NO_OBJECT,
    "dict_type": _NO_OBJECT,
    "tuple_type": "it is no list; write its items between [ and ]",
    "string_unicode": "it holds half of a character (a lone surrogate); send it without",
    "string_pattern_mismatch": "it is no id; write letters, digits, _ and -, beginning with a letter or _",
}
_NAME = re.compile(NAME_PATTERN)
_LONGEST_RING = 8
_LONGEST_LIST = 200


def fault(place: str, what: str) -> InputError:
    """`what` is wrong there and what to do about it, the two divided by a semicolon."""
    return InputError(f"The definition is not valid; {place}: {what}.")


@dataclass(frozen=True)
class Graph:
    """The steps by id in their order of writing, and what their texts and expressions were parsed to.

    Attributes:
        texts: the prompt of each step, or where its project is.
        tags: of steps with a project.
        lists: where the items are, of steps that name them so.
    """

    definition: Definition
    steps: Mapping[str, Step]
    conditions: Mapping[str, Expression]
    texts: Mapping[str, Text]
    tags: Mapping[str, Text]
    lists: Mapping[str, Path]
    output: tuple[Path, ...]

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """The steps whose failure leads to a step, for each."""
        made: dict[str, tuple[str, ...]] = dict.fromkeys(self.steps, ())
        for step in self.steps.values():
            if step.goto is not None:
                made[step.goto] = (*made[step.goto], step.id)
        return made

    @cached_property
    def before(self) -> Mapping[str, tuple[str, ...]]:
        """The steps that must have ended before a step is looked at, for each."""
        return {name: (*step.needs, *self.sources[name]) for name, step in self.steps.items()}

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The ids, each behind all that come before it.

        Raises:
            CycleError: there is no such order.
        """
        return tuple(TopologicalSorter(self.before).static_order())

    @cached_property
    def last(self) -> frozenset[str]:
        """The steps that no other needs."""
        return frozenset(self.steps) - {need for step in self.steps.values() for need in step.needs}

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """All steps that have ended when a step begins, for each."""
        made: dict[str, frozenset[str]] = {}
        for name in self.order:
            made[name] = frozenset(self.before[name]).union(*(made[other] for other in self.before[name]))
        return made

    def given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of a run, with the defaults of what is left out.

        Raises:
            InputError: they do not match the definition's schema.
        """
        properties = self.definition.inputs.get("properties", {})
        defaults = {
            name: row["default"] for name, row in properties.items() if isinstance(row, dict) and "default" in row
        }
        whole = {**defaults, **inputs}
        if (problem := mismatch(whole, self.definition.inputs)) is not None:
            missing = [name for name in self.definition.inputs.get("required", ()) if name not in whole]
            problem = f"they lack {_few(missing)}" if missing else problem
            raise InputError(
                f"The inputs do not fit this workflow; {problem}; it takes {_few(properties) or 'none'}, see its "
                "`inputs` with workflow_get."
            )
        return whole


def _few(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return listed if len(listed) <= _LONGEST_LIST else f"{listed[:_LONGEST_LIST]}..."


def read(raw: Any) -> Graph:
    """The graph of a definition.

    Raises:
        InputError: with the place of the first fault and what to do about it.
    """
    definition = _form(raw)
    _check_inputs(definition)
    graph = Graph(definition, _by_id(definition), *_parsed(definition), _output(definition))
    _check_references(graph)
    _check_cycles(graph)
    for name, step in graph.steps.items():
        _check_variables(graph, name, step)
    _check_output(graph)
    return graph


def _form(raw: Any) -> Definition:
    try:
        return Definition.model_validate(raw)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False, include_context=False)[0]
        where = (*first["loc"], "kind") if first["type"].startswith("union_tag") else first["loc"]
        raise fault(_place(raw, where), _ADVICE.get(first["type"]) or _said(first["msg"])) from None


def _said(message: str) -> str:
    """Pydantic's sentence, such as `Tuple should have at most 100 items after validation, not 101`, as one of ours."""
    return f"it {message.partition(' ')[2].replace(' after validation', '')}; correct it"


def _place(raw: Any, where: tuple[int | str, ...]) -> str:
    """The place as people find it, a step by its id where it has one; what pydantic adds to tell kinds apart goes."""
    match where:
        case ("steps", int(number), _, "on_error", _, *rest):
            return _joined(_step_place(raw, number), "on_error", *rest)
        case ("steps", int(number), "kind"):
            return _joined(_step_place(raw, number), "kind")
        case ("steps", int(number), _, *rest):
            return _joined(_step_place(raw, number), *rest)
        case ("steps", int(number)):
            return f"steps[{number}]"
    return _joined("", *where).removeprefix(".") or "its top"


def _step_place(raw: Any, number: int) -> str:
    name = _at(_at(_at(raw, "steps"), number), "id")
    return f"steps.{name}" if isinstance(name, str) and _is_name(name) else f"steps[{number}]"


def _joined(first: str, *rest: int | str) -> str:
    named = (part for part in rest if part != "[key]")  # pydantic's word for a fault in a name itself
    return first + "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in named)


def _shown(field: str) -> str:
    return field if _is_name(field) else "(a field with an odd name)"


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_STEP and _NAME.fullmatch(text) is not None


def _at(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return None


def _check_inputs(definition: Definition) -> None:
    try:
        check_schema(definition.inputs, "it")
    except InputError as problem:
        raise fault("inputs", str(problem).removesuffix(".")) from None
    if definition.inputs.get("type", "object") != "object":
        raise fault("inputs.type", "a run is given an object; write object")


def _by_id(definition: Definition) -> dict[str, Step]:
    made: dict[str, Step] = {}
    for number, step in enumerate(definition.steps):
        if step.id in made:
            raise fault(f"steps[{number}].id", f"there is a step {step.id} already; give each its own id")
        made[step.id] = step
    return made


def _parsed(
    definition: Definition,
) -> tuple[dict[str, Expression], dict[str, Text], dict[str, Text], dict[str, Path]]:
    conditions, texts, tags, lists = {}, {}, {}, {}
    for step in definition.steps:
        if step.when is not None:
            conditions[step.id] = _condition(step, step.when)
        if isinstance(step, PlanStep):
            continue
        if isinstance(step, TaskMasterStep):
            texts[step.id], tags[step.id] = _project(step), _text(f"steps.{step.id}.tag", step.tag)
            if step.ids is not None:
                lists[step.id] = _list(f"steps.{step.id}.ids", step.ids)
            continue
        texts[step.id] = _prompt(step)
        if isinstance(step, MapStep):
            lists[step.id] = _list(f"steps.{step.id}.over", step.over)
        if not isinstance(step, ApprovalStep):
            _check_response_schema(step.id, step.response_schema)
    return conditions, texts, tags, lists


def _prompt(step: TaskStep | MapStep | ApprovalStep) -> Text:
    place = f"steps.{step.id}.prompt"
    if "\0" in step.prompt or not step.prompt.strip():
        raise fault(place, "it is empty or holds a NUL; say in it what is to be done")
    return _text(place, step.prompt)


def _project(step: TaskMasterStep) -> Text:
    parsed = _text(place := f"steps.{step.id}.project", step.project)
    if not parsed.variables and not PurePath(step.project).is_absolute():
        raise fault(place, "it is no absolute path; the server has a folder of its own; write the whole path")
    if step.ids is not None and step.all_ready:
        raise fault(f"steps.{step.id}.all_ready", "it names its items with ids too; take one of the two out")
    return parsed


def _text(place: str, text: str) -> Text:
    try:
        return parse_text(text)
    except TextError as problem:
        raise fault(place, str(problem)) from None


def _condition(step: Step, when: str) -> Expression:
    try:
        parsed = parse_expression(when)
    except ExpressionError as problem:
        raise fault(f"steps.{step.id}.when", str(problem)) from None
    if (always := constant(parsed)) is not None:
        advice = "the step always runs; leave it out" if always else "the step can never run; correct it"
        raise fault(f"steps.{step.id}.when", f"it looks at nothing, so {advice}")
    return parsed


def _list(place: str, path: str) -> Path:
    try:
        return parse_path(path)
    except TextError as problem:
        raise fault(place, str(problem)) from None


def _output(definition: Definition) -> tuple[Path, ...]:
    made = []
    for number, text in enumerate(definition.output):
        try:
            made.append(parse_path(text))
        except TextError as problem:
            raise fault(f"output[{number}]", str(problem)) from None
    return tuple(made)


def _check_output(graph: Graph) -> None:
    for number, path in enumerate(graph.output):
        if path[0] != "steps" or len(path) == 1 or path[1] not in graph.steps:
            raise fault(f"output[{number}]", "it leads to no step; write steps, the id of a step, and output")


def _check_response_schema(name: str, schema: dict[str, Any] | None) -> None:
    try:
        check_schema(schema, "it")
    except InputError as problem:
        raise fault(f"steps.{name}.response_schema", str(problem).removesuffix(".")) from None


def _check_references(graph: Graph) -> None:
    for name, step in graph.steps.items():
        for number, need in enumerate(step.needs):
            if need not in graph.steps:
                raise fault(f"steps.{name}.needs[{number}]", f"there is no step {need}; name one that there is")
        if step.goto is not None and step.goto not in graph.steps:
            raise fault(f"steps.{name}.on_error.goto", f"there is no step {step.goto}; name one that there is")


def _check_cycles(graph: Graph) -> None:
    try:
        _ = graph.order
    except CycleError as problem:
        ring = [str(name) for name in problem.args[1]]
        shown = " -> ".join(ring if len(ring) <= _LONGEST_RING else [*ring[:_LONGEST_RING], "..."])
        raise fault(
            f"steps.{ring[0]}", f"it waits for itself ({shown}); take one of these out of needs or goto"
        ) from None


def _check_variables(graph: Graph, name: str, step: Step) -> None:
    place = f"steps.{name}"
    if name in graph.conditions:
        _check_known(graph, name, f"{place}.when", graph.conditions[name].variables)
    if name in graph.lists:
        _check_known(graph, name, f"{place}.{'over' if isinstance(step, MapStep) else 'ids'}", [graph.lists[name]])
    if isinstance(step, TaskMasterStep):
        _check_known(graph, name, f"{place}.project", graph.texts[name].variables)
        _check_known(graph, name, f"{place}.tag", graph.tags[name].variables)
        return
    if isinstance(step, PlanStep):
        return
    own = [path for path in graph.texts[name].variables if not (isinstance(step, MapStep) and path[0] in _OF_ITEMS)]
    _check_known(graph, name, f"{place}.prompt", own)


def _check_known(graph: Graph, name: str, place: str, paths: Iterable[Path]) -> None:
    for path in paths:
        if (problem := _unknown(graph, name, path)) is not None:
            shown = ".".join(path)[:60]
            raise fault(place, f"{shown} is undefined, for {problem}")


def _unknown(graph: Graph, name: str, path: Path) -> str | None:
    match path:
        case ("inputs",):
            return None
        case ("inputs", field, *_):
            declared = graph.definition.inputs.get("properties", {})
            return None if field in declared else "inputs has no such property; add it there"
        case ("steps",):
            return "it leads to no step; write an id behind it, as in steps.a.output"
        case ("steps", other, *rest):
            return _unknown_of_step(graph, name, other, rest)
        case ("item" | "index", *_):
            return "only the prompt of a map has items; use inputs or steps"
    return "variables begin with inputs or steps; correct it"


def _unknown_of_step(graph: Graph, name: str, other: str, rest: list[str]) -> str | None:
    if other not in graph.steps:
        return f"there is no step {other[:40]}; name one that there is"
    if other not in graph.ancestors[name]:
        return f"{other} need not have ended then; add it to needs"
    if not rest or rest[0] not in _FIELDS:
        return f"a step has {', '.join(_FIELDS)}; name one of these behind its id"
    if rest[0] != "output" and len(rest) > 1:
        return f"the {rest[0]} of a step is a text; name nothing behind it"
    fields = _OUTPUT_FIELDS.get(type(graph.steps[other]))
    if fields and rest[0] == "output" and len(rest) > 1 and rest[1] not in fields:
        return f"the output of {other} has {', '.join(fields)}; name one of these"
    return None

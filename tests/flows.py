"""Random workflows that are valid, with what becomes of everything that they ask."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from interpreter import Condition, Fate, Flow

_NAMES = "abcdefgh"
_MOST_ITEMS = 4
_SCHEMA = {"type": "object", "required": ["n", "ok", "list"]}
_INPUTS = {"type": "object", "properties": {"word": {"type": "string"}, "many": {"type": "array"}}}
_OF_ANY = ("status", "output")
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "task": ("output.n", "output.ok", "output.list"),
    "map": ("output.items", "output.failed", "output.succeeded"),
    "approval": ("output.approved", "output.how"),
}
_STATUSES = ("completed", "failed", "skipped")
_FATES = st.builds(
    Fate, st.sampled_from([0, 0, 0, 0, 1, 2, 9]), st.sampled_from(["answered", "answered", "answered", "cancelled"])
)

Step = dict[str, Any]


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    names = _NAMES[: draw(st.sampled_from([1, 3, 5, 6, 7, len(_NAMES)]))]
    bare: list[Step] = [_bare(draw, name, names) for name in names]
    before = _before(bare)
    conditions: dict[str, Condition] = {}
    for step in bare:
        known = [other for other in bare if other["id"] in before[step["id"]]]
        paths = ["inputs.word", "inputs.many", *(path for other in known for path in _paths(other))]
        _fill(draw, step, known, paths)
        if known and draw(st.sampled_from([False, True])):
            conditions[step["id"]] = draw(_conditions(known))
            step["when"] = spelt(conditions[step["id"]])
    return Flow(
        raw={"inputs": _INPUTS, "steps": draw(st.permutations(bare))},
        conditions=conditions,
        inputs={"word": draw(st.sampled_from(["", "owls"])), "many": draw(st.lists(st.integers(0, 9), max_size=4))},
        fates={name: draw(st.lists(_FATES, min_size=_MOST_ITEMS, max_size=_MOST_ITEMS)) for name in names},
        decisions={name: draw(st.sampled_from(["approve", "approve", "reject", "late"])) for name in names},
    )


def _bare(draw: st.DrawFn, name: str, names: str) -> Step:
    """A step with what leads to it and from it: back to steps before it, on to steps behind it."""
    place = names.index(name)
    on_errors: list[Any] = ["fail", "continue", *({"goto": later} for later in names[place + 1 :])]
    needs = draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3)) if place else []
    return {
        "id": name,
        "kind": draw(st.sampled_from(["task", "task", "task", "map", "approval"])),
        "needs": needs,
        "on_error": draw(st.sampled_from(on_errors)),
    }


def _before(steps: list[Step]) -> dict[str, set[str]]:
    """All steps that have ended when a step begins, for each; the steps stand in such an order."""
    made: dict[str, set[str]] = {}
    for step in steps:
        direct = {other["id"] for other in steps if other["on_error"] == {"goto": step["id"]}} | set(step["needs"])
        made[step["id"]] = direct.union(*(made[name] for name in direct))
    return made


def _paths(step: Step) -> list[str]:
    return [f"steps.{step['id']}.{field}" for field in (*_OF_ANY, *_OF_KIND[step["kind"]]) if field != "output"] + (
        [f"steps.{step['id']}.output"] if step["kind"] == "task" else []
    )


def _fill(draw: st.DrawFn, step: Step, known: list[Step], paths: list[str]) -> None:
    is_map = step["kind"] == "map"
    parts = st.lists(st.sampled_from([*paths, "item", "index"] if is_map else paths), max_size=3)
    said = [f"{{{{ {path} }}}}" for path in draw(parts)]
    begin = draw(st.sampled_from([f"Do {step['id']}: ", "" if said else "{{ inputs.word }}"]))
    step["prompt"] = begin + " ".join(said)
    if step["kind"] == "approval":
        step["on_timeout"] = draw(st.sampled_from(["reject", "approve"]))
        step["timeout_seconds"] = 1000
        return
    step["retry"] = {"attempts": draw(st.integers(1, 3)), "backoff_seconds": 0}
    if draw(st.booleans()):
        step["response_schema"] = _SCHEMA
    if is_map:
        lists = [f"steps.{other['id']}.output.list" for other in known if other["kind"] == "task"]
        step["over"] = draw(st.sampled_from(["inputs.many", "inputs.many", *lists, "inputs.word"]))
        step["parallel"] = draw(st.integers(1, 3))
    else:
        step["timeout_seconds"] = 1000


def _conditions(known: list[Step]) -> st.SearchStrategy[Condition]:
    names = st.sampled_from([f"steps.{step['id']}" for step in known])
    fields = st.sampled_from(["error", "output", "output.ok", "output.approved", "output.list", "output.items"])
    numbers = st.sampled_from(["output.n", "output.failed", "output.succeeded"])
    leaves: st.SearchStrategy[Condition] = st.one_of(
        st.tuples(st.just("truth"), _paths_of(known, fields)),
        st.tuples(st.sampled_from(["==", "!="]), names.map(lambda name: f"{name}.status"), st.sampled_from(_STATUSES)),
        st.tuples(st.sampled_from(["==", "!=", "<", ">="]), _paths_of(known, numbers), st.integers(0, 3)),
    )
    return leaves | st.one_of(
        st.tuples(st.just("not"), leaves), st.tuples(st.sampled_from(["and", "or"]), leaves, leaves)
    )


def _paths_of(known: list[Step], fields: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Paths of these fields, where the step has such a field; else of its status."""

    def path(step: Step, field: str) -> str:
        has = field in {"error", "output"} or field in _OF_KIND[step["kind"]]
        return f"steps.{step['id']}.{field if has else 'status'}"

    return st.builds(path, st.sampled_from(known), fields)


def spelt(condition: Condition) -> str:
    """The condition as a definition has it."""
    match condition:
        case ("truth", path):
            return str(path)
        case ("not", inner):
            return f"not ({spelt(inner)})"
        case ("and" | "or" as word, one, other):
            return f"({spelt(one)}) {word} {spelt(other)}"
        case (sign, path, constant):
            return f"{path} {sign} {constant!r}"
    raise AssertionError(condition)

"""Random definitions that are valid, and what makes each of them invalid at a known place."""

from collections.abc import Callable
from random import Random
from typing import Any

from vel_tutor_mcp.models import Priority, TaskType

Raw = dict[str, Any]
Step = dict[str, Any]
Fault = Callable[[Random, Raw], str]
"""Makes a definition invalid; the place of the fault."""

_INPUTS = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "files": {"type": "array"}, "depth": {"type": "integer", "default": 3}},
}
_WORDS = ("Read", "{{ inputs.topic }}", "closely,", "at depth {{ inputs.depth }}:", "{{ '{{' }}", "é", "and\nanswer.")
_CONDITIONS = ("inputs.depth > 2", "inputs.topic contains 'owl' or not inputs.files", "(inputs.topic != null)")


def valid(chance: Random) -> Raw:
    """A definition with a step of each kind at least; each step refers to earlier ones only."""
    kinds = ["task", "map", "approval", *chance.choices(["task", "map", "approval"], k=chance.randrange(9))]
    chance.shuffle(kinds)
    steps: list[Step] = []
    for kind in kinds:
        steps.append(_step(chance, kind, steps))
    if chance.random() < 0.5:
        steps[0]["on_error"] = {"goto": steps[-1]["id"]}
    chance.shuffle(steps)
    return {"description": "Any", "template": chance.random() < 0.5, "inputs": _INPUTS, "steps": steps}


def _step(chance: Random, kind: str, earlier: list[Step]) -> Step:
    needs = chance.sample(earlier, k=min(len(earlier), chance.randrange(3)))
    words = [*chance.choices(_WORDS, k=4), *(f"{{{{ steps.{need['id']}.output }}}}" for need in needs)]
    step: Step = {
        "id": f"{chance.choice(['plan', 'Re-view', '_do'])}{len(earlier)}",
        "kind": kind,
        "needs": [need["id"] for need in needs],
        "prompt": " ".join(["Do this:", *words]),
        "on_error": chance.choice(["fail", "continue"]),
        "when": chance.choice([*_CONDITIONS, *(f"steps.{need['id']}.status == 'completed'" for need in needs)]),
        "timeout_seconds": chance.choice([1, 600, 7_776_000]),
    }
    if kind == "approval":
        return step | {"human": chance.random() < 0.5, "on_timeout": chance.choice(["reject", "approve"])}
    step |= {
        "agent": "default",
        "task_type": chance.choice([None, *TaskType]),
        "priority": chance.choice([*Priority]),
        "response_schema": chance.choice([None, {"type": "object"}]),
        "max_cost_usd": chance.choice([None, 0.5, 1_000_000]),
        "retry": {"attempts": chance.randint(1, 10), "backoff_seconds": chance.choice([0, 1.5, 3600])},
    }
    if kind == "map":
        step |= {"over": "inputs.files", "parallel": chance.randint(1, 20), "prompt": "Do {{ index }}: {{ item }}"}
    return step


def of_top(**fields: Any) -> Fault:
    def spoil(_: Random, raw: Raw) -> str:
        raw.update(fields)
        (place,) = fields
        return place

    return spoil


def of_step(kinds: str = "task map approval", place: str | None = None, **fields: Any) -> Fault:
    """A field that no step of these kinds may have."""

    def spoil(chance: Random, raw: Raw) -> str:
        step = _any(chance, raw, kinds)
        step.update(fields)
        return f"steps.{step['id']}.{place or next(iter(fields))}"

    return spoil


def _any(chance: Random, raw: Raw, kinds: str = "task map approval") -> Step:
    found: Step = chance.choice([step for step in raw["steps"] if step["kind"] in kinds.split()])
    return found


def _lacking(field: str, place: str | None = None) -> Fault:
    def spoil(chance: Random, raw: Raw) -> str:
        number = chance.randrange(len(raw["steps"]))
        step = raw["steps"][number]
        del step[field]
        return place.format(number) if place else f"steps.{step['id']}.{field}"

    return spoil


def _of_id(name: Any) -> Fault:
    def spoil(chance: Random, raw: Raw) -> str:
        number = chance.randrange(len(raw["steps"]))
        raw["steps"][number]["id"] = name
        return f"steps[{number}].id"

    return spoil


def _twice(_: Random, raw: Raw) -> str:
    raw["steps"].append(raw["steps"][0] | {"kind": "approval"})
    raw["steps"][-1] = {name: raw["steps"][-1][name] for name in ("id", "kind", "prompt")}
    return f"steps[{len(raw['steps']) - 1}].id"


def _too_many(_: Random, raw: Raw) -> str:
    raw["steps"] += [{"id": f"s{number}", "kind": "task", "prompt": "x"} for number in range(101)]
    return "steps"


def _no_step(_: Random, raw: Raw) -> str:
    raw["steps"].append("plan")
    return f"steps[{len(raw['steps']) - 1}]"


def _unknown_need(chance: Random, raw: Raw) -> str:
    step = _any(chance, raw)
    step["needs"].append("nobody")
    return f"steps.{step['id']}.needs[{len(step['needs']) - 1}]"


def _of_needs(place: str, need: Any) -> Fault:
    def spoil(chance: Random, raw: Raw) -> str:
        step = _any(chance, raw)
        step["needs"].insert(0, need)
        return f"steps.{step['id']}.{place}"

    return spoil


def _needs_itself(chance: Random, raw: Raw) -> str:
    step = _any(chance, raw)
    step["needs"].append(step["id"])
    return f"steps.{step['id']}"


def _round(chance: Random, raw: Raw) -> str:
    one, other = chance.sample(raw["steps"], k=2)
    one["needs"].append(other["id"])
    other["needs"].append(one["id"])
    return "steps."


def _back(chance: Random, raw: Raw) -> str:
    one, other = chance.sample(raw["steps"], k=2)
    one["needs"].append(other["id"])
    one["on_error"] = {"goto": other["id"]}
    return "steps."


def _of_itself(field: str, text: str) -> Fault:
    """It looks at its own step, which cannot have ended when it begins."""

    def spoil(chance: Random, raw: Raw) -> str:
        step = _any(chance, raw)
        step[field] = text.format(step["id"])
        return f"steps.{step['id']}.{field}"

    return spoil


def _of_a_need(kind: str, field: str, text: str) -> Fault:
    """A new step looks at a field that the output of a step of this kind never has."""

    def spoil(chance: Random, raw: Raw) -> str:
        need = _any(chance, raw, kind)["id"]
        raw["steps"].append({"id": "last", "kind": "task", "prompt": "x", "needs": [need]} | {field: text.format(need)})
        return f"steps.last.{field}"

    return spoil


def _nested(depth: int) -> Raw:
    made: Raw = {}
    for _ in range(depth):
        made = {"not": made}
    return made


FAULTS: tuple[Fault, ...] = (
    # the whole
    of_top(steps=[]),
    of_top(steps={"plan": {}}),
    of_top(steps=None),
    of_top(descriptions="x"),
    of_top(description="x" * 1001),
    of_top(template="true"),
    _too_many,
    _no_step,
    of_top(inputs="topic"),
    of_top(inputs={"properties": ["topic"]}),
    of_top(inputs={"type": "array", "properties": _INPUTS["properties"]}),
    of_top(inputs={"$ref": "https://example.org/schema"}),
    of_top(inputs=_nested(400)),
    # fields
    _lacking("kind"),
    _lacking("prompt"),
    _lacking("id", "steps[{}].id"),
    of_step(kind="errand"),
    of_step(kind=None),
    of_step(prompts="x"),
    of_step("task approval", over="inputs.files"),
    of_step("approval", agent="default"),
    of_step("approval", retry={"attempts": 2}),
    of_step("approval", human="yes"),
    of_step("approval", on_timeout="continue"),
    of_step("task map", human=True),
    # ids
    _twice,
    _of_id("a b"),
    _of_id("1st"),
    _of_id(""),
    _of_id(7),
    _of_id("x" * 41),
    # limits and types
    of_step(prompt=""),
    of_step(prompt="\n "),
    of_step(prompt=["x"]),
    of_step(prompt="x\0"),
    of_step(prompt="x" * 100_001),
    of_step("task map", agent="x" * 101),
    of_step("task map", agent="nobody"),
    of_step("task map", task_type="art"),
    of_step("task map", priority="urgent"),
    of_step("task map", max_cost_usd=-1),
    of_step("task map", max_cost_usd=1_000_001),
    of_step("task map", retry=2),
    of_step("task map", "retry.attempts", retry={"attempts": 11}),
    of_step("task map", "retry.attempts", retry={"attempts": "2"}),
    of_step("task map", "retry.backoff_seconds", retry={"backoff_seconds": -1}),
    of_step("task map", "retry.times", retry={"times": 2}),
    of_step("map", parallel=21),
    of_step("map", parallel=0),
    of_step(timeout_seconds=0),
    of_step(timeout_seconds=7_776_001),
    of_step(timeout_seconds="60"),
    of_step(on_error="retry"),
    of_step(place="on_error.goto", on_error={"goto": "nobody"}),
    of_step(place="on_error.then", on_error={"goto": "plan0", "then": "x"}),
    of_step("task map", response_schema={"type": "table"}),
    of_step("task map", response_schema={"pattern": "(?=x)"}),
    of_step("task map", response_schema=True),
    # what leads nowhere, or round
    _unknown_need,
    _of_needs("needs[0]", 3),
    _of_needs("needs[0]", "a.b"),
    of_step(needs="plan0"),
    _needs_itself,
    _round,
    _back,
    # texts and expressions
    of_step(prompt="{{ inputs.topic"),
    of_step(prompt="{{ inputs.topic | upper }}"),
    of_step(prompt="{{}}"),
    of_step(prompt="{{ topic }}"),
    of_step(prompt="{{ inputs.subject }}"),
    of_step(prompt="{{ steps.nobody.output }}"),
    _of_itself("prompt", "{{{{ steps.{}.output }}}}"),
    of_step("task approval", prompt="{{ item }}"),
    of_step(when="inputs.topic ="),
    of_step(when="inputs.topic.upper()"),
    of_step(when="__import__('os')"),
    of_step(when="inputs.topic matches '(?=x)'"),
    of_step(when=""),
    of_step(when="true"),
    of_step(when="1 > 2"),
    of_step(when=True),
    of_step(when="inputs.subject"),
    _of_itself("when", "steps.{}.status == 'failed'"),
    of_step("map", over="inputs.subject"),
    of_step("map", over="inputs.files[0]"),
    of_step("map", over=["a", "b"]),
    of_step("map", over="item"),
    _of_a_need("map", "prompt", "{{{{ steps.{}.output.results }}}}"),
    _of_a_need("approval", "when", "steps.{}.output.decision"),
    _of_a_need("task", "when", "steps.{}.answer"),
    _of_a_need("task", "prompt", "{{{{ steps.{}.error.code }}}}"),
)


def malformed(seed: int) -> tuple[Raw, Raw, str]:
    """A valid definition, the same with one fault, and the place of that. Each fault has its turn."""
    raw, spoilt = valid(Random(seed)), valid(Random(seed))
    return raw, spoilt, FAULTS[seed % len(FAULTS)](Random(seed), spoilt)

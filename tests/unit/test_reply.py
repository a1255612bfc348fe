"""What callers read fits into what a client takes, and says what to do without repeating what was sent."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mcp import Client
from mcp_types import CallToolResult, ResourceLink, TextContent
from samples import NOW, task

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.doors.reply import MAX_CHARACTERS, exit_code, listed, replied, task_replied
from vel_tutor_mcp.errors import (
    ConfigurationError,
    Conflict,
    InputError,
    NoAnswer,
    NoCandidate,
    NotFound,
    OAuthRefused,
    OverBudget,
    ProviderError,
    VelError,
)
from vel_tutor_mcp.models import (
    Attempt,
    Decision,
    Excluded,
    FailureKind,
    NanoUsd,
    Outcome,
    Page,
    Policy,
    Task,
    TaskError,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.news import TaskEvent
from vel_tutor_mcp.services.reports import Told, short_task
from vel_tutor_mcp.workflows.text import TooLong

EVENT = TaskEvent(kind="waiting", message="waiting 1.0 s before asking groq/small again", percent=20, at=NOW)
DECISION = Decision(
    task_type=TaskType.GENERAL,
    confidence=0.8,
    policy=Policy.BALANCED,
    candidates=(),
    excluded=tuple(Excluded(provider="p", model=f"m{n}", reason="it does not fit its window") for n in range(100)),
    reasons=("cheap enough",),
)
ATTEMPT = Attempt(
    id="a",
    task_id="t1",
    attempt_set=1,
    number=1,
    provider="groq",
    model="small",
    outcome=Outcome.COMPLETED,
    cost_nanousd=NanoUsd(1_500_000),
    started_at=NOW,
)


def answered(**fields: Any) -> Task:
    return task(**{"provider": "groq", "model": "small", "ended_at": NOW} | fields)


def answer(events: int = 0, attempts: int = 1, decision: Decision | None = None, **fields: Any) -> CallToolResult:
    told = Told(task=answered(**fields), attempts=[ATTEMPT] * attempts, decision=decision, history=[EVENT] * events)
    return task_replied(told)


def text_of(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def links_of(result: CallToolResult) -> list[tuple[str, str | None]]:
    return [(block.uri, block.mime_type) for block in result.content if isinstance(block, ResourceLink)]


def size(result: CallToolResult) -> int:
    """Characters of the structured data, as the wire carries them."""
    return len(json.dumps(result.structured_content, ensure_ascii=False))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"output": "Hello"}, "Hello\n\n[groq/small, $0.001500, 0.0 s, task t1]"),
        (
            {"status": TaskStatus.FAILED, "error": TaskError(code="no_answer", message="No model answered.")},
            "Failed: No model answered. [$0.001500, task t1]",
        ),
        ({"status": TaskStatus.CANCELLED}, "Cancelled [$0.001500, task t1]"),
        (
            {"status": TaskStatus.CANCELLED, "output": "Hel", "partial": True},
            "Hel\n\nCancelled; the text above is what had arrived [$0.001500, task t1]",
        ),
        (
            {"status": TaskStatus.PENDING},
            "pending: submitted. Follow it with task_get(id=t1, wait_seconds=50).",
        ),
        ({"output": '{"x": 1}', "response_schema": {}}, '{\n  "x": 1\n}\n\n[groq/small, $0.001500, 0.0 s, task t1]'),
    ],
)
def test_a_task_is_told_with_where_it_stands(fields: dict[str, Any], text: str) -> None:
    assert text_of(answer(**fields)) == text


def test_a_task_under_way_tells_its_last_news() -> None:
    assert text_of(answer(1, status=TaskStatus.IN_PROGRESS)).startswith(f"in_progress: {EVENT.message}. Follow")


def test_a_task_tells_what_it_waits_for_where_its_news_do_not() -> None:
    told = Told(task=answered(status=TaskStatus.PENDING), attempts=[], decision=None, history=[EVENT], waits="waiting")
    assert text_of(task_replied(told)).startswith("pending: waiting. Follow")


@pytest.mark.parametrize("length", [0, 11_999, 12_000])
def test_an_answer_that_fits_is_whole(length: int) -> None:
    result = answer(output="x" * length)
    assert result.structured_content is not None
    assert result.structured_content["output"] == "x" * length
    assert "x" * length in text_of(result)


@pytest.mark.parametrize("length", [12_001, 20_000, 1_000_000])
def test_a_longer_answer_is_cut_and_tells_where_the_whole_is(length: int) -> None:
    result = answer(output="x" * length)
    note = f"[cut: {length:,} characters in all; read the resource task://t1/output for the whole]"
    assert result.structured_content is not None
    assert result.structured_content["output"] == f"{'x' * 12_000}\n{note}"
    assert note in text_of(result)
    assert text_of(result).endswith("task t1]")


def test_a_long_answer_by_schema_is_cut_as_text() -> None:
    result = answer(output=json.dumps({"rows": ["row"] * 5000}), response_schema={"type": "object"})
    assert result.structured_content is not None
    assert "task://t1/output" in result.structured_content["output"]


outputs = st.none() | st.builds(lambda text, times: text * times, st.text(), st.integers(0, 4000))


@given(outputs, st.integers(0, 400), st.integers(0, 400), st.booleans(), st.sampled_from(TaskStatus))
@example(output="x" * 12_000, events=400, attempts=400, decided=True, status=TaskStatus.COMPLETED)
@example(output="ä" * 1_000_000, events=0, attempts=0, decided=False, status=TaskStatus.CANCELLED)
def test_a_task_fits_whatever_its_answer_and_history(
    output: str | None, events: int, attempts: int, decided: bool, status: TaskStatus
) -> None:
    result = answer(events, attempts, DECISION if decided else None, output=output, status=status)
    assert len(text_of(result)) <= MAX_CHARACTERS
    assert result.structured_content is not None
    if output is None or json.dumps(output[:12_000], ensure_ascii=False).count("\\") < 1000:
        assert size(result) <= MAX_CHARACTERS


@pytest.mark.parametrize("text", ['"' * 12_000, "\n" * 12_000, "\x00" * 12_000])
def test_a_task_fits_also_where_json_needs_escapes(text: str) -> None:
    assert size(answer(output=text)) <= MAX_CHARACTERS


def test_a_task_fits_whatever_its_error() -> None:
    error = TaskError(code="no_answer", message="x" * 30_000)
    assert size(answer(status=TaskStatus.FAILED, error=error)) <= MAX_CHARACTERS


def test_what_is_left_out_names_where_it_is_and_the_longest_goes_first() -> None:
    result = answer(400, 3, DECISION, output="Hello")
    assert result.structured_content is not None
    assert result.structured_content["history"] == "left out: read the resource task://t1"
    assert len(result.structured_content["attempts"]) == 3
    assert result.structured_content["decision"]["confidence"] == 0.8


def test_nothing_is_left_out_of_an_answer_in_another_script() -> None:
    result = answer(3, 3, output="я" * 4000)
    assert result.structured_content is not None
    assert len(result.structured_content["history"]) == 3


def listing(rows: list[Task], *, more: bool = False) -> CallToolResult:
    page = Page(tuple(rows), tuple(f"after-{number}" for number in range(len(rows))), more)
    return listed("tasks", page, short_task, lambda row: row.prompt[:80])


def test_a_list_is_told_a_line_a_row() -> None:
    result = listing([answered(prompt="one"), answered(prompt="two")])
    assert text_of(result) == "one\ntwo"
    assert result.structured_content == {
        "tasks": [short_task(answered(prompt="one")), short_task(answered(prompt="two"))],
        "next_cursor": None,
    }


def test_an_empty_list_says_so() -> None:
    assert text_of(listing([])) == "No tasks."


def test_a_list_with_more_names_the_cursor() -> None:
    result = listing([answered(prompt="one")], more=True)
    assert text_of(result) == "one\nThere are more: pass cursor=after-0"


@given(st.text(max_size=500), st.integers(1, 100), st.booleans())
@example(prompt="x" * 500, count=100, more=True)
@example(prompt="ä" * 500, count=100, more=False)
@example(prompt="\x00" * 500, count=100, more=True)
def test_a_list_of_a_hundred_rows_fits_and_goes_on_after_the_last_shown(prompt: str, count: int, more: bool) -> None:
    result = listing([answered(prompt=prompt)] * count, more=more)
    assert result.structured_content is not None
    shown = len(result.structured_content["tasks"])
    assert max(len(text_of(result)), size(result)) <= MAX_CHARACTERS
    assert result.structured_content["next_cursor"] == (f"after-{shown - 1}" if more or shown < count else None)


@pytest.mark.parametrize(
    ("result", "links"),
    [
        (answer(output="x" * 12_000), []),
        (answer(output="x" * 12_001), [("task://t1/output", "text/plain")]),
        (answer(events=500), [("task://t1", "application/json")]),
        (replied("x" * 30_000, {}, "agent://a1"), [("agent://a1", "application/json")]),
        (replied("", {"config": {"system_prompt": "x" * 30_000}}, "agent://a1"), [("agent://a1", "application/json")]),
        (replied("x", {}, "agent://a1"), []),
    ],
    ids=["whole answer", "long answer", "long history", "long text", "long data", "short"],
)
def test_a_link_to_the_whole_comes_along_where_something_is_cut(
    result: CallToolResult, links: list[tuple[str, str]]
) -> None:
    assert links_of(result) == links


def test_a_list_of_one_long_row_fits() -> None:
    page = Page(("x" * 100_000,), ("after-0",), more=False)
    result = listed("rows", page, lambda row: {"row": row}, lambda row: row[:80])
    assert size(result) <= MAX_CHARACTERS


def test_a_text_is_cut_to_what_fits() -> None:
    assert len(text_of(replied("x" * 30_000, {}))) == MAX_CHARACTERS


def test_data_is_cut_to_what_fits() -> None:
    assert size(replied("", {"config": {"system_prompt": "x" * 100_000}})) <= MAX_CHARACTERS


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError(), 64),
        (Conflict(), 64),
        (NotFound(), 66),
        (NoAnswer(), 69),
        (VelError(), 70),
        (ProviderError("refused", kind=FailureKind.TIMEOUT), 69),
        (OverBudget(), 77),
        (ConfigurationError(), 78),
        (NoCandidate(), 78),
    ],
)
def test_the_exit_code_of_an_error(error: VelError, code: int) -> None:
    assert exit_code(error) == code


def test_every_error_has_an_exit_code_and_a_sentence() -> None:
    kinds: list[type[VelError]] = [
        VelError,
        *VelError.__subclasses__(),
        *InputError.__subclasses__(),
        *ConfigurationError.__subclasses__(),
    ]
    for kind in set(kinds) - {OAuthRefused, ProviderError, TooLong}:  # these are never raised without a word
        assert exit_code(kind()) in range(64, 79)
        assert str(kind()).endswith(".")


async def refusal(tool: str, arguments: dict[str, Any]) -> str:
    async with Client(make_server(Desk())) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    return text_of(result)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "arguments", "place", "why"),
    [
        ("task_get", {}, "id", "field required"),
        ("task_get", {"id": 31415}, "id", "input should be a valid string"),
        ("task_get", {"id": "1", "wait_seconds": 31415}, "wait_seconds", "input should be less than or equal to 50"),
        ("task_get", {"id": "1", "wait_seconds": "31415x"}, "wait_seconds", "input should be a valid integer"),
        ("task_submit", {"prompt": ""}, "prompt", "string should have at least 1 character"),
        ("task_submit", {"prompt": "31415" * 30_000}, "prompt", "string should have at most 100000 characters"),
        ("task_submit", {"prompt": "x", "task_type": "31415"}, "task_type", "input should be 'reasoning'"),
        ("task_submit", {"prompt": "x", "max_cost_usd": -31415}, "max_cost_usd", "input should be greater than 0"),
        ("task_submit", {"prompt": "x", "parameters": [31415]}, "parameters", "input should be a valid dictionary"),
        ("task_rate", {"id": "1", "rating": 31415}, "rating", "input should be less than or equal to 5"),
        ("agent_create", {"name": "x", "config": {"policy": "31415"}}, "config.policy", "input should be 'balanced'"),
        ("agent_create", {"name": "x", "config": {"temperature": 31415}}, "config.temperature", "input should be less"),
        ("agent_create", {"name": "x", "config": {"providers": [31415]}}, "config.providers.0", "input should be a"),
    ],
)
async def test_a_bad_argument_is_named_and_not_repeated(
    tool: str, arguments: dict[str, Any], place: str, why: str
) -> None:
    said = await refusal(tool, arguments)
    assert said.startswith(f"Bad argument `{place}` of {tool}; {why}")
    assert said.endswith("; correct it and call again.")
    assert "31415" not in said


@pytest.mark.anyio
@pytest.mark.parametrize("config", [{"31415" * 10_000: 1}, {"model_preferences": {"31415" * 10_000: "m"}}])
async def test_a_bad_key_is_not_repeated_at_length(config: dict[str, Any]) -> None:
    assert len(await refusal("agent_create", {"name": "x", "config": config})) <= 1000


@pytest.mark.anyio
async def test_an_unknown_tool_is_named_with_where_to_look() -> None:
    assert await refusal("task_do", {}) == "Unknown tool: task_do; tools are listed by tools/list."

"""The daily work from the shell: each command is a process, and the answer alone is on stdout."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run, started
from server import alone, environment, one_sentence, serving, soon
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault

pytestmark = pytest.mark.anyio

NO_ANSWER, NOT_WRITTEN, TRY_AGAIN, CONFIGURATION, CANCELLED, INTERRUPTED = 69, 74, 75, 78, 79, 130


async def test_submit_prints_the_answer_alone_and_a_summary_beside_it(tmp_path: Path, providers: Providers) -> None:
    providers.groq.answer = lambda _: "Grüße, 世界\nand \x1b[31mred\x1b[0m"
    ended = await run(tmp_path, alone(providers.groq), "task", "submit", "Say hello")

    assert ended.code == 0
    assert ended.stdout == "Grüße, 世界\nand \x1b[31mred\x1b[0m\n"
    (summary,) = ended.stderr.splitlines()
    assert summary.startswith("[completed by groq/")


async def test_compare_prints_a_line_for_each_model_and_then_what_they_say(
    tmp_path: Path, providers: Providers
) -> None:
    providers.groq.answer = lambda body: f"I am {body['model']}"
    models = ("groq/openai/gpt-oss-20b", "groq/openai/gpt-oss-120b")
    command = ["compare", "Who are you?", *(word for model in models for word in ("--model", model))]
    ended = await run(tmp_path, alone(providers.groq), *command)

    assert ended.code == 0, ended.stderr
    *lines, _, _, _, _, _, _ = ended.stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert [row[0] for row in rows] == ["A", "B"]
    assert {row[1]: row[2] for row in rows} == dict.fromkeys(models, "completed")
    for label, model, *_ in rows:
        assert f"{label}  {model}\nI am {model.removeprefix('groq/')}\n" in ended.stdout
    assert ended.stderr.startswith("[completed, $0.")


async def test_a_prompt_is_read_from_a_pipe(tmp_path: Path, providers: Providers) -> None:
    ended = await run(
        tmp_path, alone(providers.groq), "task", "submit", "-", stdin=b"\xef\xbb\xbfSay gr\xc3\xbc\xc3\x9f"
    )

    assert ended.code == 0
    assert [request.prompt for request in providers.groq.requests] == ["Say grüß"]


async def test_everything_that_can_be_said_of_a_task_reaches_it(tmp_path: Path, providers: Providers) -> None:
    providers.groq.answer = lambda _: '{"name": "Ada"}'
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["name"]}', encoding="utf-8")
    options = [
        "--type",
        "extraction",
        "--priority",
        "high",
        "--max-cost",
        "0.5",
        "--parameters",
        '{"text": "I am Ada"}',
    ]
    command = ["task", "submit", "Who is it?", *options, "--schema", str(schema), "--idempotency-key", "k", "--json"]
    first = await run(tmp_path, alone(providers.groq), *command)
    again = await run(tmp_path, alone(providers.groq), *command)

    assert first.code == 0, first.stderr
    assert (first.json["task_type"], first.json["priority"]) == ("extraction", "high")
    assert first.json["output"] == {"name": "Ada"}
    assert again.json == first.json
    (request,) = providers.groq.requests
    assert "I am Ada" in request.prompt


async def test_json_is_what_the_tools_return(tmp_path: Path, providers: Providers) -> None:
    submitted = await run(tmp_path, alone(providers.groq), "task", "submit", "Say hello", "--json")
    got = await run(tmp_path, alone(providers.groq), "task", "get", submitted.json["id"], "--json")
    listed = await run(tmp_path, alone(providers.groq), "task", "list", "--json")
    async with serving(tmp_path, alone(providers.groq)) as server:
        told = await server.call("task_get", id=submitted.json["id"])
        others = await server.call("task_list")

    assert submitted.json == got.json == told
    assert listed.json == others


async def test_a_failed_task_ends_with_the_code_of_its_error(tmp_path: Path, providers: Providers) -> None:
    providers.groq.always = Fault(kind="status", status=500)
    submitted = await run(tmp_path, alone(providers.groq), "task", "submit", "Fail")
    listed = await run(tmp_path, alone(providers.groq), "task", "list", "--status", "failed", "--json")
    got = await run(tmp_path, alone(providers.groq), "task", "get", listed.json["tasks"][0]["id"])

    assert (submitted.code, submitted.stdout) == (NO_ANSWER, "")
    sentence, summary = submitted.stderr.splitlines()
    assert one_sentence(sentence), sentence
    assert summary.startswith("[failed, $")
    assert (got.code, got.stdout, got.stderr) == (submitted.code, "", submitted.stderr)


async def test_what_cannot_be_submitted_is_told_in_a_sentence(tmp_path: Path) -> None:
    ended = await run(tmp_path, {}, "task", "submit", "Say hello", "--json")

    assert (ended.code, ended.stdout) == (CONFIGURATION, "")
    assert one_sentence(ended.stderr.strip())
    assert "GROQ_API_KEY" in ended.stderr


async def test_the_list_is_tab_separated_in_a_pipe_and_goes_on_by_its_cursor(
    tmp_path: Path, providers: Providers
) -> None:
    for prompt in ("First\nof\tall", "Second"):
        await run(tmp_path, alone(providers.groq), "task", "submit", prompt)
    newest = await run(tmp_path, alone(providers.groq), "task", "list", "--limit", "1")
    cursor = newest.stderr.split()[-1]
    older = await run(tmp_path, alone(providers.groq), "task", "list", "--cursor", cursor)
    found = await run(tmp_path, alone(providers.groq), "task", "list", "--query", "no such text")

    assert [line.split("\t")[1:] for line in newest.stdout.splitlines()] == [["completed", "default", "Second"]]
    assert [line.split("\t")[1:] for line in older.stdout.splitlines()] == [["completed", "default", "First of all"]]
    assert older.stderr == ""
    assert (found.code, found.stdout, found.stderr) == (0, "", "No tasks.\n")


async def test_without_waiting_the_id_is_printed_and_whoever_comes_next_does_the_task(
    tmp_path: Path, providers: Providers
) -> None:
    submitted = await run(tmp_path, alone(providers.groq), "task", "submit", "Later", "--wait", "0")
    task_id = submitted.stdout.strip()
    looked = await run(tmp_path, alone(providers.groq), "task", "get", task_id, "--json")
    assert providers.groq.requests == []
    left = await run(tmp_path, {}, "task", "get", task_id, "--wait", "1.5")
    assert (left.code, left.stdout) == (TRY_AGAIN, "")
    assert left.stderr.startswith("vel-tutor-mcp: waiting for a server or worker that has a provider's key; where none")
    got = await run(tmp_path, alone(providers.groq), "task", "get", task_id, "--wait", "20")

    assert submitted.code == 0
    assert "server or worker" in submitted.stderr
    assert (looked.code, looked.json["status"]) == (TRY_AGAIN, "pending")
    assert got.code == 0
    assert "Later" in got.stdout
    assert len(providers.groq.requests) == 1


async def test_a_wait_that_is_too_short_prints_no_answer(tmp_path: Path, providers: Providers) -> None:
    providers.groq.latency = 60
    ended = await run(tmp_path, alone(providers.groq), "task", "submit", "Take long", "--wait", "0.3")

    assert (ended.code, ended.stdout) == (TRY_AGAIN, "")
    assert "task get" in ended.stderr


async def test_a_task_is_cancelled_from_another_process(tmp_path: Path, providers: Providers) -> None:
    groq = providers.groq
    groq.tokens_per_second, groq.answer = 50, lambda _: "word " * 5000
    async with started(tmp_path, alone(groq), "task", "submit", "Go on and on") as submitting:
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 5))
        (task,) = (await run(tmp_path, alone(groq), "task", "list", "--json")).json["tasks"]
        cancelled = await run(tmp_path, alone(groq), "task", "cancel", task["id"], "--json")
        submitted = await submitting.ended()
    again = await run(tmp_path, alone(groq), "task", "cancel", task["id"])

    assert groq.requests[0].closed_early
    assert (cancelled.code, cancelled.json["status"], cancelled.json["partial"]) == (0, "cancelled", True)
    assert submitted.code == CANCELLED
    assert submitted.stdout.startswith("word word word")
    assert again.code == 64
    assert "cancelled already" in again.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
async def test_ctrl_c_leaves_the_task_to_be_done_later(tmp_path: Path, providers: Providers) -> None:
    groq = providers.groq
    groq.latency = 60
    async with started(tmp_path, alone(groq), "task", "submit", "Carry on") as submitting:
        await soon(groq.until(lambda groq: groq.open == 1))
        submitting.interrupt()
        submitted = await submitting.ended()
    groq.latency = 0
    (task,) = (await run(tmp_path, alone(groq), "task", "list", "--json")).json["tasks"]
    got = await run(tmp_path, alone(groq), "task", "get", task["id"], "--wait", "20", "--json")

    assert (submitted.code, submitted.stdout) == (INTERRUPTED, "")
    assert f"vel-tutor-mcp task get {task['id']}" in submitted.stderr
    assert "Traceback" not in submitted.stderr
    assert got.json["status"] == "completed"
    assert [attempt["outcome"] for attempt in got.json["attempts"]] == ["cut", "completed"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
async def test_progress_is_one_line_of_the_terminal(tmp_path: Path, providers: Providers) -> None:
    # The first of two words is told of before the second comes.
    providers.groq.answer, providers.groq.tokens_per_second = lambda _: "Good morning", 0.5
    master, slave = os.openpty()
    shown = bytearray()
    asyncio.get_running_loop().add_reader(master, lambda: shown.extend(os.read(master, 65536)))
    try:
        command = ("task", "submit", "Say hello")
        async with started(tmp_path, alone(providers.groq) | {"TERM": "xterm"}, *command, stderr=slave) as submitting:
            ended = await submitting.ended()
    finally:
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)
        os.close(slave)

    told = shown.decode()
    assert "first token" in told
    assert "\x1b[1A\x1b[2K\x1b[" not in told.partition("100 %")[0]
    assert ended.stdout == "Good morning\n"


async def test_json_is_one_document_whatever_the_prompt(tmp_path: Path, providers: Providers) -> None:
    providers.groq.answer = lambda _: "☃ \u2028 \x00"
    values = alone(providers.groq) | {"PYTHONIOENCODING": "latin-1"}
    ended = await run(tmp_path, values, "task", "submit", "☃", "--json")
    plain = await run(tmp_path, values, "task", "get", ended.json["id"])

    assert ended.code == 0, ended.stderr
    assert ended.json["prompt"] == "☃"
    assert json.dumps(ended.json, indent=2) + "\n" == ended.stdout
    assert plain.code == 0
    assert plain.stdout.startswith("?")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_an_output_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vel_tutor_mcp", "task", "list", "--json"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment(tmp_path), check=False, timeout=60
        )

    assert ended.returncode == NOT_WRITTEN
    assert one_sentence(ended.stderr.strip()), ended.stderr

"""Stdout belongs to the protocol, at every log level and to the end; the server leaves at once and in good order."""

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import without
from server import Server, ServerGone, ToolRefused, alone, serving, soon
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault

pytestmark = pytest.mark.anyio

LEVELS = ("DEBUG", "CRITICAL")  # what says most and least
BAD_USAGE = 64  # of sysexits.h
# "At once", on a machine with other things to do: less than any call or task here would take.
LEAVING_SECONDS = 20
WAYS_OUT: dict[str, Callable[[Server], None]] = {"end of stdin": Server.close_stdin}
if sys.platform != "win32":
    WAYS_OUT["SIGTERM"] = Server.terminate
    WAYS_OUT["SIGINT"] = lambda server: server.signal(signal.SIGINT)

ways_out = pytest.mark.parametrize("leave", WAYS_OUT.values(), ids=WAYS_OUT)


@pytest.mark.parametrize("level", LEVELS)
async def test_nothing_but_messages_is_on_stdout(tmp_path: Path, providers: Providers, level: str) -> None:
    providers.openai.always = Fault(kind="status", status=401)
    providers.groq.tokens_per_second = 1  # for long enough to be cancelled
    async with serving(tmp_path, providers.environment() | {"VEL_TUTOR_LOG_LEVEL": level}, anew=True) as server:
        await server.call("agent_create", name="vain", config={"providers": ["openai"]})
        failed = await server.call("task_submit", prompt="Fail", agent="vain", wait_seconds=15)
        cancelled = await server.call("task_submit", prompt="Be cancelled", wait_seconds=0)
        await soon(providers.groq.until(lambda groq: groq.open == 1))
        await server.call("task_cancel", id=cancelled["id"])
        cancelled = await server.call("task_get", id=cancelled["id"], wait_seconds=15)
        providers.groq.tokens_per_second = 0
        completed = await server.call("task_submit", prompt="Succeed", wait_seconds=15)
        with pytest.raises(ToolRefused):
            await server.call("task_get", id="nonsense")
        server.close_stdin()
        assert await server.ended() == 0

    states = [task["status"] for task in (failed, cancelled, completed)]
    assert states == ["failed", "cancelled", "completed"]
    assert server.rubbish == []


@ways_out
async def test_the_server_leaves_at_once_and_its_tasks_complete_at_the_next_start(
    tmp_path: Path, providers: Providers, leave: Callable[[Server], None]
) -> None:
    providers.groq.answer = lambda _: "word " * 60
    providers.groq.tokens_per_second = 1
    async with serving(tmp_path, alone(providers.groq) | {"VEL_TUTOR_LOG_LEVEL": "DEBUG"}) as server:
        tasks = [await server.call("task_submit", prompt=f"Task {n}", wait_seconds=0) for n in range(3)]
        await soon(providers.groq.until(lambda groq: groq.open == 3))
        leave(server)
        assert await soon(server.ended(), LEAVING_SECONDS) == 0
    assert server.rubbish == []

    providers.groq.tokens_per_second = 0
    async with serving(tmp_path, alone(providers.groq)) as server:
        ended = [await server.call("task_get", id=task["id"], wait_seconds=15) for task in tasks]

    assert [task["status"] for task in ended] == ["completed"] * 3
    assert [[attempt["outcome"] for attempt in task["attempts"]] for task in ended] == [["cut", "completed"]] * 3
    assert "recovered" not in {event["kind"] for task in ended for event in task["history"]}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
async def test_tasks_that_were_just_beginning_are_not_counted_as_crashed(tmp_path: Path, providers: Providers) -> None:
    groq = providers.groq
    groq.tokens_per_second = 20
    async with serving(tmp_path, alone(groq)) as server:
        await server.call("task_list")
        for number in range(10):
            server.begin("task_submit", prompt=f"Task {number}", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open >= 1))
        server.terminate()
        assert await soon(server.ended(), LEAVING_SECONDS) == 0

    async with serving(tmp_path, alone(groq)) as server:
        tasks = (await server.call("task_list"))["tasks"]
        ended = [await server.call("task_get", id=task["id"], wait_seconds=15) for task in tasks]

    assert {task["status"] for task in ended} == {"completed"}
    assert "recovered" not in {event["kind"] for task in ended for event in task["history"]}


@ways_out
async def test_the_server_leaves_at_once_while_it_is_opening(tmp_path: Path, leave: Callable[[Server], None]) -> None:
    async with serving(tmp_path, {"VEL_TUTOR_LOG_LEVEL": "DEBUG"}, anew=True) as server:
        leave(server)
        assert await soon(server.ended(), LEAVING_SECONDS) == 0

    assert server.rubbish == []


@ways_out
async def test_a_waiting_call_does_not_hold_the_server_up(
    tmp_path: Path, providers: Providers, leave: Callable[[Server], None]
) -> None:
    providers.groq.latency = 60
    async with serving(tmp_path, alone(providers.groq) | {"VEL_TUTOR_LOG_LEVEL": "DEBUG"}) as server:
        _, answer = server.begin("task_submit", prompt="Wait", wait_seconds=50)
        await soon(providers.groq.until(lambda groq: groq.open == 1))
        leave(server)
        assert await soon(server.ended(), LEAVING_SECONDS) == 0

    assert server.rubbish == []
    (heard,) = await asyncio.gather(answer, return_exceptions=True)
    if isinstance(heard, dict) and "result" in heard:
        assert heard["result"]["structuredContent"]["status"] == "in_progress"
    else:  # the end of stdin ends the conversation before the server can answer
        assert isinstance(heard, ServerGone) or (isinstance(heard, dict) and "error" in heard)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the streams")
@pytest.mark.parametrize(
    ("closed", "arguments", "code", "stdout"),
    [
        ("2>&-", ("task", "submit", "Say hello"), 0, b"hello\n"),
        (">&-", ("task", "submit", "Say hello"), 0, b""),
        ("<&-", ("task", "submit", "-"), BAD_USAGE, b""),
        ("<&-", (), 0, b""),
    ],
)
async def test_a_stream_that_is_closed_is_one_that_nobody_reads_or_writes(
    tmp_path: Path, providers: Providers, closed: str, arguments: tuple[str, ...], code: int, stdout: bytes
) -> None:
    providers.groq.answer = lambda _: "hello"
    async with Server(tmp_path, alone(providers.groq), without(closed, *arguments)) as command:
        assert await command.ended() == code

    assert command.stdout == stdout
    assert b"Traceback" not in command.stderr

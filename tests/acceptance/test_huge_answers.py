"""A provider whose answer has no end: the task fails and says why, and the server stays small and goes on."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from planted import key
from server import Server, one_sentence, serving

resource = pytest.importorskip("resource", reason="only Linux lets one process limit another's memory")
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")]

ONCE = {"max_retries": 0, "fallback": False}
MEGABYTE = 1 << 20
# An answer is read up to 64 MiB, and is then held in pieces, whole, and as what is stored.
MOST_MORE = 400 * MEGABYTE
PIECE = "word " * (MEGABYTE // 5)
EVENT = f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{PIECE}"}}}}]}}\n\n'.encode()
# How each begins, and what then comes for ever.
ENDLESS = {
    "a stream of events": ("200 OK", "text/event-stream", b"", EVENT, "its answer has no end"),
    "a line of a stream": ("200 OK", "text/event-stream", b"data: ", PIECE.encode(), "an event without end"),
    "a whole answer": ("200 OK", "application/json", b'{"choices": "', PIECE.encode(), "its answer has no end"),
    "a refusal": ("500 Oops", "application/json", b'{"error": "', PIECE.encode(), "it answered 500"),
}


@asynccontextmanager
async def endless(status: str, kind: str, begins: bytes, goes_on: bytes) -> AsyncIterator[str]:
    """The base URL of a vendor all of whose answers are so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode() + begins)
            while True:
                writer.write(goes_on)
                await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def memory(server: Server, name: str) -> int:
    """Of the server's process, in bytes."""
    told = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"{name}:\s+(\d+) kB", told)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.parametrize("what", ENDLESS)
async def test_an_answer_without_end_fails_the_task_and_leaves_the_server_small(tmp_path: Path, what: str) -> None:
    *answer, why = ENDLESS[what]
    async with endless(*answer) as url:  # type: ignore[arg-type]  # four of five
        values = {"GROQ_API_KEY": key("gsk"), "GROQ_BASE_URL": url}
        async with serving(tmp_path, values) as server:
            agent = await server.call("agent_create", name="a", type="researcher", config=ONCE)
            before = memory(server, "VmRSS")
            task = await server.call("task_submit", prompt="Say hello", agent=agent["id"], wait_seconds=50)
            more = memory(server, "VmHWM") - before
            listed = await server.call("task_list")

    assert task["status"] == "failed", task
    assert one_sentence(task["error"]["message"])
    assert [why in attempt["error"] for attempt in task["attempts"]] == [True]
    assert more < MOST_MORE, f"{more / MEGABYTE:.0f} MiB"
    assert [row["id"] for row in listed["tasks"]] == [task["id"]]
    assert server.stderr == b""


@contextmanager
def little_memory(server: Server, more: int) -> Iterator[None]:
    """The server gets so many bytes more, and no others."""
    _, most = resource.prlimit(server.pid, resource.RLIMIT_AS)
    resource.prlimit(server.pid, resource.RLIMIT_AS, (memory(server, "VmSize") + more, most))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_AS, (most, most))


async def test_an_answer_that_finds_no_memory_fails_its_task_and_nothing_else(tmp_path: Path) -> None:
    *answer, _ = ENDLESS["a stream of events"]
    async with (
        endless(*answer) as url,  # type: ignore[arg-type]  # four of five
        serving(tmp_path, {"GROQ_API_KEY": key("gsk"), "GROQ_BASE_URL": url}) as server,
    ):
        agent = await server.call("agent_create", name="a", type="researcher", config=ONCE)
        with little_memory(server, 100 * MEGABYTE):
            task = await server.call("task_submit", prompt="Say hello", agent=agent["id"], wait_seconds=50)
        usage, proven = await server.call("usage_report", period="day"), await server.call("audit_verify")

    assert task["status"] == "failed", task
    assert "MemoryError" in task["error"]["message"]
    assert one_sentence(task["error"]["message"])
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["failed"]
    assert usage["cost_usd"] == task["cost_usd"] > 0  # what is not known is booked as it was set aside
    assert proven["ok"]

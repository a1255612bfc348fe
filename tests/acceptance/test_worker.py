"""The worker: a process without a door that finishes what servers leave."""

import sys
from pathlib import Path

import pytest
from processes import COMMAND, without
from server import Server, alone, one_sentence, serving, soon
from world import Providers

pytestmark = pytest.mark.anyio

WORKER = (*COMMAND, "worker")
NO_WORK = {"VEL_TUTOR_CONCURRENCY": "0"}
BAD_CONFIGURATION = 78


async def test_a_worker_finishes_the_task_of_a_server_that_left(tmp_path: Path, providers: Providers) -> None:
    groq = providers.groq
    groq.tokens_per_second = 1  # its server leaves before it is answered
    async with serving(tmp_path, alone(groq)) as server:
        task = await server.call("task_submit", prompt="Be inherited", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1))
    groq.tokens_per_second = 0

    async with Server(tmp_path, alone(groq), WORKER) as worker:
        async with serving(tmp_path, alone(groq) | NO_WORK) as server:
            task = await server.call("task_get", id=task["id"], wait_seconds=30)
        worker.terminate()
        assert await soon(worker.ended(), 15) == 0

    assert [attempt["outcome"] for attempt in task["attempts"]] == ["cut", "completed"]
    assert worker.stderr.decode().splitlines() == ["vel-tutor-mcp: the worker runs; Ctrl-C or SIGTERM stops it."]


async def test_a_worker_that_cannot_open_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with Server(tmp_path, {"VEL_TUTOR_HOME": str(tmp_path / "file" / "home")}, WORKER) as worker:
        assert await worker.ended() == BAD_CONFIGURATION

    (said,) = worker.stderr.decode().splitlines()
    assert one_sentence(said)
    assert "VEL_TUTOR_HOME" in said


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
async def test_a_worker_without_streams_works_and_ends_as_it_is_told(
    tmp_path: Path, providers: Providers, closed: str
) -> None:
    groq = providers.groq
    async with serving(tmp_path, alone(groq) | NO_WORK) as server:
        task = await server.call("task_submit", prompt="Be done", wait_seconds=0)
        async with Server(tmp_path, alone(groq), without(closed, "worker")) as worker:
            task = await server.call("task_get", id=task["id"], wait_seconds=30)
            worker.terminate()
            assert await soon(worker.ended(), 15) == 0

    assert task["status"] == "completed"
    assert not worker.stdout + worker.stderr

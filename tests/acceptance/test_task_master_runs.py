"""Runs of Task Master projects, by the real server and the real Task Master, on simulated providers.

One server and one project for all; each test has a tag of its own.
"""

import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from server import Server, ToolRefused, alone, serving, soon
from task_master import begun, command, connections, file_of, lock_left, new_project, until_ended
from waits import found, until

from vel_tutor_mcp.providers.simulated import Fault, SimulatedProvider

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

Told = dict[str, Any]

# Twelve tasks, of which the last waits for all.
NEEDS = dict(enumerate([[], [1], [1], [1], [2, 3], [4], [5], [5, 6], [], [9], [7, 8], [10, 11]], 1))
TAGS: dict[str, list[Told]] = {
    "twelve": [{"id": one, "title": f"Build part {one}", "dependencies": needs} for one, needs in NEEDS.items()],
    "parts": [
        {"id": 1, "title": "The whole", "subtasks": [{"id": 1, "title": "Half"}, {"id": 2, "dependencies": [1]}]},
        {"id": 2, "title": "What builds on it", "dependencies": [1]},
        {"id": 3},
    ],
    "judged": [{"id": 1, "title": "Fine"}, {"id": 2, "title": "Poor"}],
    "cut": [{"id": 1}, {"id": 2, "dependencies": [1]}],
    "failing": [{"id": 1}, {"id": 2, "dependencies": [1]}],
    "stopped": [{"id": 1}, {"id": 2, "dependencies": [1]}],
    "locked": [{"id": 1}],
    "folder": [{"id": 1}, {"id": 2, "dependencies": [1]}],
    "file": [{"id": 1}, {"id": 2, "dependencies": [1]}],
    "first": [{"id": 1}, {"id": 2, "dependencies": [1]}],
    "theirs": [{"id": 1, "metadata": {"kept": 1}}],
    "poor": [{"id": number} for number in range(1, 8)],
    "among": [{"id": 1, "title": "Write a Python function that adds two numbers"}],
}


def answer(body: Told) -> str:
    """Says which task it was asked to do; as a reviewer it dislikes what is poor."""
    prompt = body["messages"][-1]["content"]
    if prompt.startswith("Judge"):
        return json.dumps({"approved": "Poor" not in prompt, "why": "It is poor."})
    return f"<{prompt.partition('project: ')[2].partition(chr(10))[0] or prompt[:40]}>"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def groq() -> AsyncIterator[SimulatedProvider]:
    async with SimulatedProvider("groq", answer=answer) as provider:
        yield provider


@pytest.fixture(autouse=True)
def as_new(groq: SimulatedProvider) -> None:
    groq.reset()
    groq.latency = 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def root(folder: Path) -> Path:
    return new_project(folder / "project", **TAGS)


@pytest.fixture(scope="module")
async def server(folder: Path, groq: SimulatedProvider) -> AsyncIterator[Server]:
    variables = alone(groq) | {"VEL_TUTOR_TASK_MASTER_COMMAND": command(folder)}
    async with serving(folder, variables) as server:
        yield server
    assert connections(folder) <= {"127.0.0.1:9"}


def items(root: Path, tag: str) -> dict[str, Told]:
    found: dict[str, Told] = {}
    for task in json.loads(file_of(root).read_text())[tag]["tasks"]:
        found[str(task["id"])] = task
        found |= {f"{task['id']}.{part['id']}": part for part in task["subtasks"]}
    return found


def statuses(root: Path, tag: str) -> dict[str, str]:
    return {item_id: item["status"] for item_id, item in items(root, tag).items()}


def others(root: Path, tag: str) -> Told:
    return {name: value for name, value in json.loads(file_of(root).read_text()).items() if name != tag}


@contextmanager
def watched(root: Path) -> Iterator[list[bytes]]:
    """Each content that the file has meanwhile, as far as a thread that looks all the time can see."""
    seen: list[bytes] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            content = file_of(root).read_bytes()
            if not seen or content != seen[-1]:
                seen.append(content)

    thread = threading.Thread(target=look)
    thread.start()
    yield seen
    over.set()
    thread.join()


async def test_twelve_tasks_are_done_in_the_order_of_their_dependencies(
    server: Server, root: Path, groq: SimulatedProvider
) -> None:
    before = others(root, "twelve")
    with watched(root) as seen:
        run_id = await begun(server, root, tag="twelve", all_ready=True)
        told = await until_ended(server, run_id)

    assert (told["status"], told["output"]["done"], told["output"]["left"]) == ("completed", 12, [])
    assert set(statuses(root, "twelve").values()) == {"done"}
    assert others(root, "twelve") == before
    for content in seen:  # whole at every moment, and nothing begun before what it waits for was done
        now = {int(task["id"]): task["status"] for task in json.loads(content)["twelve"]["tasks"]}
        assert all(now[need] == "done" for one in now if now[one] != "pending" for need in NEEDS[one])
    last = next(row.prompt for row in groq.requests if "project: Build part 12\n" in row.prompt)
    assert ("<Build part 10>" in last, "<Build part 11>" in last, "<Build part 9>" in last) == (True, True, False)
    task = await server.call("task_get", id=told["output"]["items"][0]["task"])
    vel = items(root, "twelve")["1"]["metadata"]["vel"]
    assert (vel["run_id"], vel["task_id"], vel["model"]) == (run_id, task["id"], task["model"])
    assert (vel["output"], float(vel["cost_usd"])) == ("<Build part 1>", task["cost_usd"])
    entries = (await server.call("audit_search", subject=f"run:{run_id}", limit=100))["entries"]
    noted = Counter((entry["action"], entry["payload"].get("item")) for entry in entries)
    for item_id in map(str, NEEDS):
        assert noted["taskmaster_claimed", item_id] == noted["taskmaster_written", item_id] == 1


async def test_a_task_is_done_with_its_subtasks_whose_results_go_to_what_builds_on_it(
    server: Server, root: Path, groq: SimulatedProvider
) -> None:
    told = await until_ended(server, await begun(server, root, tag="parts", ids=["2", "1"]))

    assert [row["id"] for row in told["output"]["items"]] == ["1.1", "1.2", "2"]
    assert statuses(root, "parts") == {"1": "done", "1.1": "done", "1.2": "done", "2": "done", "3": "pending"}
    half, other, whole = (row.prompt for row in groq.requests)
    assert half.startswith("Do this task of a project: Half\n\nIt is a part of the task 1: The whole\n")
    assert ("## 1.1: Half\n\n<Half>" in other, "## 1.2: Do it\n\n<Do it>" in whole) == (True, True)


async def test_a_reviewer_decides_what_is_done_and_what_a_person_looks_at(server: Server, root: Path) -> None:
    await server.call("agent_create", name="critic")
    told = await until_ended(server, await begun(server, root, tag="judged", all_ready=True, review_agent="critic"))

    assert statuses(root, "judged") == {"1": "done", "2": "review"}
    fine, poor = told["output"]["items"]
    assert (fine["error"], poor["error"]["message"]) == (None, "The reviewer: It is poor.")
    assert items(root, "judged")["2"]["metadata"]["vel"]["output"] == "<Poor>"
    reviewed = await server.call("task_get", id=poor["review_task"])
    assert (reviewed["agent"], reviewed["output"]) == ("critic", {"approved": False, "why": "It is poor."})


async def test_an_answer_that_was_cut_is_for_a_person(server: Server, root: Path, groq: SimulatedProvider) -> None:
    groq.always = Fault(kind="finish", code="length", after_chunks=1)
    told = await until_ended(server, await begun(server, root, tag="cut", all_ready=True))

    assert statuses(root, "cut") == {"1": "review", "2": "pending"}
    assert [row["error"]["code"] for row in told["output"]["items"]] == ["cut"]


async def test_what_failed_stays_to_do_and_a_retry_goes_on(server: Server, root: Path, groq: SimulatedProvider) -> None:
    groq.always = Fault(kind="status", status=400)
    run_id = await begun(server, root, tag="failing", all_ready=True)
    failed = await until_ended(server, run_id)
    after_failure = items(root, "failing")
    groq.always = None
    await server.call("workflow_retry", run=run_id)
    told = await until_ended(server, run_id)

    assert (failed["status"], failed["steps"][0]["output"]["left"]) == ("failed", ["2"])
    assert failed["error"]["message"].startswith("Step tasks: None of 1 items succeeded; the first says: No model")
    assert [item["status"] for item in after_failure.values()] == ["pending", "pending"]
    assert "refused the request" in after_failure["1"]["metadata"]["vel"]["error"]
    assert (told["status"], statuses(root, "failing")) == ("completed", {"1": "done", "2": "done"})
    assert "error" not in items(root, "failing")["1"]["metadata"]["vel"]


async def retried(server: Server, run_id: str) -> Told | None:
    """The run, once all of it has stopped."""
    try:
        return await server.call("workflow_retry", run=run_id)
    except ToolRefused as refused:
        if "is still stopping" in str(refused):
            return None
        raise


async def test_a_retry_stays_with_the_tag_that_was_the_current_one(
    server: Server, root: Path, groq: SimulatedProvider
) -> None:
    step = {"id": "go", "kind": "taskmaster", "project": str(root), "all_ready": True}
    await server.call("workflow_save", name="current", definition={"inputs": {"type": "object"}, "steps": [step]})
    current, before = root / ".taskmaster" / "state.json", others(root, "first")
    current.write_text('{"currentTag": "first"}')
    run = await server.call("workflow_run", workflow="current", wait_seconds=0)
    await soon(groq.until(lambda groq: len(groq.requests) == 1), 60)
    groq.faults = [Fault(kind="stall")]
    await soon(groq.until(lambda groq: len(groq.requests) == 2), 60)
    await server.call("task_cancel", id=run["id"])
    await given_back(root, "first")
    current.write_text('{"currentTag": "twelve"}')
    await found(lambda: retried(server, run["id"]))
    told = await until_ended(server, run["id"])

    assert (told["status"], statuses(root, "first")) == ("completed", {"1": "done", "2": "done"})
    assert others(root, "first") == before


async def test_once_the_budget_is_spent_nothing_more_is_begun(server: Server, root: Path) -> None:
    told = await until_ended(server, await begun(server, root, tag="poor", all_ready=True, max_cost_usd=1e-9))

    assert told["status"] == "failed"
    output = told["steps"][0]["output"]
    assert {row["error"]["code"] for row in output["items"]} == {"no_candidate"}  # none is so cheap
    assert (output["failed"], output["left"]) == (5, ["6", "7"])
    assert set(statuses(root, "poor").values()) == {"pending"}


async def given_back(root: Path, tag: str) -> None:
    await until(lambda: "in-progress" not in statuses(root, tag).values())


async def test_a_run_that_is_cancelled_gives_back_what_it_has_claimed(
    server: Server, root: Path, groq: SimulatedProvider
) -> None:
    groq.faults = [Fault(kind="stall")]
    run_id = await begun(server, root, tag="stopped", all_ready=True)
    await soon(groq.until(lambda groq: groq.open == 1), 60)
    claimed = statuses(root, "stopped")
    await server.call("task_cancel", id=run_id)
    await given_back(root, "stopped")

    assert claimed == {"1": "in-progress", "2": "pending"}
    assert items(root, "stopped")["1"]["metadata"]["vel"]["error"] == "The run ended before it was done."
    with pytest.raises(Exception, match="is cancelled already"):
        await server.call("task_cancel", id=run_id)


async def in_vain(server: Server, since: int) -> None:
    """Once the server has told that it could not get at the project and tries again."""
    await until(lambda: b"try 1;" in server.stderr[since:])


async def test_what_cannot_be_given_back_for_a_lock_that_another_left_is_given_back_later(
    server: Server, root: Path, groq: SimulatedProvider
) -> None:
    groq.faults, since = [Fault(kind="stall")], len(server.stderr)
    run_id = await begun(server, root, tag="locked")
    await soon(groq.until(lambda groq: groq.open == 1), 60)
    lock = lock_left(root, seconds_ago=-60)
    await server.call("task_cancel", id=run_id)
    await in_vain(server, since)
    claimed = statuses(root, "locked")
    lock.unlink()
    await given_back(root, "locked")

    assert (claimed, statuses(root, "locked")) == ({"1": "in-progress"}, {"1": "pending"})


@pytest.mark.parametrize(("tag", "away"), [("folder", "."), ("file", ".taskmaster/tasks/tasks.json")])
async def test_a_project_that_is_away_for_a_moment_is_gone_on_with(
    server: Server, root: Path, folder: Path, groq: SimulatedProvider, tag: str, away: str
) -> None:
    groq.latency, since = 1.0, len(server.stderr)
    run_id = await begun(server, root, tag=tag, all_ready=True)
    await soon(groq.until(lambda groq: groq.open == 1), 60)
    (root / away).rename(folder / "away")
    await in_vain(server, since)
    (folder / "away").rename(root / away)
    told = await until_ended(server, run_id)

    assert (told["status"], statuses(root, tag)) == ("completed", {"1": "done", "2": "done"})


async def test_what_a_person_changed_meanwhile_stays_as_they_have_it(
    server: Server, root: Path, groq: SimulatedProvider
) -> None:
    groq.latency = 1.0
    run_id = await begun(server, root, tag="theirs")
    await soon(groq.until(lambda groq: groq.open == 1), 60)
    whole = json.loads(file_of(root).read_text())
    whole["theirs"]["tasks"][0]["status"] = "deferred"
    file_of(root).write_text(json.dumps(whole))
    told = await until_ended(server, run_id)

    assert (told["status"], statuses(root, "theirs")) == ("failed", {"1": "deferred"})
    assert "somebody changed it meanwhile" in told["error"]["message"]
    (row,) = told["steps"][0]["output"]["items"]
    assert (await server.call("task_get", id=row["task"]))["output"] == "<Do it>"


async def test_a_workflow_of_ones_own_has_the_step_among_others(server: Server, root: Path) -> None:
    await server.call("agent_create", name="coder")
    work = {"project": "{{ inputs.where }}", "tag": "among", "agents": {"code_generation": "coder"}}
    step = {"id": "go", "kind": "taskmaster", "needs": ["plan"]} | work
    definition = {
        "inputs": {"type": "object", "properties": {"where": {"type": "string"}}},
        "steps": [
            {"id": "plan", "kind": "task", "prompt": "Plan"},
            step,
            {"id": "tell", "kind": "task", "needs": ["go"], "prompt": "{{ steps.go.output.done }} done"},
        ],
    }
    await server.call("workflow_save", name="own", definition=definition)
    run = await server.call("workflow_run", workflow="own", inputs={"where": str(root)}, wait_seconds=0)
    told = await until_ended(server, run["id"])

    assert (told["status"], told["output"], statuses(root, "among")) == ("completed", "<1 done>", {"1": "done"})
    assert told["steps"][1]["items"] == {"1": "done"}
    assert items(root, "among")["1"]["metadata"]["vel"]["agent"] == "coder"

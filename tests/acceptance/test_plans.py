"""Plans of the real Task Master, whose models are asked through our router: what comes of them, and what does not."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from server import Server, alone, serving, soon
from task_master import command, connections, file_of, new_project
from waits import found
from world import Providers, settings_for, simulated_providers, start_afresh, without_settings

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.doors.gateway import loopback
from vel_tutor_mcp.errors import Conflict
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.services.plan_tasks import Ask
from vel_tutor_mcp.services.planner import Gateway
from vel_tutor_mcp.services.reports import Told
from vel_tutor_mcp.services.run_reports import ToldRun
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.taskmaster import keeping, project
from vel_tutor_mcp.taskmaster.wishes import Wishes
from vel_tutor_mcp.workflows.model import Run

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

MADE_SECONDS = 120
OTHERS = '{"tasks": [{"id": 1, "title": "Theirs",   "velCustom": 1.50}], "metadata": {}}'
HELLO = {"model": "auto", "messages": [{"role": "user", "content": "Say hello"}]}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[Providers]:
    async with simulated_providers() as providers:
        yield providers


@pytest.fixture(scope="module")
def settings(folder: Path, models: Providers) -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        without_settings(patch)
        return settings_for(models, folder / "home", task_master_command=command(folder), drain_seconds=0)


@pytest.fixture(scope="module")
def addresses() -> list[str]:
    """Of the gateways that there were."""
    return []


@pytest.fixture(scope="module")
async def product(settings: Settings, addresses: list[str]) -> AsyncIterator[App]:
    async with open_app(settings) as app:
        app.make_plans(noting(addresses))
        yield app


@pytest.fixture
def app(product: App, models: Providers) -> App:
    start_afresh(product, models)
    return product


def noting(addresses: list[str]) -> Gateway:
    @asynccontextmanager
    async def serving(ask: Ask) -> AsyncIterator[str]:
        async with loopback.serving(ask) as address:
            addresses.append(address)
            yield address

    return serving


def environments(folder: Path) -> str:
    """Of the Task Masters that were started with the watch of this folder."""
    found = subprocess.run(["pgrep", "-f", f"node --import {folder}/watch.mjs"], capture_output=True, check=True)
    return "".join(Path(f"/proc/{int(line)}/environ").read_text() for line in found.stdout.split())


def observatory(root: Path, prd: str = "Twelve things, each behind the one before.") -> Path:
    """A project with another tag, written by hand, and a PRD."""
    new_project(root)
    file_of(root).write_text(f'{{"other": {OTHERS}}}')
    (root / "prd.txt").write_text(prd)
    return root


def answer(wanted: dict[str, Any]) -> str:
    """What a model gives that does as the schema says."""
    names = wanted["response_format"]["json_schema"]["schema"]["properties"]
    if "tasks" in names:
        return json.dumps({"tasks": [task(number) for number in range(1, 13)], "metadata": None})
    if "subtasks" in names:
        return json.dumps({"subtasks": [subtask(number) for number in range(1, 4)]})
    return json.dumps({"complexityAnalysis": [analysis(number) for number in range(1, 13)]})


def task(number: int, **other: Any) -> dict[str, Any]:
    texts = {"title": f"Thing {number}", "description": "One", "details": "Build it", "testStrategy": "Look"}
    after = [number - 1] if number > 1 else []
    return {"id": number, **texts, "priority": "high", "dependencies": after, "status": "done", **other}


def unsound(_: Any) -> str:
    return json.dumps({"subtasks": [subtask(1), subtask(2) | {"dependencies": [99]}]})


def subtask(number: int) -> dict[str, Any]:
    texts = {"title": f"Part {number}", "description": "A part of it", "details": "Build this part of the thing"}
    after = [number - 1] if number > 1 else []
    return {"id": number, **texts, "testStrategy": None, "dependencies": after, "status": "done"}


def analysis(number: int) -> dict[str, Any]:
    words = {"taskTitle": f"Thing {number}", "expansionPrompt": "Split it", "reasoning": "It is large"}
    return {"taskId": number, "complexityScore": 7, "recommendedSubtasks": 3, **words}


async def planned(app: App, root: Path, action: Any, **wanted: Any) -> ToldRun:
    return await followed(app, await app.plans.start(app.local_principal, str(root), action, **wanted))


async def followed(app: App, run: Run) -> ToldRun:
    async with asyncio.timeout(MADE_SECONDS):
        while not (told := await app.runs.follow(app.local_principal, run.id, 50)).status.ended:
            pass
    return told


async def retried(app: App, run_id: str) -> Run | None:
    """None while it still ends."""
    try:
        return await app.runs.retry(app.local_principal, run_id)
    except Conflict:
        return None


async def ended(server: Server, tool: str, thing_id: str) -> dict[str, Any]:
    async with asyncio.timeout(MADE_SECONDS):
        while (told := await server.call(tool, id=thing_id, wait_seconds=20))["status"] == "in_progress":
            pass
    return told


async def anyone_is_asked(models: Providers) -> None:
    """Which of them depends on what was learned from the tests before."""
    begun = [asyncio.create_task(one.until(lambda one: bool(one.requests))) for one in (models.openai, models.groq)]
    _, waiting = await asyncio.wait(begun, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    for other in waiting:
        other.cancel()
    assert len(waiting) < len(begun)


async def asked(app: App, told: ToldRun) -> Told:
    """The task that was the plan's first question."""
    task_id = told.tasks["plan"].first
    assert task_id
    return await app.tasks.tell(app.local_principal, task_id)


async def test_a_prd_becomes_tasks_one_of_them_is_expanded_all_are_analysed_and_done(
    app: App, models: Providers, folder: Path, addresses: list[str]
) -> None:
    root, seen = observatory(folder / "observatory"), list[str]()
    config = (root / ".taskmaster" / "config.json").read_bytes()

    def answer_and_look(wanted: dict[str, Any]) -> str:
        seen.append(environments(folder))
        return answer(wanted)

    models.openai.answer = models.groq.answer = answer_and_look
    parsed = await planned(app, root, "parse_prd", target="prd.txt", count=12, tag="sky")
    models.openai.faults, models.groq.faults = [Fault(kind="bad_schema")], [Fault(kind="bad_schema")]
    expanded = await planned(app, root, "expand", target="3", count=3, tag="sky")
    start_afresh(app, models)
    models.openai.answer = models.groq.answer = answer
    analysed = await planned(app, root, "analyze", tag="sky")

    assert [told.status for told in (parsed, expanded, analysed)] == [TaskStatus.COMPLETED] * 3
    tag = project.at(str(root)).tags()["sky"]
    assert parsed.steps[0].output["made"] == [str(number) for number in range(1, 13)]
    assert [tag.items[str(number)].dependencies for number in (1, 2, 12)] == [(), ("1",), ("11",)]
    assert {item.status for item in tag.items.values()} == {"pending"}  # whatever the model said
    assert tag.items["3"].subtasks == tuple(expanded.steps[0].output["made"]) == ("3.1", "3.2", "3.3")
    outcomes = [attempt.outcome.value for attempt in (await asked(app, expanded)).attempts]
    assert outcomes == ["failed", "completed"]  # and corrected
    report = json.loads((root / analysed.steps[0].output["report"]).read_bytes())
    assert len(report["complexityAnalysis"]) == analysed.steps[0].output["analysed"] == 12

    assert (root / expanded.steps[0].output["backup"]).is_file()
    assert OTHERS in file_of(root).read_text()  # to the letter, before Task Master itself writes
    models.openai.answer = models.groq.answer = lambda _: "What came of it. " * 150
    wishes = Wishes(tag="sky", all_ready=True)
    done = (await followed(app, await app.projects.start(app.local_principal, str(root), wishes))).steps[0].output
    order = ["1", "2", "3.1", "3.2", "3.3", *map(str, range(4, 13))]
    assert [(row["id"], row["status"]) for row in done["items"]] == [(item_id, "done") for item_id in order]
    sky = project.at(str(root)).tags()["sky"].items
    assert {item.status for item in sky.values()} == {"done"}
    kept = [root / str(sky[item_id].metadata["vel"]["output_file"]) for item_id in order]
    assert {path.read_text() for path in kept} == {"What came of it. " * 150}

    assert json.loads(file_of(root).read_text())["other"] == json.loads(OTHERS)
    assert (root / ".taskmaster" / "config.json").read_bytes() == config
    assert seen
    assert not [name for name in ("_KEY=", "_TOKEN=", "_SECRET=") if name in "".join(seen)]
    assert {place.partition(":")[0] for place in connections(folder)} == {"127.0.0.1"}
    async with httpx2.AsyncClient() as client:
        for address in addresses:
            with pytest.raises(httpx2.ConnectError):
                await client.post(f"{address}/chat/completions", json=HELLO)


async def test_what_is_not_sound_is_not_taken(app: App, models: Providers, folder: Path) -> None:
    root = new_project(folder / "unsound", sky=[{"id": 1}])
    before = file_of(root).read_bytes()
    models.openai.answer = models.groq.answer = unsound
    told = await planned(app, root, "expand", target="1", tag="sky")

    assert told.run.error is not None
    assert "1.2 depends on 99, which does not exist; the project is as it was" in told.run.error.message
    assert file_of(root).read_bytes() == before


async def test_a_plan_that_nobody_answers_fails_and_when_it_is_tried_again_can_be_cancelled(
    app: App, models: Providers, folder: Path
) -> None:
    root = observatory(folder / "unanswered")
    before = file_of(root).read_bytes()
    models.openai.always = models.groq.always = Fault(kind="status", status=401)
    told = await planned(app, root, "parse_prd", target="prd.txt", tag="sky")
    failure = (await asked(app, told)).task.error
    start_afresh(app, models)
    models.openai.latency = models.groq.latency = 60
    again = await app.runs.retry(app.local_principal, told.run.id)
    await anyone_is_asked(models)
    cancelled = await app.runs.cancel(app.local_principal, again.id)
    (newest,) = (await app.tasks.list(app.local_principal, limit=1)).rows
    stopped = await app.tasks.follow(app.local_principal, newest.id, 30)

    assert (told.status, told.steps[0].error) == (TaskStatus.FAILED, failure)
    assert (cancelled.status, stopped.status) == (TaskStatus.CANCELLED, TaskStatus.CANCELLED)
    assert file_of(root).read_bytes() == before


async def test_a_plan_that_is_tried_again_at_once_is_made_whatever_its_last_try_still_does(
    app: App, models: Providers, folder: Path
) -> None:
    root = new_project(folder / "impatient", sky=[{"id": 1}])
    models.openai.latency = models.groq.latency = 60
    run = await app.plans.start(app.local_principal, str(root), "expand", target="1", count=3, tag="sky")
    await anyone_is_asked(models)
    await app.runs.cancel(app.local_principal, run.id)
    start_afresh(app, models)
    models.openai.answer = models.groq.answer = unsound
    await found(lambda: retried(app, run.id))
    failed = await followed(app, run)  # the cancelled one has not ended it in words of its own
    models.openai.answer = models.groq.answer = answer
    await app.runs.retry(app.local_principal, run.id)
    told = await followed(app, run)

    assert failed.run.error is not None
    assert "1.2 depends on 99" in failed.run.error.message
    assert (told.status, told.steps[0].output["made"]) == (TaskStatus.COMPLETED, ["1.1", "1.2", "1.3"])


async def test_a_plan_whose_server_is_killed_is_made_by_the_next_one(
    models: Providers, folder: Path, tmp_path: Path
) -> None:
    root = observatory(folder / "killed", prd="A thing whose server is killed.")
    before, groq = file_of(root).read_bytes(), models.groq
    values = alone(groq) | {"VEL_TUTOR_TASK_MASTER_COMMAND": command(folder)}
    wanted = {"project": str(root), "action": "parse_prd", "target": "prd.txt", "tag": "sky"}
    groq.answer, groq.latency, first = answer, 60.0, len(groq.requests)
    async with serving(tmp_path, values) as server:
        run_id = (await server.call("taskmaster_plan", **wanted, wait_seconds=0))["id"]
        await soon(groq.until(lambda groq: len(groq.requests) > first), 60)
        await server.kill()  # in mid-question
    groq.latency = 0.0
    async with keeping.alone(project.at(str(root))), serving(tmp_path, values) as server:
        (task,) = (await server.call("task_list"))["tasks"]
        assert (await ended(server, "task_get", task["id"]))["status"] == "completed"
        await server.kill()  # with the answer, before it may merge
    asked_before, unmerged = len(groq.requests), file_of(root).read_bytes()
    async with serving(tmp_path, values) as server:
        told = await ended(server, "workflow_get", run_id)
        (task,) = (await server.call("task_list"))["tasks"]

    assert (told["status"], len(told["output"]["made"]), task["status"]) == ("completed", 12, "completed")
    assert (unmerged, len(groq.requests)) == (before, asked_before)
    assert len(project.at(str(root)).tags()["sky"].items) == 12


async def test_the_gateway_of_a_plan_answers_whoever_knows_its_secret() -> None:
    async def ask(_: Any) -> Told:
        raise Conflict("It was heard; no more is wanted; go.")

    async with loopback.serving(ask) as address, httpx2.AsyncClient() as client:
        host, _, rest = address.removeprefix("http://").partition("/")
        told = [
            await client.post(f"http://{host}/{path}/chat/completions", json=HELLO)
            for path in ("v1", f"{'x' * 43}/v1", rest)
        ]
        odd = await client.post(f"{address}/chat/completions", json={"model": 1})
    assert host.startswith("127.0.0.1:")
    assert [answer.status_code for answer in (*told, odd)] == [404, 404, 400, 400]
    assert "It was heard" in told[-1].text

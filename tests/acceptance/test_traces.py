"""Traces, as a collector gets them: from the door to each attempt and the store, whatever happens on the way."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector import Collector, collecting, tree
from processes import COMMAND
from server import Server, alone, serving, soon
from stores import NewDatabase
from team import UNLIMITED, team
from world import Providers

from vel_tutor_mcp.providers.simulated import Fault

pytestmark = pytest.mark.anyio

WORKER = (*COMMAND, "worker")
WORDS = "nobody-elses-business"
STORE = ("read ", "write ")
STRANGERS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STRANGERS_TRACE, STRANGERS_SPAN = STRANGERS.split("-")[1:3]

sqlite = pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)
postgresql = pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@sqlite
async def test_a_task_over_http_is_one_trace_from_the_door_to_each_attempt(
    tmp_path: Path, new_database: NewDatabase, collector: Collector
) -> None:
    logged = {"VEL_TUTOR_LOG_FORMAT": "json", "VEL_TUTOR_LOG_LEVEL": "INFO"}
    async with team(tmp_path, new_database, UNLIMITED | collector.environment | logged) as place:
        place.providers.groq.always = Fault(kind="status", status=401, message=f"No {WORDS}")
        async with place.member() as user:
            body = {"prompt": f"Say {WORDS}", "wait_seconds": 30}
            told = await user.asks("POST", "/api/tasks", 201, json=body, headers={"traceparent": STRANGERS})
            await user.asks("GET", f"/{WORDS}", 404)
            await user.asks("GET", f"/api/tasks/{WORDS}?{WORDS}={WORDS}", 404)
        collector.until(lambda found: {"GET", "GET /api/tasks/{task}"} <= {span.name for span in found})
        spans = collector.trace_of(told["id"], "POST /api/tasks", "invoke_agent")
        received = place.providers.groq.requests + place.providers.openai.requests
    failed, answered = told["attempts"]
    by_name = {span.name: span for span in spans}
    door, task, route = (by_name[name] for name in ("POST /api/tasks", "invoke_agent", "route"))
    first, second = (by_name[f"chat {attempt['model']}"] for attempt in (failed, answered))

    assert tree(spans, without=STORE) == [
        "POST /api/tasks",
        "  invoke_agent",
        "    route",
        f"    {first.name}",
        f"    {second.name}",
    ]
    assert (door["http.route"], door["http.response.status_code"]) == ("/api/tasks", 201)
    # Whatever a stranger says: its trace is linked to, and not gone on with.
    assert (door.trace != STRANGERS_TRACE, door.links) == (True, (STRANGERS_TRACE,))
    assert (task["vel_tutor.task.id"], task["vel_tutor.task.status"]) == (told["id"], "completed")
    assert route["vel_tutor.route.candidates"][0] == f"{failed['provider']}/{failed['model']}"
    assert (first.failed, first["error.type"], first["gen_ai.provider.name"]) == (True, "authentication", "groq")
    assert (second.failed, second["gen_ai.provider.name"]) == (False, "openai")
    assert second["gen_ai.usage.output_tokens"] == answered["tokens_out"]
    assert second["vel_tutor.attempt.cost_nanousd"] == pytest.approx(answered["cost_usd"] * 1e9)
    assert first["vel_tutor.attempt.id"] != second["vel_tutor.attempt.id"]
    written = {span["code.function.name"].partition("services.")[2] for span in spans if span.name == "write sqlite"}
    assert {"tasks.Tasks.submit", "booking.Booking._open", "booking.Booking._fail"} < written
    assert task.sender["service.name"] == "vel-tutor-mcp"
    # Vendors are told nothing of it, and nobody of what was said.
    assert received
    assert not any("traceparent" in request.headers for request in received)
    everything = b"".join(collector.bodies)
    assert not [word for word in (WORDS, str(user.account.email), told["output"]) if word.encode() in everything]


async def test_over_stdio_the_clients_own_trace_is_gone_on_with(
    tmp_path: Path, providers: Providers, collector: Collector
) -> None:
    async with serving(tmp_path, alone(providers.groq) | collector.environment) as server:
        await soon(opened(server))
        call = {"name": "task_submit", "arguments": {"prompt": "Be traced", "wait_seconds": 30}}
        told = await server.request("tools/call", **call, _meta={"traceparent": STRANGERS})
    spans = collector.trace_of(told["structuredContent"]["id"], "tools/call task_submit", "invoke_agent")

    (door,) = [span for span in spans if span.kind == "server"]
    assert (door.trace, door.parent) == (STRANGERS_TRACE, STRANGERS_SPAN)
    assert (door["gen_ai.tool.name"], door["network.transport"]) == ("task_submit", "pipe")
    assert tree(spans, without=STORE)[:2] == ["tools/call task_submit", "  invoke_agent"]
    assert server.rubbish == []
    assert server.stderr == b""


@pytest.mark.kills
async def test_a_task_whose_server_is_killed_stays_in_the_trace_that_it_was_submitted_in(
    tmp_path: Path, providers: Providers, collector: Collector
) -> None:
    groq = providers.groq
    groq.tokens_per_second = 10
    async with serving(tmp_path, alone(groq) | collector.environment) as server:
        await soon(opened(server))
        task = await server.call("task_submit", prompt="Outlive the server", wait_seconds=0)
        await soon(groq.until(lambda groq: groq.open == 1))
        collector.trace_of(task["id"], "tools/call task_submit")
        await server.kill()
    groq.tokens_per_second = 0
    async with serving(tmp_path, alone(groq) | collector.environment) as server:
        told = await server.call("task_get", id=task["id"], wait_seconds=30)
    spans = collector.trace_of(task["id"], "invoke_agent")

    calls = [span for span in spans if span["gen_ai.operation.name"] == "chat"]
    assert told["status"] == "completed"
    assert len({span.trace for span in spans}) == 1
    assert [call["vel_tutor.attempt.outcome"] for call in calls] == ["cut", "completed"]
    assert len({span.sender["service.instance.id"] for span in spans}) == 2


@postgresql
async def test_what_a_worker_does_is_in_the_trace_of_the_request_that_wanted_it(
    tmp_path: Path, new_database: NewDatabase, providers: Providers, collector: Collector
) -> None:
    with new_database() as url:
        variables = alone(providers.groq) | collector.environment | {"VEL_TUTOR_DATABASE_URL": str(url)}
        async with (
            serving(tmp_path, variables | {"VEL_TUTOR_CONCURRENCY": "0"}, transport="http") as server,
            Server(tmp_path, variables, WORKER) as worker,
        ):
            await soon(opened(server))
            task = await server.call("task_submit", prompt="Be done elsewhere", wait_seconds=30)
            spans = collector.trace_of(task["id"], "POST /mcp", "tools/call task_submit", "invoke_agent")
            worker.terminate()
            await soon(worker.ended())

    shown = tree(spans, without=STORE)
    assert shown[:3] == ["POST /mcp", "  tools/call task_submit", "    invoke_agent"]
    by_name = {span.name: span for span in spans}
    assert by_name["POST /mcp"].began <= by_name["tools/call task_submit"].began
    assert by_name["tools/call task_submit"].ended <= by_name["POST /mcp"].ended
    senders = {span.name: span.sender["service.instance.id"] for span in spans}
    assert senders["tools/call task_submit"] != senders["invoke_agent"]
    assert {span["db.system.name"] for span in spans} == {None, "postgresql"}


async def test_a_run_its_steps_and_their_tasks_are_in_one_trace(
    tmp_path: Path, providers: Providers, collector: Collector
) -> None:
    steps = [
        {"id": "draft", "kind": "task", "prompt": "Draft"},
        {"id": "check", "kind": "task", "prompt": "Check", "needs": ["draft"]},
    ]
    async with serving(tmp_path, alone(providers.groq) | collector.environment) as server:
        await soon(opened(server))
        await server.call("workflow_save", name="two", definition={"steps": steps})
        told = await server.call("workflow_run", workflow="two", inputs={}, wait_seconds=30)
        whole = Counter({"tools/call workflow_run": 1, "run": 1, "step": 2, "invoke_agent": 2})
        found = collector.until(lambda spans: whole <= Counter(span.name for span in spans))
    (run,) = [span for span in found if span.name == "run"]
    spans = [span for span in found if span.trace == run.trace]

    assert told["status"] == "completed"
    assert sorted(tree(spans, without=(*STORE, "chat", "route"))) == [
        "  invoke_agent", "  invoke_agent", "  run", "  step", "  step", "tools/call workflow_run",
    ]  # fmt: skip
    assert {span["vel_tutor.step.id"] for span in spans if span.name == "step"} == {"draft", "check"}
    assert {span["vel_tutor.run.id"] for span in spans if span.name in {"run", "step"}} == {told["id"]}


@pytest.mark.parametrize("trouble", ["refuses", "hangs", "is away"])
async def test_a_collector_that_takes_nothing_is_told_once_and_holds_up_nobody(
    tmp_path: Path, providers: Providers, collector: Collector, trouble: str
) -> None:
    variables = alone(providers.groq) | collector.environment
    match trouble:
        case "refuses":
            collector.status = 400
        case "hangs":
            collector.hangs.clear()
            variables |= {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
        case "is away":
            variables |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    async with serving(tmp_path, variables) as server:
        await soon(opened(server))
        for number in range(3):
            told = await server.call("task_submit", prompt=f"Go on {number}", wait_seconds=30)
            assert told["status"] == "completed"
        await soon(said(server, b"Traces are lost"))
        server.leave()
        assert await soon(server.ended(), 10) == 0

    assert server.rubbish == []
    assert server.stderr.count(b"\n") == server.stderr.count(b"Traces are lost") == 1


async def opened(server: Server) -> None:
    """Once it answers, it traces too."""
    await server.call("task_list")


async def said(server: Server, words: bytes) -> None:
    while words not in server.stderr:
        await server.request("ping")

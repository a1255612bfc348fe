"""What the open product tells a collector of what is rare: hedges, webhooks, lines of the log."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from collector import Collector, collecting
from receivers import receiving
from world import Providers, settings_for

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.doors.process import JsonLine
from vel_tutor_mcp.models import Candidate, NanoUsd, TaskRequest
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.hedge import LEAST_TIMES
from vel_tutor_mcp.services.doctor.probes import collector as taken
from vel_tutor_mcp.tracing import spans

pytestmark = pytest.mark.anyio


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        yield collector
        spans.end()
        spans.send_to(None)


@pytest.fixture
async def app(tmp_path: Path, providers: Providers, collector: Collector) -> AsyncIterator[App]:
    settings = settings_for(providers, tmp_path, hedging=True, private_networks="127.0.0.1/32")
    async with open_app(settings) as app:
        assert spans.on(), collector.url
        yield app


async def test_a_hedge_and_the_call_that_it_outran_are_brothers(
    app: App, providers: Providers, collector: Collector
) -> None:
    used_to_fast_answers(app, "groq", "openai/gpt-oss-20b")
    providers.groq.always = Fault(kind="stall", after_chunks=0)
    told = await app.tasks.follow(app.local_principal, await submitted(app), 30)
    calls = [span for span in collector.trace_of(told.task.id, "invoke_agent") if span.name.startswith("chat ")]

    by_provider = {call["gen_ai.provider.name"]: call for call in calls}
    loser, winner = by_provider["groq"], by_provider["openai"]
    assert (loser["vel_tutor.attempt.outcome"], winner["vel_tutor.attempt.outcome"]) == ("cancelled", "completed")
    assert loser.parent == winner.parent is not None
    assert loser.began < winner.began < loser.ended
    assert not loser.failed


async def test_each_try_of_a_delivery_is_told_without_its_address(app: App, collector: Collector) -> None:
    async with receiving() as receiver:
        receiver.answers.append("500")
        me = app.local_principal
        hook, _ = await app.webhooks.create(me, f"{receiver.url}/secret-path", ["task.completed"])
        delivery = await app.webhooks.test(me, hook.id)
        (span,) = [
            span
            for span in collector.until(lambda found: any(span.name == "deliver webhook" for span in found))
            if span.name == "deliver webhook"
        ]

    assert (span["http.response.status_code"], span["error.type"], span.failed) == (500, "500", True)
    assert span["vel_tutor.delivery.id"] == delivery.id
    assert not [body for body in collector.bodies if b"secret-path" in body]


@pytest.mark.usefixtures("app")
async def test_lines_of_the_log_name_the_open_span(collector: Collector) -> None:
    line = logging.makeLogRecord({"msg": "something", "levelname": "INFO"})
    outside = json.loads(JsonLine().format(line))
    with spans.span("open"):
        inside = json.loads(JsonLine().format(line))
    told = collector.until(lambda found: any(span.name == "open" for span in found))
    (span,) = [span for span in told if span.name == "open"]

    assert (inside["trace_id"], inside["span_id"]) == (span.trace, span.id)
    assert not {"trace_id", "span_id"} & outside.keys()


@pytest.mark.usefixtures("app")
async def test_what_a_request_began_and_outlives_it_is_no_part_of_it(collector: Collector) -> None:
    over = asyncio.Event()

    async def late() -> str | None:
        await over.wait()
        with spans.part("late", "internal", {}), spans.span("of its own"):
            return spans.traceparent()

    with spans.span("request"):
        began = asyncio.create_task(late())
    over.set()
    traceparent = await began
    told = collector.until(lambda found: any(span.name == "of its own" for span in found))
    by_name = {span.name: span for span in told}

    assert "late" not in by_name
    assert by_name["of its own"].trace != by_name["request"].trace
    assert traceparent is not None
    assert traceparent.startswith(f"00-{by_name['of its own'].trace}-{by_name['of its own'].id}-")


def test_the_doctor_asks_the_collector_itself(collector: Collector) -> None:
    assert taken()
    collector.status = 401
    assert not taken()
    assert collector.paths == {"/v1/traces"}


async def submitted(app: App) -> str:
    return (await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))).id


def used_to_fast_answers(app: App, provider: str, model: str) -> None:
    """Nine of ten of the model's first tokens came within 50 ms, and a hundred requests were not hedged."""
    hedging = app._answers._router._hedging
    assert hedging is not None
    costs = NanoUsd(0)
    line = Candidate(
        provider=provider, model=model, p_ok=1, p_up=1, expected_cost_nanousd=costs, expected_latency_ms=0, utility=0
    )
    for _ in range(LEAST_TIMES):
        hedging.heard(line, 0.05)
    for _ in range(100):
        hedging.count()

"""What Prometheus is told of a running server, and its log: the numbers of what was done, and nobody's words."""

import json
from collections import Counter
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from server import soon
from stores import NewDatabase
from team import UNLIMITED, Member, team
from waits import found

from vel_tutor_mcp.models import Role
from vel_tutor_mcp.providers.simulated import Fault

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["sqlite"], indirect=True)]

WORDS = "strangers-words"
LOGGED = UNLIMITED | {"VEL_TUTOR_LOG_FORMAT": "json", "VEL_TUTOR_LOG_LEVEL": "INFO"}


class Scrape:
    """What was told, by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: list[Metric] = list(text_string_to_metric_families(text))
        self._told = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def of(self, name: str, **labels: str) -> float | None:
        return self._told.get((f"vel_tutor_{name}", frozenset(labels.items())))

    def all(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Summed by these labels."""
        found = Counter[tuple[str, ...]]()
        for (told, of), value in self._told.items():
            if told == f"vel_tutor_{name}":
                found[tuple(dict(of)[label] for label in labels)] += value  # type: ignore[assignment]  # floats add up too
        return found


async def scrape(member: Member) -> Scrape:
    reply = await soon(member.http.get("/metrics"))
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return Scrape(reply.text)


async def scrape_alone(member: Member) -> Scrape:
    """As soon as no other request is open: a client that has left is not at once noticed."""

    async def alone() -> Scrape | None:
        told = await scrape(member)
        return told if told.of("http_requests_open") == 1 else None

    return await found(alone)


async def call(member: Member, base: str, *tools: str) -> None:
    async with Client(streamable_http_client(f"{base}/mcp", http_client=member.http), mode="legacy") as client:
        for tool in tools:
            await soon(client.call_tool(tool, {}))


async def test_a_scrape_tells_what_was_done(tmp_path: Path, new_database: NewDatabase) -> None:
    async with team(tmp_path, new_database, LOGGED) as place, place.member("admin") as admin, place.member() as user:
        place.providers.groq.faults.append(Fault(kind="status", status=500))
        place.providers.openai.faults.append(Fault(kind="status", status=500))
        body = {"prompt": f"Say {WORDS}", "wait_seconds": 30}
        told = [await user.asks("POST", "/api/tasks", 201, json=body) for _ in range(2)]
        assert [task["status"] for task in told] == ["completed", "completed"]
        await user.asks("GET", f"/api/tasks/{WORDS}", 404)
        await user.asks("GET", f"/{WORDS}", 404)
        async with place.client() as nobody:
            assert (await nobody.get("/metrics")).status_code == 401
        roles: tuple[Role, ...] = ("org_admin", "viewer")
        for role in roles:
            async with place.member(role) as other:
                refused = await other.http.get("/metrics")
                assert (refused.status_code, "insufficient_scope" in refused.headers["www-authenticate"]) == (403, True)
        await call(admin, place.base, "task_list", "task_get", WORDS)
        told_of = await scrape_alone(admin)
        head = (await place.desk.app.audit.search(place.desk.app.local_principal)).rows[0].sequence

    assert told_of.of("http_requests_total", method="POST", route="/api/tasks", status="201") == 2
    assert told_of.of("http_requests_total", method="GET", route="/api/tasks/{task}", status="404") == 1
    assert told_of.of("http_requests_total", method="GET", route="none", status="404") == 1
    assert told_of.of("http_requests_total", method="GET", route="none", status="401") == 1
    assert told_of.of("http_requests_total", method="GET", route="/metrics", status="403") == 2
    assert told_of.of("http_request_duration_seconds_count", method="POST", route="/api/tasks") == 2
    assert told_of.of("mcp_requests_total", method="tools/call", tool="task_list", outcome="ok") == 1
    assert told_of.of("mcp_requests_total", method="tools/call", tool="task_get", outcome="refused") == 1
    assert told_of.of("mcp_requests_total", method="tools/call", tool="other", outcome="refused") == 1
    assert told_of.of("mcp_requests_total", method="initialize", tool="", outcome="ok") == 1
    assert told_of.of("tasks", status="completed") == 2
    assert told_of.of("tasks", status="pending") == told_of.of("oldest_pending_task_seconds") == 0
    attempts = [attempt for task in told for attempt in task["attempts"]]
    ended = Counter((row["provider"], row["model"], row["outcome"]) for row in attempts)
    assert told_of.all("attempts_total", "provider", "model", "outcome") == ended
    assert set(told_of.all("attempts_total", "outcome", "failure")) == {("completed", ""), ("failed", "server_error")}
    tokens = told_of.all("tokens_total", "direction")
    assert tokens["out",] == sum(row["tokens_out"] or 0 for row in attempts) > 0
    assert told_of.all("cost_usd_total")[()] == pytest.approx(sum(row["cost_usd"] for row in attempts))
    assert told_of.all("attempt_duration_seconds_count")[()] == len(attempts)
    assert set(told_of.all("breaker_state", "provider")) == {("groq",), ("openai",)}
    assert told_of.all("breaker_state")[()] == 0
    assert told_of.of("audit_head_sequence") == head
    assert told_of.of("database_up") == 1
    assert WORDS not in told_of.text
    assert not any(thing in told_of.text for thing in (told[0]["id"], user.account.id, str(user.account.email)))
    logged = [json.loads(line) for line in place.server.stderr.splitlines()]
    assert any(line["message"].startswith("serving MCP at http://") for line in logged)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in logged)
    assert WORDS.encode() not in place.server.stderr

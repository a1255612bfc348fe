"""A full disk: new work is refused with what to do, and an answer that is paid for waits until there is room."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from full import full_disk
from server import ToolRefused, one_sentence, serving, soon
from world import Providers, settings_for

from vel_tutor_mcp.services.doctor.checkup import check_up
from vel_tutor_mcp.store.places import FILE_NAME, database_of

pytestmark = pytest.mark.anyio

ASKS = {"steps": [{"id": "ok", "kind": "approval", "prompt": "Ship it?"}]}
# What people write, over REST; after it, where it is listed. The first of each home to seal or sign makes a key.
WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/agents", {"name": "made", "type": "researcher"}),
    ("POST", "/api/tasks", {"prompt": "Say hello", "agent": "default"}),
    ("POST", "/api/workflows", {"name": "made", "definition": ASKS}),
    ("PUT", "/api/budgets", {"scope": "organisation", "period": "day", "limit_usd": 1}),
    ("POST", "/api/webhooks", {"url": "https://example.com/hook", "events": ["task.failed"]}),
    ("POST", "/api/tokens", {"name": "made"}),
]


async def test_an_answer_that_comes_while_the_disk_is_full_is_stored_once_there_is_room(
    tmp_path: Path, providers: Providers
) -> None:
    providers.groq.tokens_per_second = 20
    async with serving(tmp_path, providers.environment()) as server:
        task = await server.call("task_submit", prompt="Say hello", agent="default", wait_seconds=0)
        await soon(providers.groq.until(lambda groq: groq.open == 1))
        with full_disk(server.pid):
            await soon(providers.groq.until(lambda groq: groq.open == 0))
            with pytest.raises(ToolRefused) as refused:
                await server.call("task_submit", prompt="More", wait_seconds=0)
            assert (await server.call("task_get", id=task["id"]))["status"] == "in_progress"
        ended = await server.call("task_get", id=task["id"], wait_seconds=30)

    assert one_sentence(str(refused.value))
    assert "make room on the disk" in str(refused.value)
    assert ended["status"] == "completed"
    assert [attempt["outcome"] for attempt in ended["attempts"]] == ["completed"]
    assert len(providers.groq.requests) == 1


async def test_work_goes_on_after_the_disk_was_full(tmp_path: Path, providers: Providers) -> None:
    async with serving(tmp_path, providers.environment()) as server:
        await server.call("task_submit", prompt="Before", wait_seconds=10)
        with full_disk(server.pid), pytest.raises(ToolRefused):
            await server.call("task_submit", prompt="Meanwhile", wait_seconds=0)
        after = await server.call("task_submit", prompt="After", wait_seconds=20)
        listed = await server.call("task_list")

    assert after["status"] == "completed"
    assert [task["prompt"] for task in listed["tasks"]] == ["After", "Before"]


async def test_whatever_is_written_to_a_full_disk_is_refused_and_is_there_once_when_there_is_room(
    tmp_path: Path, providers: Providers
) -> None:
    async with serving(tmp_path, providers.environment(), transport="http") as server:
        base = (await server.address()).removesuffix("/mcp")
        async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=60) as http:
            before = {path: len((await http.get(path)).json()["data"]) for _, path, _ in WRITES}
            with full_disk(server.pid):
                refused = {path: await http.request(method, path, json=sent) for method, path, sent in WRITES}
            made = {path: await http.request(method, path, json=sent) for method, path, sent in WRITES}
            after = {path: len((await http.get(path)).json()["data"]) for _, path, _ in WRITES}
        proven = await server.call("audit_verify")

    sentences = {path: reply.json()["error"]["message"] for path, reply in refused.items()}
    assert all(one_sentence(sentence) for sentence in sentences.values()), sentences
    assert all("make room" in sentence for sentence in sentences.values()), sentences
    assert {path: reply.status_code for path, reply in refused.items()} == dict.fromkeys(after, 503), sentences
    assert all(reply.is_success for reply in made.values()), [reply.text for reply in made.values()]
    assert after == {path: count + 1 for path, count in before.items()}
    assert proven["ok"]


async def test_the_doctor_has_room_made_for_a_database_that_a_killed_server_left(
    tmp_path: Path, providers: Providers
) -> None:
    async with serving(tmp_path, providers.environment()) as server:
        await server.call("task_submit", prompt="Say hello", wait_seconds=10)
        await server.kill()
    (server.home / f"{FILE_NAME}-shm").unlink()  # as after a crash of the machine, or where only the others were copied
    settings = settings_for(providers, server.home)
    with full_disk():
        (full,) = [finding for finding in await check_up(lambda: settings, database_of) if finding.check == "database"]
    (after,) = [finding for finding in await check_up(lambda: settings, database_of) if finding.check == "database"]

    assert "cannot be read" in full.found
    assert full.advice.startswith("make room on its disk")
    assert after.found.endswith(", sound")

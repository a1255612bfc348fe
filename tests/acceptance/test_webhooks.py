"""Webhooks of real servers: made over REST and from the shell, sent by one of several, found again after a kill."""

from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from commands import run, started
from processes import COMMAND
from receivers import Receiver, receiving
from server import Server, soon
from world import Providers

pytestmark = pytest.mark.anyio

TASKS = 10
HERE = {"VEL_TUTOR_PRIVATE_NETWORKS": "127.0.0.1/32"}
BACK = "UPDATE vel_tutor.webhook_deliveries SET next_at = next_at - interval '1 hour'"


class Speaker(Server):
    """A server that may call this machine, asked over REST."""

    base: str

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        serve = ("serve", "--transport", "http", "--port", "0", "--no-auth")
        super().__init__(folder, variables | HERE, (*COMMAND, *serve))

    async def start(self) -> None:
        await super().start()
        self.base = (await soon(self.address())).removesuffix("/mcp")

    async def asks(self, method: str, path: str, expected: int = 200, **options: Any) -> Any:
        async with httpx2.AsyncClient(base_url=self.base, trust_env=False, timeout=60) as http:
            reply = await soon(http.request(method, path, **options))
        assert reply.status_code == expected, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply.json() if reply.content else None

    def leave(self) -> None:
        self.terminate()


async def test_a_webhook_is_made_tried_out_changed_and_taken_away_over_rest(
    tmp_path: Path, providers: Providers
) -> None:
    async with receiving() as receiver, Speaker(tmp_path, providers.environment()) as server:
        key, body = {"Idempotency-Key": "one"}, {"url": receiver.url, "events": ["task.completed", "task.failed"]}
        made = await server.asks("POST", "/api/webhooks", 201, json=body, headers=key)
        again = await server.asks("POST", "/api/webhooks", 409, json=body, headers=key)
        assert again["error"]["message"].startswith("The webhook was made for the first request")
        path, told = f"/api/webhooks/{made['id']}", {name: made[name] for name in made if name != "secret"}
        assert (await server.asks("GET", path), told["last_delivery"]) == (told, None)
        tested = await server.asks("POST", f"{path}/test")
        assert (tested["event"], tested["state"], tested["attempts"][0]["status"]) == ("webhook.test", "delivered", 204)

        renewed = await server.asks("POST", f"{path}/secret")
        receiver.answers = ["503 Away\r\nretry-after: 300"]
        task = await server.asks("POST", "/api/tasks", 201, json={"prompt": "Say hello", "wait_seconds": 20})
        sent = (await receiver.heard(2))[1]
        assert sent.verified(renewed["secret"])["data"]["id"] == sent.verified(made["secret"])["data"]["id"]
        assert sent.verified(renewed["secret"])["data"]["status_url"] == task["status_url"]
        assert (await server.asks("GET", task["status_url"]))["status"] == "completed"

        log = await server.asks("GET", f"{path}/deliveries", params={"limit": 1})
        assert (log["meta"]["total"], [row["id"] for row in log["data"]]) == (2, [sent.id])
        await server.asks("POST", f"{path}/deliveries/{sent.id}/resend", 409)  # it still waits
        off = await server.asks("PUT", path, json={"active": False, "description": "mine"})
        assert (off["active"], off["description"], off["url"]) == (False, "mine", receiver.url)
        await server.asks("PUT", path, json={"active": True})
        resent = await server.asks("POST", f"{path}/deliveries/{sent.id}/resend")
        assert (resent["id"], resent["state"]) == (sent.id, "waiting")
        assert (await receiver.heard(3))[2].id == sent.id
        await server.asks("PUT", path, 403, json={"url": "https://10.0.0.1/"})
        await server.asks("PUT", path, 400, json={"events": ["task.begun"]})
        await server.asks("DELETE", path, 204)
        await server.asks("GET", path, 404)
        assert (await server.asks("GET", "/api/webhooks"))["data"] == []


async def settled(server: Speaker, path: str, count: int) -> list[dict[str, Any]]:
    """So many deliveries, once none of them waits."""
    while True:
        rows: list[dict[str, Any]] = (await server.asks("GET", path, params={"limit": 100}))["data"]
        if len(rows) == count and all(row["state"] != "waiting" for row in rows):
            return rows


async def test_webhooks_from_the_shell(tmp_path: Path, providers: Providers) -> None:
    here = providers.environment() | HERE
    async with receiving() as receiver:
        added = await run(tmp_path, here, "webhook", "add", receiver.url, "run.failed", "task.failed")
        secret, webhook_id = added.stdout.strip(), added.stderr.split()[1]
        assert "is told of task.failed, run.failed; try it" in added.stderr
        receiver.answers = ["500 Broken"]
        failed = await run(tmp_path, here, "webhook", "test", webhook_id)
        assert (failed.code, failed.stderr.partition(",")[0]) == (1, "It was failed: it answered 500")
        tested = await run(tmp_path, here, "webhook", "test", webhook_id, "--json")
        assert (tested.code, tested.json["state"]) == (0, "delivered")
        assert receiver.sent[1].verified(secret)["type"] == "webhook.test"
        listed = await run(tmp_path, here, "webhook", "list", "--json")
        assert [(row["id"], row["active"]) for row in listed.json["webhooks"]] == [(webhook_id, True)]
        log = await run(tmp_path, here, "webhook", "deliveries", webhook_id)
        assert [line.split("\t")[3] for line in log.stdout.splitlines()] == ["delivered", "failed"]
        receiver.silent.set()
        async with started(tmp_path, here, "webhook", "test", webhook_id) as testing:
            await receiver.heard(3)
            removed = await run(tmp_path, here, "webhook", "remove", webhook_id)
            assert (removed.code, removed.stderr.strip()) == (0, "The webhook is told nothing more.")
            receiver.hang_up()
            told = await testing.ended()
        assert told.code == 64
        assert "What came of the test is not known; its webhook was removed" in told.stderr
        assert "Traceback" not in told.stderr


@pytest.mark.kills
@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
async def test_of_two_servers_one_sends_each_event_and_what_a_killed_one_had_sent_is_sent_again_with_its_id(
    tmp_path: Path, providers: Providers, database_url: str
) -> None:
    variables = providers.environment() | {"VEL_TUTOR_DATABASE_URL": database_url}
    async with receiving() as receiver, Speaker(tmp_path, variables) as first, Speaker(tmp_path, variables) as other:
        body = {"url": receiver.url, "events": ["task.completed"]}
        made = await first.asks("POST", "/api/webhooks", 201, json=body)
        log = f"/api/webhooks/{made['id']}/deliveries"
        for _ in range(TASKS):
            for server in (first, other):
                await server.asks("POST", "/api/tasks", 201, json={"prompt": "Say hello"})
        rows = await soon(settled(other, log, 2 * TASKS))
        assert {row["id"] for row in rows} == {sent.id for sent in receiver.sent}
        assert len(receiver.sent) == 2 * TASKS
        assert all(len(row["attempts"]) == 1 for row in rows)

        await other.kill()
        sent = await killed_before_it_hears(first, receiver)
        with psycopg.connect(database_url, options="-c vel_tutor.organisation=installation") as connection:
            connection.execute(BACK)  # the claim of the dead is over
        await other.start()
        again = (await receiver.heard(2 * TASKS + 2))[-1]
        assert (again.id, again.body) == (sent.id, sent.body)
        again.verified(made["secret"])
        newest = (await soon(settled(other, log, 2 * TASKS + 1)))[0]
        assert (newest["id"], newest["state"], len(newest["attempts"])) == (sent.id, "delivered", 1)


async def killed_before_it_hears(server: Speaker, receiver: Receiver) -> Any:
    """What it had sent, and was not answered."""
    before = len(receiver.sent)
    receiver.silent.set()
    await server.asks("POST", "/api/tasks", 201, json={"prompt": "Say hello"})
    sent = (await receiver.heard(before + 1))[-1]
    await server.kill()
    receiver.silent.clear()
    return sent

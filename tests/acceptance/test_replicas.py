"""Several servers on one PostgreSQL behind a proxy that asks each in turn, for clients of both protocol eras."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from balancer import balanced
from mcp import Client, MCPError
from ports import HOST, free_port
from processes import COMMAND
from server import WAIT_SECONDS, Server, soon
from waits import until
from world import ERAS, Era, Providers

pytestmark = pytest.mark.anyio

CALLS = 1000 if "VEL_TEST_KILLS" in os.environ else 100
LANES = 2
LONGEST_SECONDS = 60.0 + CALLS / 2


class Replica(Server):
    """Is asked to leave by a signal; keeps its port over a restart."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.origin = f"http://{HOST}:{(port := free_port())}"
        serve = ("serve", "--transport", "http", "--port", str(port), "--no-auth")
        super().__init__(folder, variables, (*COMMAND, *serve))

    async def start(self) -> None:
        await super().start()
        await soon(self.address())

    def leave(self) -> None:
        self.terminate()


@dataclass
class Crowd:
    """Clients of both eras that give tasks and look at them, again and again; what was answered to each era, and which
    calls were not, for which it was made again. `tasks` are by their keys.
    """

    url: str
    answered: Counter[Era] = field(default_factory=Counter)
    failed: Counter[Era] = field(default_factory=Counter)
    tasks: dict[str, str] = field(default_factory=dict)
    over: bool = False
    _numbers: Iterator[int] = field(default_factory=count)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, calls: int) -> None:
        while self.answered.total() < calls:
            self._more.clear()
            await self._more.wait()

    async def lane(self, era: Era) -> None:
        async with Client(self.url, mode=era) as client:
            # Of each era its share, however slow the other one is.
            while self.answered[era] < CALLS // 2 or not self.over:
                key = f"Say {next(self._numbers)}"
                task = await self._call(client, era, "task_submit", prompt=key, idempotency_key=key, wait_seconds=20)
                self.tasks[key] = task["id"]
                found = await self._call(client, era, "task_get", id=task["id"])
                assert found["status"] == "completed"
                await self._call(client, era, "agent_list")

    async def _call(self, client: Client, era: Era, tool: str, **arguments: Any) -> dict[str, Any]:
        try:
            result = await soon(client.call_tool(tool, arguments))
        except MCPError:
            self.failed[era] += 1
            result = await soon(client.call_tool(tool, arguments))
        assert not result.is_error, result.content
        self.answered[era] += 1
        self._more.set()
        content: dict[str, Any] = result.structured_content
        return content


@pytest.mark.kills
@pytest.mark.timeout(120 + CALLS)
@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
async def test_no_call_is_lost_when_a_replica_is_killed_and_comes_back_and_older_clients_make_it_again_at_most(
    tmp_path: Path, providers: Providers, database_url: str
) -> None:
    providers.groq.latency = providers.openai.latency = 0.1  # so that calls are in flight when it is killed
    variables = providers.environment() | {"VEL_TUTOR_DATABASE_URL": database_url, "VEL_TUTOR_STATELESS": "true"}
    async with AsyncExitStack() as stack:
        killed, other = [await stack.enter_async_context(Replica(tmp_path, variables)) for _ in range(2)]
        url, balancer = await stack.enter_async_context(balanced(killed.origin, other.origin))
        crowd = Crowd(f"{url}/mcp")
        async with asyncio.timeout(LONGEST_SECONDS), asyncio.TaskGroup() as lanes:
            for era in ERAS * LANES:
                lanes.create_task(crowd.lane(era))
            await crowd.until(CALLS // 4)
            await killed.kill()
            before = balancer.served[killed.origin]
            await crowd.until(CALLS // 2)
            await killed.start()
            await until(lambda: balancer.served[killed.origin] > before, WAIT_SECONDS)
            crowd.over = True

    with psycopg.connect(database_url, options="-c vel_tutor.organisation=installation") as connection:
        stored = connection.execute("SELECT count(*) FROM vel_tutor.tasks").fetchall()
    assert crowd.failed["auto"] == 0
    assert crowd.failed["legacy"] <= LANES  # what was in flight
    assert all(crowd.answered[era] >= CALLS // 2 for era in ERAS)
    assert before > 0
    assert stored == [(len(set(crowd.tasks.values())),)] == [(len(crowd.tasks),)]

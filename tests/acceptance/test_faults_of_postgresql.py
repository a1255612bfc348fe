"""PostgreSQL restarts under load: each task ends once, its money is booked once, and clients are told what happens."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path

import pytest
from postgresql import PostgresServer, query
from server import Server, ToolRefused, one_sentence, serving, soon
from world import Providers

pytestmark = pytest.mark.anyio

RESTARTS = 10 if "VEL_TEST_KILLS" in os.environ else 1
BETWEEN = 12  # answers
LANES = 8
# What a task left that ended once: the calls that were answered, the news and the entry of its end.
ENDED_ONCE = """
    SELECT status, (SELECT count(*) FROM vel_tutor.attempts WHERE task_id = tasks.id AND outcome = 'completed'),
        (SELECT count(*) FROM vel_tutor.task_events WHERE task_id = tasks.id AND kind = 'completed'),
        (SELECT count(*) FROM vel_tutor.audit_logs WHERE action = 'task_completed' AND subject = 'task:' || tasks.id)
    FROM vel_tutor.tasks
"""
# Calls without exactly one booking, and those that are booked at something else than they cost.
BADLY_BOOKED = """
    SELECT attempts.id FROM vel_tutor.attempts LEFT JOIN vel_tutor.ledger ON ledger.attempt_id = attempts.id
    WHERE outcome = 'open' OR settled_nanousd IS DISTINCT FROM cost_nanousd
"""


@dataclass
class Clients:
    """Give tasks to each server in turn, again with the same key where they are refused, until each is answered."""

    servers: Iterator[Server]
    answered: int = 0
    refusals: list[str] = field(default_factory=list)
    tasks: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    over: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, answered: int) -> None:
        while self.answered < answered:
            self._news.clear()
            await self._news.wait()

    async def until_refused(self) -> None:
        before = len(self.refusals)
        while len(self.refusals) == before:
            self._news.clear()
            await self._news.wait()

    async def lane(self) -> None:
        while not self.over:
            prompt = f"Say {next(self.numbers)}"
            await soon(self._answer(prompt), 60)
            self.answered += 1
            self._news.set()

    async def _answer(self, prompt: str) -> None:
        while True:
            try:
                task = await next(self.servers).call(
                    "task_submit", prompt=prompt, idempotency_key=prompt, wait_seconds=20
                )
            except ToolRefused as refused:
                self.refusals.append(str(refused))
                self._news.set()
                continue
            assert self.tasks.setdefault(prompt, task["id"]) == task["id"]
            if task["status"] == "completed":
                return


@pytest.mark.kills
@pytest.mark.timeout(60 + 30 * RESTARTS)
async def test_tasks_on_two_servers_outlive_restarts_of_postgresql_under_load_each_ended_and_paid_once(
    tmp_path: Path, providers: Providers, postgres: PostgresServer, postgres_url: str
) -> None:
    providers.groq.tokens_per_second = 40  # so that calls are under way when it goes
    variables = providers.environment() | {"VEL_TUTOR_DATABASE_URL": postgres_url}
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving(tmp_path, variables)) for _ in range(2)]
        clients = Clients(cycle(servers))
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(clients.lane())
            for _ in range(RESTARTS):
                await soon(clients.until(clients.answered + BETWEEN))
                await asyncio.to_thread(postgres.stop, "immediate")
                await soon(clients.until_refused())
                await asyncio.to_thread(postgres.start)
            await soon(clients.until(clients.answered + BETWEEN))
            clients.over = True

    assert set(query(postgres_url, ENDED_ONCE)) == {("completed", 1, 1, 1)}
    assert query(postgres_url, BADLY_BOOKED) == []
    assert {str(task) for (task,) in query(postgres_url, "SELECT id FROM vel_tutor.tasks")} == {*clients.tasks.values()}
    ((attempts,),) = query(postgres_url, "SELECT count(*) FROM vel_tutor.attempts")
    assert len(clients.tasks) <= len(providers.groq.requests) + len(providers.openai.requests) <= attempts
    assert [text for text in clients.refusals if not (one_sentence(text) and "cannot be reached" in text)] == []

"""Tasks brought to their end without a provider, on the services of `noted`: a test says how each call went."""

import asyncio
from typing import Any

from noted import Services

from vel_tutor_mcp.models import Decision, Principal, Task, TaskRequest, TaskType, Work
from vel_tutor_mcp.providers.base import Completion
from vel_tutor_mcp.routing.book import Answered, Ended
from vel_tutor_mcp.services.answers import Job
from vel_tutor_mcp.services.settling import Call
from vel_tutor_mcp.store import history
from vel_tutor_mcp.store.database import INSTALLATION, Database

GOOD = Completion(
    text='{"a": 1}',
    finish_reason="stop",
    served_model=None,
    tokens_in=10,
    tokens_out=5,
    tokens_cached=None,
    tokens_written=None,
    first_token_ms=1,
    total_ms=5,
)


async def begun(services: Services, me: Principal, **wanted: Any) -> Job:
    """A task at whose first candidate a call is about to be made."""
    task = await services.tasks.submit(me, TaskRequest(prompt="Say hello", task_type=TaskType.GENERAL, **wanted))
    return await begun_again(services, task)


async def begun_again(services: Services, task: Task) -> Job:
    job = await services.answers._begin(Work(task.id, task.attempt_set), {services.engine.executor})
    assert job is not None
    return job


async def opened(job: Job) -> Call:
    call, _, _ = await job.book.open(job.decision.candidates[0])
    return call


async def concluded(services: Services, job: Job, call: Call) -> None:
    """The call is answered, and that is stored: twice, as where the first commit's reply was lost."""
    ended = Ended(completion=GOOD, failure=None, total_ms=5, breaker=None)

    async def answer() -> Answered[Call]:
        return Answered(call, job.decision.candidates[0], ended)

    running = asyncio.create_task(answer())
    await asyncio.wait({running})
    for _ in range(2):
        await services.answers._conclude(job, running)


async def answered(services: Services, me: Principal, **wanted: Any) -> Task:
    job = await begun(services, me, **wanted)
    await concluded(services, job, await opened(job))
    return await services.tasks.get(me, job.subject.task.id)


async def decision_of(database: Database, task: Task) -> Decision:
    async with database.read(INSTALLATION) as tx:
        decision = await history.decision(tx, task.id, 1)
    assert decision is not None
    return decision

"""A provider whose headers announce a limit is not run against it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from waits import lapse
from world import Providers, settings_for

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.models import (
    AgentConfig,
    AgentType,
    Candidate,
    Decision,
    NanoUsd,
    Policy,
    Principal,
    TaskRequest,
    TaskStatus,
    TaskType,
)
from vel_tutor_mcp.providers.base import ChatRequest, Completion, Delta, Timeouts
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.providers.simulated import RateLimit, SimulatedProvider
from vel_tutor_mcp.routing.book import Ended, Lost, Order, Paced
from vel_tutor_mcp.routing.health import Health
from vel_tutor_mcp.routing.retry import Failure, Wait
from vel_tutor_mcp.routing.router import Router

pytestmark = pytest.mark.anyio

AMPLE = Timeouts(connect=10, first_token=30, between_tokens=30, total=60)
FIRST = "openai/gpt-oss-20b"
HELLO = "Say hello"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Noted:
    """A book of one task that counts its calls, with an answer of at most 50 tokens."""

    tokens = 60

    def __init__(self) -> None:
        self.opened = 0

    async def open(
        self,
        candidate: Candidate,  # noqa: ARG002 - the seam's names, as the next ones
        *,
        repairs: Failure | None = None,  # noqa: ARG002
        beside: Candidate | None = None,  # noqa: ARG002
    ) -> tuple[int, ChatRequest, Delta]:
        self.opened += 1
        ask = ChatRequest(model="llama", system="", prompt=HELLO, max_output_tokens=50, timeouts=AMPLE)
        return self.opened, ask, lambda _: None

    def accepted(self, completion: Completion) -> Completion:
        return completion

    async def fail(self, slot: int, ended: Ended) -> None: ...

    async def lose(self, slot: int, lost: Lost) -> None: ...

    async def wait(self, step: Wait) -> None: ...


LLAMA = Candidate(
    provider="groq",
    model="llama",
    p_ok=1,
    p_up=1,
    expected_cost_nanousd=NanoUsd(0),
    expected_latency_ms=0,
    utility=0,
)
ORDER = Order(
    decision=Decision(
        task_type=TaskType.GENERAL, confidence=1, policy=Policy.FIXED, candidates=(LLAMA,), excluded=(), reasons=()
    ),
    failures=(),
    max_retries=3,
    fallback=True,
)


async def run(router: Router) -> int:
    """The calls that the task took. What must wait is put back and comes again, as the services do it."""
    book = Noted()
    while True:
        try:
            await router.answer(ORDER, book)
        except Paced as refusal:
            await lapse(refusal.pause.total_seconds())
        else:
            return book.opened


@pytest.mark.parametrize(
    "limit",
    [RateLimit(requests=40, tokens=10**6, seconds=0.5), RateLimit(requests=10**4, tokens=40 * 60, seconds=0.5)],
    ids=["requests", "tokens"],
)
async def test_a_hundred_tasks_meet_an_announced_limit_without_a_burst_of_refusals(limit: RateLimit) -> None:
    async with SimulatedProvider("groq", rate_limit=limit, answer=lambda _: "word " * 58) as sim:
        client = OpenAICompatible("groq", sim.base_url, "key")
        router = Router({"groq": client}, Health())
        async with asyncio.timeout(60):
            await run(router)
            calls = await asyncio.gather(*(run(router) for _ in range(100)))
        await client.close()

    assert len(calls) == 100
    assert len(sim.requests) - 101 <= 3


@pytest.fixture
async def tight(tmp_path: Path) -> AsyncIterator[tuple[App, Providers]]:
    """Groq takes one request in half a minute, and has been asked one."""
    limit = RateLimit(requests=1, tokens=10**6, seconds=30)
    async with SimulatedProvider("openai") as openai, SimulatedProvider("groq", rate_limit=limit) as groq:
        providers = Providers(openai, groq)
        async with open_app(settings_for(providers, tmp_path / "home")) as app:
            me = app.local_principal
            task = await app.tasks.submit(me, TaskRequest(prompt=HELLO))
            assert (await app.tasks.follow(me, task.id, 30)).task.provider == "groq"
            yield app, providers


async def loyal(app: App, me: Principal) -> str:
    config = AgentConfig(model_preferences={TaskType.GENERAL: f"groq/{FIRST}"}, fallback=False)
    return (await app.agents.create(me, f"agent {uuid4()}", AgentType.RESEARCHER, config)).id


async def test_a_task_for_whose_model_the_limit_is_used_up_waits_without_a_place(tight: tuple[App, Providers]) -> None:
    app, providers = tight
    me = app.local_principal
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO, agent=await loyal(app, me)))
    with app._hub.listen(task.id) as listener:
        async with asyncio.timeout(20):
            while "waiting" not in {event.kind for event in (await app.tasks.tell(me, task.id)).history}:
                await listener.wait(1)
                listener.take()
    told = await app.tasks.tell(me, task.id)

    assert told.task.status is TaskStatus.PENDING
    assert told.task.not_before
    assert told.history[-1].message.endswith(f"s for the rate limit of groq/{FIRST}")
    assert (len(providers.groq.requests), told.attempts) == (1, [])
    await app.tasks.cancel(me, task.id)


async def test_another_model_is_preferred_to_a_long_wait_and_the_reason_says_so(tight: tuple[App, Providers]) -> None:
    app, _ = tight
    me = app.local_principal
    task = await app.tasks.submit(me, TaskRequest(prompt=HELLO))
    told = await app.tasks.follow(me, task.id, 30)

    assert told.task.status is TaskStatus.COMPLETED
    assert (told.task.provider, told.task.model) != ("groq", FIRST)
    assert told.decision
    assert any(reason.startswith(f"The rate limit of groq/{FIRST} takes no call") for reason in told.decision.reasons)

"""A month of a small team, for whoever looks at it: tasks that the product really ran, on simulated vendors, and of a
larger month more of the same kind as rows (`repeated`).

The product's clock stands where a batch belongs, oldest first, so that what it writes is spread over the month.
"""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from people import front
from planted import PASSWORD
from repeated import repeat
from world import Providers, start_afresh

from vel_tutor_mcp.app import App
from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.models import AgentConfig, AgentType, Policy, Principal, Role, TaskRequest, TaskStatus
from vel_tutor_mcp.providers.simulated import Fault
from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.comparisons.request import ComparisonRequest
from vel_tutor_mcp.services.webhooks.outbox import Event
from vel_tutor_mcp.store.standing import Period, Scope
from vel_tutor_mcp.workflows.model import How, RunRequest

# Hours ago: each day of four weeks, then the last day by the hour, with as much work in all as on another day.
_HOURS = (*range(27 * 24, 24, -24), *range(22, -2, -2))
_LAST_DAY = 24
# How long ago the team began.
BEGUN = timedelta(days=28)
_WAIT_SECONDS = 50
# Of each batch one in so many is really run, and all of the last hour.
_REALLY_RUN_OF = 16
_FAILING = 0.06
_ROLES: Mapping[str, Role] = {
    "ada": "admin", "ben": "agent_manager", "cleo": "org_admin", "dan": "task_executor", "vera": "viewer",
}  # fmt: skip
_WORKERS = ("ada", "ben", "cleo", "dan")
_AGENTS: Mapping[str, tuple[AgentType, AgentConfig]] = {
    "reviewer": (AgentType.CODE_GENERATOR, AgentConfig(system_prompt="Review strictly.", policy=Policy.QUALITY)),
    "researcher": (AgentType.RESEARCHER, AgentConfig(system_prompt="Say where it stands.")),
    "translator": (AgentType.MCP_ORCHESTRATOR, AgentConfig(system_prompt="Add nothing.", policy=Policy.CHEAPEST)),
}
_PROMPTS: Mapping[str, Sequence[str]] = {
    "reviewer": (
        "Review this Python function for races: def take(queue): return queue.pop() if queue else None  # {n}",
        "Write a SQL query for the ten customers of region {n} who spent the most.",
    ),
    "researcher": (
        "Which of the {n} studies on spaced repetition are about adults, and what do they find?",
        "Summarise in three sentences what changed in release {n} of our API.",
    ),
    "translator": (
        "Translate into French: your parcel number {n} will arrive on Monday.",
        "Translate into German: chapter {n} begins with a storm.",
    ),
    "default": (
        "Write a friendly reminder for invoice {n}.",
        "Is this review positive or negative: 'Delivery {n} came late, but the book is wonderful.'",
    ),
}
_ANNOUNCES = {
    "inputs": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
    "steps": [
        {"id": "draft", "kind": "task", "agent": "researcher", "prompt": "Draft the news of {{ inputs.what }}."},
        {"id": "check", "kind": "task", "agent": "reviewer", "needs": ["draft"], "prompt": "{{ steps.draft.output }}"},
        {"id": "publish", "kind": "approval", "needs": ["check"], "prompt": "Publish the news of {{ inputs.what }}?"},
        {"id": "post", "kind": "task", "needs": ["publish"], "prompt": "Write it."},
    ],
}
_COMPARED = {"openai/gpt-4.1-mini": (4, 5), "groq/openai/gpt-oss-20b": (2, 3)}  # and how its answers are rated
_COMPARISONS = 8
_USD_A_TASK = 5e-5
_HEARD = (Event.RUN_AWAITING_APPROVAL, Event.RUN_COMPLETED, Event.RUN_FAILED, Event.BUDGET_THRESHOLD)
_NEWS = ("the spring sale", "release 2", "a new office", "the price list")
_WORDS = ("the", "answer", "is", "made", "up", "of", "words", "that", "nobody", "wrote")


@dataclass(frozen=True)
class Month:
    """Who was there, and the run that waits for somebody's decision."""

    people: Mapping[str, Account]
    waiting: str


async def month(app: App, providers: Providers, tasks: int, receiver: str) -> Month:
    """Give the product a month of work: so many tasks, and a few runs and comparisons. All of it has ended, but one
    approval waits. The receiver is told by webhook.
    """
    chance = random.Random(10)
    people = {name: await _join(app, name, role) for name, role in _ROLES.items()}
    ada = people["ada"].principal
    await _furnish(app, ada, receiver)
    for hours, share in _shares(tasks, chance):
        real = -(-share // _REALLY_RUN_OF) if hours else share
        _weather(app, providers, chance, real)
        with ago(timedelta(hours=hours)):
            wishes = [_wish(chance, people) for _ in range(real)]
            done = await asyncio.gather(*(_work(app, *wish) for wish in wishes))
            for who, again in _spread(done, share - real, chance):
                await repeat(app._parts.database, who, again, chance)
    with ago(timedelta(hours=3)):
        await _limit(app, ada)
        for _ in range(_COMPARISONS if tasks > _COMPARISONS else 1):
            await _compare(app, ada, chance)
    with ago(timedelta(minutes=30)):
        waiting = [await _announce(app, ada, what) for what in _NEWS]
    for run, approve in zip(waiting[:-1], (True, True, False), strict=True):
        await app.runs.decide(ada, run, "publish", How.SIGNED_IN, approve=approve)
        await app.runs.follow(ada, run, _WAIT_SECONDS)
    return Month(people, waiting[-1])


def _spread(
    done: Sequence[tuple[Principal, str]], more: int, chance: random.Random
) -> Iterator[tuple[Principal, list[str]]]:
    """Which of the tasks, each with whose it is, are there once more, so many in all."""
    numbers = [0] * len(done)
    for _ in range(more):
        numbers[chance.randrange(len(done))] += 1
    for (who, task_id), number in zip(done, numbers, strict=True):
        yield who, [task_id] * number


def _shares(tasks: int, chance: random.Random) -> Iterator[tuple[int, int]]:
    """How many hours ago how many of the tasks were given."""
    weights = [chance.randrange(4, 12) if hours > _LAST_DAY else 1 for hours in _HOURS]
    given = 0
    for hours, weight in zip(_HOURS, accumulate(weights), strict=True):
        due = tasks * weight // sum(weights)
        if due > given:
            yield hours, due - given
        given = due


@contextmanager
def ago(time: timedelta) -> Iterator[None]:
    """The product's clock is so far behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "now", lambda: datetime.now(UTC) - time)
        yield


async def _join(app: App, name: str, role: Role) -> Account:
    return await front(app).accounts.create(app.local_principal, f"{name}@example.org", PASSWORD, role)


async def _furnish(app: App, ada: Principal, receiver: str) -> None:
    for name, (kind, config) in _AGENTS.items():
        await app.agents.create(ada, name, kind, config)
    await app.workflows.save(ada, "announce", _ANNOUNCES)
    await app.budgets.set(ada, Scope.USER, None, Period.DAY, 0.5)
    await app.webhooks.create(ada, receiver, _HEARD, "The team's chat")


async def _limit(app: App, ada: Principal) -> None:
    """A budget that the next calls take past its mark of 80 %, so that there is an alert."""
    first = await app.budgets.set(ada, Scope.ORGANISATION, None, Period.MONTH, 1, hard=False)
    spent = max(usd(first.standing.spent), _USD_A_TASK)  # on the first of a month it may be nothing
    await app.budgets.set(ada, Scope.ORGANISATION, None, Period.MONTH, 1.0001 * spent / 0.8, hard=False)


def _weather(app: App, providers: Providers, chance: random.Random, tasks: int) -> None:
    """How the vendors are: of so many answers some fail, so that another one is asked; some days are slower than
    others.
    """
    start_afresh(app, providers)
    providers.groq.faults = [Fault(kind="status", status=503) for _ in range(tasks) if chance.random() < _FAILING]
    providers.groq.latency, providers.openai.latency = chance.uniform(0.02, 0.06), chance.uniform(0.1, 0.2)
    for provider in (providers.openai, providers.groq):
        provider.answer = lambda body: _answer(str(body["model"]), str(body["messages"][-1]["content"]))


def _answer(model: str, prompt: str) -> str:
    chance = random.Random(prompt)
    return f"[simulated {model}] {' '.join(chance.choices(_WORDS, k=chance.randrange(8, 30)))}."


def _wish(chance: random.Random, people: Mapping[str, Account]) -> tuple[Principal, TaskRequest, int | None]:
    """Who wants what, and how they rate the answer. Agents are there for whoever manages some."""
    who = people[chance.choice(_WORKERS)].principal
    agent = "default" if who.role == "task_executor" else chance.choice(list(_PROMPTS))
    prompt = chance.choice(_PROMPTS[agent]).format(n=chance.randrange(100, 1000))
    most = 1e-7 if chance.random() < 0.03 else None  # for which there is no model
    rating = chance.choice((3, 4, 4, 5)) if chance.random() < 0.2 else None
    return who, TaskRequest(prompt=prompt, agent=agent, max_cost_usd=most), rating


async def _work(app: App, who: Principal, request: TaskRequest, rating: int | None) -> tuple[Principal, str]:
    """Whose task it was, and its id."""
    task = await app.tasks.submit(who, request)
    told = await app.tasks.follow(who, task.id, _WAIT_SECONDS)
    if rating and told.task.status is TaskStatus.COMPLETED:
        await app.tasks.rate(who, task.id, rating)
    return who, task.id


async def _compare(app: App, who: Principal, chance: random.Random) -> None:
    prompt = chance.choice(_PROMPTS["default"]).format(n=chance.randrange(100, 1000))
    begun = await app.comparisons.start(who, ComparisonRequest(prompt=prompt, models=tuple(_COMPARED)))
    for entry in (await app.comparisons.tell(who, begun.id)).entries:
        await app.tasks.follow(who, entry.place.task_id, _WAIT_SECONDS)
        await app.tasks.rate(
            who, entry.place.task_id, chance.choice(_COMPARED[f"{entry.place.provider}/{entry.place.model}"])
        )


async def _announce(app: App, who: Principal, what: str) -> str:
    """The run, which asks whether it may go on."""
    run = await app.runs.start(who, RunRequest(workflow="announce", inputs={"what": what}))
    told = await app.runs.follow(who, run.id, _WAIT_SECONDS)
    assert told.run.status is TaskStatus.AWAITING_APPROVAL
    return run.id

"""Providers that drip, and names that lead nowhere or are looked up without end: the call ends in time with a sentence,
another one answers, and what may have cost something is booked at its worst case.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from patience import impatient
from receivers import receiving
from server import one_sentence, soon
from stores import copy_into
from world import Providers, settings_for

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.execution.dbos_engine import _THREADS
from vel_tutor_mcp.models import AgentConfig, AgentType, FailureKind, Outcome, TaskRequest, TaskStatus
from vel_tutor_mcp.services.webhooks.course import Pace
from vel_tutor_mcp.store.webhook_deliveries import State

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
TOKEN = b'data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n'
COMMENT = b": " + 500 * b"."
A_MINUTE, QUICKLY = 60.0, 0.05
# Twice the threads of the execution engine.
MANY = 2 * _THREADS

Serving = Callable[..., AbstractAsyncContextManager[App]]


@pytest.fixture
def serving(providers: Providers, tmp_path: Path, migrated_file: Path) -> Serving:
    """Opens the product on a new database with these settings."""
    copy_into(tmp_path / "home", migrated_file)

    def made(**values: Any) -> AbstractAsyncContextManager[App]:
        return open_app(settings_for(providers, tmp_path / "home", **values))

    return made


@dataclass
class Dripping:
    """A provider that says the one at once, and the other a byte at a time."""

    url: str
    asked: asyncio.Event


@asynccontextmanager
async def dripping(at_once: bytes, then: bytes, seconds: float) -> AsyncIterator[Dripping]:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.write(at_once)
        for number in range(len(then)):
            writer.write(then[number : number + 1])
            if await said(left.wait(), seconds):
                break
        writer.transport.abort()

    asked, left = asyncio.Event(), asyncio.Event()
    async with await asyncio.start_server(drip, "127.0.0.1") as server:
        yield Dripping(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked)
        left.set()


async def said(what: Coroutine[Any, Any, bool], seconds: float) -> bool:
    """Whether it happened in so many seconds."""
    try:
        return await asyncio.wait_for(what, seconds)
    except TimeoutError:
        return False


FIRST, NEXT, THE_END = ("first_token", "reasoning"), ("between_tokens",), ()


@pytest.mark.parametrize(
    ("at_once", "then", "seconds", "waits", "limit"),
    [
        (b"", HEAD, QUICKLY, FIRST, "1 s for the first token"),
        (b"", HEAD, A_MINUTE, FIRST, "1 s for the first token"),
        (HEAD, COMMENT, QUICKLY, FIRST, "1 s for the first token"),
        (HEAD, TOKEN, A_MINUTE, FIRST, "1 s for the first token"),
        (HEAD + TOKEN, TOKEN, A_MINUTE, NEXT, "1 s for the next token"),
        (HEAD + TOKEN, COMMENT, QUICKLY, THE_END, "4 s for the end"),
    ],
    ids=["head", "slow-head", "comment", "slow-token", "slow-rest", "comment-after-token"],
)
async def test_a_provider_that_drips_is_left_in_time_and_booked_at_its_worst_case_and_another_one_answers(
    serving: Serving, at_once: bytes, then: bytes, seconds: float, waits: tuple[str, ...], limit: str
) -> None:
    async with dripping(at_once, then, seconds) as provider, serving(groq_base_url=provider.url) as app:
        me, config = app.local_principal, AgentConfig(timeout_seconds=60 if waits else 4)
        await app.agents.create(me, "hasty", AgentType.RESEARCHER, config)
        with impatient(*waits):
            task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent="hasty"))
            await soon(provider.asked.wait())
        told = await soon(app.tasks.follow(me, task.id, 30))

    dripped, answered = told.attempts
    assert (told.task.status, answered.provider) == (TaskStatus.COMPLETED, "openai")
    assert (dripped.failure, dripped.partial or "") == (FailureKind.TIMEOUT, "Hello" if TOKEN in at_once else "")
    assert limit in (dripped.error or "")
    assert (dripped.cost_nanousd or 0) > 100 * (answered.cost_nanousd or 0) > 0


async def test_a_proxy_that_cannot_be_used_costs_nothing_and_keeps_nothing_from_opening(
    serving: Serving, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    async with serving(local_base_url=providers.groq.base_url) as app:
        me = app.local_principal
        await app.warm()
        config = AgentConfig(max_retries=0, providers=("groq", "openai"))
        await app.agents.create(me, "hasty", AgentType.RESEARCHER, config)
        task = await app.tasks.submit(me, TaskRequest(prompt="Say hello", agent="hasty"))
        told = await soon(app.tasks.follow(me, task.id, 30))

    assert told.task.error
    assert told.task.error.code == "no_answer"
    assert {attempt.provider for attempt in told.attempts} == {"groq", "openai"}
    assert {(attempt.failure, attempt.cost_nanousd) for attempt in told.attempts} == {(FailureKind.CONNECTION, 0)}
    assert "ALL_PROXY" in (told.attempts[0].error or "")


class Names:
    """Looks names of `.test` up as a test says; `hanging.test` until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self._really = socket.getaddrinfo

    def look_up(self, host: Any, *more: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return self._really(name, *more, **options)
        match name:
            case "gone.test":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            case "away.test":
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            case "hanging.test":
                self.released.wait(60)
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            case "here.test":
                name = "127.0.0.1"
        return self._really(name, *more, **options)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    yield names
    names.released.set()


def at(name: str, url: str) -> str:
    """The same place by this name."""
    return url.replace("127.0.0.1", name)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize(
    ("name", "words"), [("gone.test", "Name or service not known"), ("away.test", "Temporary failure")]
)
async def test_a_provider_whose_name_is_not_found_costs_nothing_and_another_one_answers(
    serving: Serving, providers: Providers, name: str, words: str
) -> None:
    async with serving(groq_base_url=at(name, providers.groq.base_url)) as app:
        task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say hello"))
        told = await soon(app.tasks.follow(app.local_principal, task.id, 30))

    sought, answered = told.attempts
    assert (told.task.status, answered.provider) == (TaskStatus.COMPLETED, "openai")
    assert (sought.failure, sought.cost_nanousd) == (FailureKind.CONNECTION, 0)
    assert words in (sought.error or "")
    assert one_sentence(sought.error or "")


async def test_a_name_that_is_looked_up_without_end_holds_up_no_other(
    serving: Serving, providers: Providers, names: Names
) -> None:
    # Where so many are answered at once none is answered soon.
    places = {"groq_base_url": at("hanging.test", providers.groq.base_url), "tasks_in_progress": MANY}
    places |= {"openai_base_url": at("here.test", providers.openai.base_url), "connect_timeout_seconds": 0.5}
    async with serving(**places, first_token_timeout_seconds=20) as app:
        me, requests = app.local_principal, [TaskRequest(prompt=f"Say {number}") for number in range(MANY)]
        tasks = await soon(asyncio.gather(*(app.tasks.submit(me, request) for request in requests)))
        told = await soon(asyncio.gather(*(app.tasks.follow(me, task.id, 30) for task in tasks)))
        names.released.set()

    sought = [attempt for one in told for attempt in one.attempts if attempt.provider == "groq"]
    assert {(one.task.status, one.task.provider) for one in told} == {(TaskStatus.COMPLETED, "openai")}
    assert {(each.outcome, each.failure, each.cost_nanousd) for each in sought} == {
        (Outcome.FAILED, FailureKind.TIMEOUT, 0)
    }
    assert all("0.5 s for a connection" in (each.error or "") for each in sought)


async def test_webhooks_whose_names_lead_nowhere_are_told_so_in_their_log_and_hold_up_no_other(
    serving: Serving, names: Names
) -> None:
    async with receiving() as receiver, serving(private_networks="127.0.0.1/32") as app:
        app.webhooks.sender._pace = Pace(pauses=(0.0, 0.0), timeout_seconds=0.5)
        me = app.local_principal
        hooks = {
            name: (await app.webhooks.create(me, at(name, receiver.url), ["task.completed"]))[0]
            for name in ("gone.test", "hanging.test", "here.test")
        }
        task = await app.tasks.submit(me, TaskRequest(prompt="Say hello"))
        await receiver.heard(1)
        ended = {name: await soon(delivered(app, hook.id)) for name, hook in hooks.items()}
        names.released.set()

    # On a slow machine it may be sent once more.
    assert {(sent.path, task.id in sent.body.decode()) for sent in receiver.sent} == {("/hook", True)}
    assert {name: state for name, (state, _) in ended.items()} == {
        "gone.test": State.FAILED,
        "hanging.test": State.FAILED,
        "here.test": State.DELIVERED,
    }
    assert [len(ended[name][1]) for name in ("gone.test", "hanging.test")] == [3, 3]
    assert {*ended["gone.test"][1]} == {
        "it cannot be reached: no connection, no such name, or an address that is not called"
    }
    assert {*ended["hanging.test"][1]} == {"no answer within 0.5 s"}


async def delivered(app: App, webhook_id: str) -> tuple[State, list[Any]]:
    """How its delivery ended, and what was wrong with each try."""
    while True:
        (row,) = (await app.webhooks.deliveries(app.local_principal, webhook_id)).rows
        if row.state is not State.WAITING:
            return row.state, [attempt["error"] for attempt in row.attempts]

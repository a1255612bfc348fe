"""Where the time of a task goes, in one process: the product without its protocol, asked by 1 caller and by 32.

The parts follow one another, so that their sum is about the whole. The product measures nothing of itself: its methods
are wrapped from outside, and SQLAlchemy tells of every statement.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa
from databases import databases
from measure import Result, fewer
from sqlalchemy import event
from upstream import upstream

from vel_tutor_mcp.app import App, open_app
from vel_tutor_mcp.execution.dbos_engine import DbosEngine
from vel_tutor_mcp.models import TaskRequest
from vel_tutor_mcp.services.answers import Answers
from vel_tutor_mcp.services.booking import Booking
from vel_tutor_mcp.services.tasks import Tasks
from vel_tutor_mcp.settings import Settings

WORDS = 20
WARMUPS = 40
TASKS = 160
CALLERS = (1, 32)

Moment = tuple[str, str]
Method = Callable[..., Awaitable[Any]]

# Each part ends where the next begins: what is wrapped, and which end of it.
_PARTS: dict[str, Moment] = {
    "submit: transaction": ("start", "begun"),
    "start of the engine's work": ("run", "begun"),
    "begin: transaction": ("begin", "ended"),
    "open the attempt: transaction": ("open", "ended"),
    "provider's call": ("conclude", "begun"),
    "conclude: transaction": ("conclude", "ended"),
    "follow: told and read": ("follow", "ended"),
}
_SUBMITTED: Moment = ("submit", "begun")
# Methods with a task's id somewhere in their arguments: whose, its name, what it is called here, where the id is.
_WRAPPED: tuple[tuple[type, str, str, Callable[..., str]], ...] = (
    (DbosEngine, "start", "start", lambda _, work: work.task_id),
    (Answers, "run", "run", lambda _, work, *__: work.task_id),
    (Answers, "_begin", "begin", lambda _, work, *__: work.task_id),
    (Booking, "_open", "open", lambda book, *_: book.subject.task.id),
    (Answers, "_conclude", "conclude", lambda _, job, __: job.subject.task.id),
    (Tasks, "follow", "follow", lambda _, __, task_id, *___: task_id),
)
_OURS, _ENGINES = "SQL of ours", "SQL of the engine"
_DRIVERS_OF_OURS = frozenset({"aiosqlite", "asyncpg"})


@dataclass(frozen=True, slots=True)
class Watch:
    """When what began and ended, by task; and how much SQL there was."""

    moments: defaultdict[str, dict[Moment, float]] = field(default_factory=lambda: defaultdict(dict))
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, task_id: str, what: str, end: str) -> None:
        self.moments[task_id].setdefault((what, end), time.perf_counter())

    def forget(self) -> None:
        self.moments.clear()
        self.counts.clear()


@dataclass(frozen=True, slots=True)
class Clock:
    """What has passed, in seconds."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)
    loop: float = field(default_factory=time.thread_time)


async def results(share: float) -> list[Result]:
    found: list[Result] = []
    with databases() as urls:
        for name, url in urls.items():
            with TemporaryDirectory(ignore_cleanup_errors=True) as folder, upstream(WORDS) as provider:
                settings = {
                    "home": Path(folder),
                    "database_url": url,
                    "openai_api_key": "dummy-key",
                    "openai_base_url": provider.base_url,
                    "tasks_in_progress": max(CALLERS),
                }
                found += await _on(name, Settings.model_validate(settings), fewer(TASKS, share))
    return found


async def _on(name: str, settings: Settings, tasks: int) -> list[Result]:
    watch = Watch()
    with _watching(watch), _counting(watch):
        async with open_app(settings) as app:
            return [
                line
                for callers in CALLERS
                for line in await _parts(f"{name}, {callers} at once", app, watch, callers, tasks)
            ]


async def _parts(name: str, app: App, watch: Watch, callers: int, tasks: int) -> list[Result]:
    await _ask(app, WARMUPS, callers)
    watch.forget()
    begun = Clock()
    await _ask(app, tasks, callers)
    ended = Clock()
    counts = sorted(watch.counts.items())
    return [
        Result(name=f"{name}: pace", unit="tasks/s", ours=tasks / (ended.wall - begun.wall)),
        Result(name=f"{name}: CPU", unit="ms CPU", ours=(ended.cpu - begun.cpu) / tasks * 1000),
        Result(name=f"{name}: of it the loop's thread", unit="ms CPU", ours=(ended.loop - begun.loop) / tasks * 1000),
        *(Result(name=f"{name}: {part}", unit="ms", ours=value) for part, value in _durations(watch).items()),
        *(Result(name=f"{name}: {what}", unit="a task", ours=count / tasks) for what, count in counts),
    ]


def _durations(watch: Watch) -> dict[str, float]:
    """Each part's median, in milliseconds."""
    parts: defaultdict[str, list[float]] = defaultdict(list)
    for moments in watch.moments.values():
        last = begun = moments[_SUBMITTED]
        for part, moment in _PARTS.items():
            parts[part].append((moments[moment] - last) * 1000)
            last = moments[moment]
        parts["whole"].append((last - begun) * 1000)
    return {part: median(values) for part, values in parts.items()}


async def _ask(app: App, tasks: int, callers: int) -> None:
    left = iter(range(tasks))

    async def ask() -> None:
        for _ in left:
            task = await app.tasks.submit(app.local_principal, TaskRequest(prompt="Say something short."))
            told = await app.tasks.follow(app.local_principal, task.id, 45)
            assert told.task.status.value == "completed", told.task

    await asyncio.gather(*(ask() for _ in range(callers)))


@contextmanager
def _watching(watch: Watch) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, what, task_of in _WRAPPED:
            stack.enter_context(patch.object(owner, name, _noted(getattr(owner, name), watch, what, task_of)))
        stack.enter_context(patch.object(Tasks, "submit", _submitting(Tasks.submit, watch)))
        yield


def _noted(method: Method, watch: Watch, what: str, task_of: Callable[..., str]) -> Method:
    @wraps(method)
    async def noted(*args: Any) -> Any:
        task_id = task_of(*args)
        watch.note(task_id, what, "begun")
        try:
            return await method(*args)
        finally:
            watch.note(task_id, what, "ended")

    return noted


def _submitting(method: Method, watch: Watch) -> Method:
    """A task has its id only when it was submitted."""

    @wraps(method)
    async def submitting(*args: Any) -> Any:
        begun = time.perf_counter()
        task = await method(*args)
        watch.moments[task.id][_SUBMITTED] = begun
        return task

    return submitting


@contextmanager
def _counting(watch: Watch) -> Iterator[None]:
    """Counts what goes to a database, of all engines there are: BEGIN and COMMIT are no statements."""

    def whose(connection: sa.Connection) -> str:
        return _OURS if connection.dialect.driver in _DRIVERS_OF_OURS else _ENGINES

    def statement(connection: sa.Connection, _: Any, text: str, *__: Any) -> None:
        if not text.startswith("BEGIN"):
            watch.counts[f"{whose(connection)}, statements"] += 1

    def transaction(connection: sa.Connection) -> None:
        watch.counts[f"{whose(connection)}, transactions"] += 1

    event.listen(sa.Engine, "before_cursor_execute", statement)
    event.listen(sa.Engine, "begin", transaction)
    try:
        yield
    finally:
        event.remove(sa.Engine, "before_cursor_execute", statement)
        event.remove(sa.Engine, "begin", transaction)

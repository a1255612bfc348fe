"""What the processes on one database tell each other: news of tasks, cancellations, and that work waits.

On PostgreSQL they are notified. On SQLite they read: news is in the tasks' history, which is looked at while somebody
waits for a task that runs elsewhere; for the rest the care loop's look each second is enough. Nothing may depend on a
signal: each can get lost, and each is found in the database a little later.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import NamedTuple, Protocol

from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.models import ENDED, TaskStatus, Work
from vel_tutor_mcp.news import News
from vel_tutor_mcp.services import record
from vel_tutor_mcp.store import history, runs
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken
from vel_tutor_mcp.store.notifications import Notifications
from vel_tutor_mcp.store.postgresql import PostgresDatabase
from vel_tutor_mcp.workflows.model import RunEvent

_LOOK_SECONDS = 0.25
_JUST_READ = timedelta(seconds=1)
# A notification has room for 8000 bytes, and a character may take 12 of them in JSON.
_LONGEST_MESSAGE = 600

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ears:
    """What to do with what is heard.

    Attributes:
        news: told of a task's id and its news.
        cancel: told of the work whose call is to stop, where it runs here.
        work: work waits for a process that has room for it.
        elsewhere: the tasks that somebody here waits for and that do not run here.
    """

    news: Callable[[str, News], None]
    cancel: Callable[[Work], None]
    work: Callable[[], None]
    elsewhere: Callable[[], set[str]]


class Wire(Protocol):
    """Tells and hears signals."""

    def tell_news(self, task_id: str, news: News) -> None: ...

    def tell_cancel(self, work: Work) -> None: ...

    def tell_work(self) -> None: ...

    async def listen(self, ears: Ears) -> None:
        """Hear until cancelled."""
        ...


def wire_on(database: Database, executor: str) -> Wire:
    """The kind of wire that the database gives; `executor` names this process."""
    if isinstance(database, PostgresDatabase):
        return NotifyingWire(Notifications(database))
    return ReadingWire(database, executor)


class NotifyingWire:
    """Every signal is a notification: a JSON object whose `about` says what it is."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    def tell_news(self, task_id: str, news: News) -> None:
        told = asdict(news) | {"message": news.message[:_LONGEST_MESSAGE]}
        self._tell(about="news", task=task_id, news=told)

    def tell_cancel(self, work: Work) -> None:
        # A process of an older version knows tasks alone.
        self._tell(about="cancel", task=work.task_id, work=work.id)

    def tell_work(self) -> None:
        self._tell(about="work")

    async def listen(self, ears: Ears) -> None:
        await self._notifications.listen(lambda text: _heard(text, ears))

    def _tell(self, **signal: object) -> None:
        self._notifications.tell(json.dumps(signal))


def _heard(text: str, ears: Ears) -> None:
    signal = json.loads(text)
    match signal["about"]:
        case "news":
            ears.news(signal["task"], News(**signal["news"]))
        # One of an older version does not say which set it is for: the care loop finds that.
        case "cancel" if "work" in signal:
            ears.cancel(Work.of(signal["work"]))
        case "work":
            ears.work()


class ReadingWire:
    """Tells nothing; hears by reading the history of the tasks and runs that somebody here waits for."""

    def __init__(self, database: Database, executor: str) -> None:
        self._database = database
        self._executor = executor

    def tell_news(self, subject_id: str, news: News) -> None: ...

    def tell_cancel(self, work: Work) -> None: ...

    def tell_work(self) -> None: ...

    async def listen(self, ears: Ears) -> None:
        known: _Known | None = None
        while True:
            try:
                # Where nobody waits, the next who does begins with what is new then.
                known = await self._look(ears, known) if ears.elsewhere() else None
            except VelError as problem:
                _log.debug("News of other processes could not be read; %s", problem)
            except Exception:  # noqa: BLE001 - whatever it is, the others must be heard again
                _log.exception("Listening to other processes met a fault and goes on.")
            await asyncio.sleep(_LOOK_SECONDS)

    @unbroken
    async def _look(self, ears: Ears, known: "_Known | None") -> "_Known":
        """Tell what is newer than the events `known`; returns the newest."""
        async with self._database.read(INSTALLATION) as tx:
            if known is None:  # who begins to wait has just read how it stood
                before = record.now() - _JUST_READ
                known = _Known(await history.last_sequence(tx, before), await runs.last_sequence(tx, before))
            of_tasks = await history.events_after(tx, known.of_tasks)
            of_runs = await runs.events_after(tx, known.of_runs, self._executor)
        elsewhere = ears.elsewhere()
        for _, task_id, event in of_tasks:
            if task_id in elsewhere:
                ears.news(task_id, News(event.percent, event.message, ended=event.kind in ENDED))
        for _, run_id, line in of_runs:
            if run_id in elsewhere:
                ears.news(run_id, News(line.percent, line.message, ended=_is_to_be_looked_at(line)))
        return _Known(_last(of_tasks, known.of_tasks), _last(of_runs, known.of_runs))


class _Known(NamedTuple):
    """The numbers of the newest events that were told."""

    of_tasks: int
    of_runs: int


def _is_to_be_looked_at(line: RunEvent) -> bool:
    """Whether who waits for the run may have what they wait for: its own end, or a question."""
    return line.kind == TaskStatus.AWAITING_APPROVAL or (line.step_id is None and line.kind in ENDED)


def _last(events: Sequence[tuple[int, str, object]], known: int) -> int:
    return events[-1][0] if events else known

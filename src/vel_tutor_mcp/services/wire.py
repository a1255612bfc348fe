"""What the processes on one database tell each other: news of tasks, cancellations, and that work waits.

On PostgreSQL they are notified. On SQLite they read: news is in the tasks' history, which is looked at while somebody
waits for a task that runs elsewhere; for the rest the care loop's look each second is enough. Nothing may depend on a
signal: each can get lost, and each is found in the database a little later.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Protocol

from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.models import ENDED, News
from vel_tutor_mcp.services import record
from vel_tutor_mcp.store import history
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.store.notifications import Notifications
from vel_tutor_mcp.store.postgresql import PostgresDatabase

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
        cancel: told of a task whose call is to stop, where it runs here.
        work: work waits for a process that has room for it.
        elsewhere: the tasks that somebody here waits for and that do not run here.
    """

    news: Callable[[str, News], None]
    cancel: Callable[[str], None]
    work: Callable[[], None]
    elsewhere: Callable[[], set[str]]


class Wire(Protocol):
    """Tells and hears signals."""

    def tell_news(self, task_id: str, news: News) -> None: ...

    def tell_cancel(self, task_id: str) -> None: ...

    def tell_work(self) -> None: ...

    async def listen(self, ears: Ears) -> None:
        """Hear until cancelled."""
        ...


def wire_on(database: Database) -> Wire:
    """The kind of wire that the database gives."""
    if isinstance(database, PostgresDatabase):
        return NotifyingWire(Notifications(database))
    return ReadingWire(database)


class NotifyingWire:
    """Every signal is a notification: a JSON object whose `about` says what it is."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    def tell_news(self, task_id: str, news: News) -> None:
        told = asdict(news) | {"message": news.message[:_LONGEST_MESSAGE]}
        self._tell(about="news", task=task_id, news=told)

    def tell_cancel(self, task_id: str) -> None:
        self._tell(about="cancel", task=task_id)

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
        case "cancel":
            ears.cancel(signal["task"])
        case "work":
            ears.work()


class ReadingWire:
    """Tells nothing; hears by reading the history of the tasks that somebody here waits for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tell_news(self, task_id: str, news: News) -> None: ...

    def tell_cancel(self, task_id: str) -> None: ...

    def tell_work(self) -> None: ...

    async def listen(self, ears: Ears) -> None:
        known: int | None = None
        while True:
            try:
                known = await self._look(ears, known) if ears.elsewhere() else None
            except VelError as problem:
                _log.debug("News of other processes could not be read; %s", problem)
            await asyncio.sleep(_LOOK_SECONDS)

    @unbroken
    async def _look(self, ears: Ears, known: int | None) -> int:
        """Tell what is newer than the event `known`; returns the number of the newest."""
        async with self._database.read() as tx:
            if known is None:  # who begins to wait has just read how the task stood
                known = await history.last_sequence(tx, record.now() - _JUST_READ)
            events = await history.events_after(tx, known)
        elsewhere = ears.elsewhere()
        for sequence, task_id, event in events:
            known = sequence
            if task_id in elsewhere:
                ears.news(task_id, News(event.percent, event.message, ended=event.kind in ENDED))
        return known

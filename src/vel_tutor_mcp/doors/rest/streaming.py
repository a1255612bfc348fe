"""A task as server-sent events: its history from where the client left it, what it says meanwhile, and its end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.doors.events import HEARTBEAT, HEARTBEAT_SECONDS, data_of
from vel_tutor_mcp.doors.rest.asking import Asked
from vel_tutor_mcp.doors.rest.shown import shown_task
from vel_tutor_mcp.errors import VelError
from vel_tutor_mcp.news import News
from vel_tutor_mcp.services.streams import Chapter

MAX_ID = 2**63 - 1
# At most four a second are told.
_PAUSE_SECONDS = 0.25
_RETRY_MS = 2000


@dataclass(slots=True)
class TaskStream:
    """One client's stream; `seen` is the number of the last event that it has."""

    visit: Asked
    task_id: str
    seen: int
    heartbeat_seconds: float = HEARTBEAT_SECONDS

    async def begins(self) -> bool:
        """Whether there is anything to tell, now or later.

        Raises:
            NotFound: there is no such task that they may see.
        """
        chapter = await self._read()
        return bool(chapter.events) or not chapter.task.status.ended

    async def lines(self) -> AsyncIterator[str]:
        """The stream, until the task ends or the product closes; whose token ends is shown out by the bearer door."""
        yield f"retry: {_RETRY_MS}\n\n"
        heard: News | None = None
        try:
            # Before the first look: what happens between the look and the wait is heard.
            with self.visit.app.streams.listen(self.task_id) as listener:
                while True:
                    chapter = await self._read()
                    for text in await self._told(chapter, heard):
                        yield text
                    if chapter.task.status.ended or self.visit.app.streams.closing():
                        return
                    await listener.wait(self.heartbeat_seconds)
                    await listener.pause(_PAUSE_SECONDS)
                    heard = listener.take()
                    if heard is None:
                        yield HEARTBEAT
        except VelError:  # the client comes again, and is told why
            return

    async def _read(self) -> Chapter:
        return await self.visit.app.streams.read(self.visit.me, self.task_id, self.seen)

    async def _told(self, chapter: Chapter, heard: News | None) -> list[str]:
        status = chapter.task.status
        if not chapter.events and heard is not None and not heard.ended:  # of the tokens so far: not in the history
            return [_event("progress", {"progress": heard.percent, "status": status, "message": heard.message})]
        told = []
        for number, event in chapter.events:
            data = {"progress": event.percent, "status": status, "message": event.message, "step": event.kind}
            told.append(_event("progress", data, number))
            self.seen = number
        if status.ended:
            # The last line of the history is its end, which is told as that and not twice.
            told[-1:] = [await self._end(chapter)]
        return told

    async def _end(self, chapter: Chapter) -> str:
        shown = shown_task(await self.visit.app.tasks.tell(self.visit.me, self.task_id))
        told = {name: shown[name] for name in ("status", "result", "error", "cost_usd")}
        message = chapter.events[-1][1].message if chapter.events else chapter.task.status.value
        return _event("complete", {"progress": 100, "message": message} | told, self.seen)


def _event(name: str, data: dict[str, Any], number: int | None = None) -> str:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\n{data_of(data)}"

"""Opens the product behind a door that already answers, as often as it takes, and stops it."""

import asyncio
import gc
import logging
from contextlib import AbstractAsyncContextManager
from itertools import chain, repeat
from typing import TYPE_CHECKING

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.errors import ConfigurationError, Unavailable, VelError
from vel_tutor_mcp.settings import Settings

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App, Prepared
    from vel_tutor_mcp.services.plan_tasks import Ask

_PAUSES_SECONDS = (1, 2)
_LONGEST_PAUSE_SECONDS = 5
# The process ends soon after this, and answers leave in tasks and threads of their own.
_REPLIES_LEAVE_SECONDS = 0.2
# Connections that end leave cycles behind: with fewer collections a flood of them costs twice the memory.
_YOUNG_OBJECTS = (5_000, 5, 5)

_log = logging.getLogger(__name__)


class Opening:
    """Hands the desk the product, or what keeps it from opening: a database that is away may come back."""

    def __init__(self, settings: Settings, desk: Desk) -> None:
        self._settings = settings
        self._desk = desk
        self._prepared: Prepared | None = None
        self._app: App | None = None
        self._running: asyncio.Task[None] | None = None
        self._said: set[str] = set()

    def begin(self) -> "asyncio.Task[None]":
        """Open the product in the background; the task ends when it is open, or when it can never be."""
        self._running = asyncio.create_task(self._run())
        # Kept, as other tasks here are: the loop itself holds a task weakly, and it could be collected in the middle.
        self._tidying = asyncio.create_task(self._tidy())
        return self._running

    async def stop(self) -> None:
        """Open no more; of what is open, let running answers end, then cut them (`App.stop`).

        Whoever waited for a task is told before this returns.
        """
        if self._running is not None:
            self._running.cancel()
        # Taken out first: the end of stdin and a signal may both stop it, and the product is stopped once.
        app, self._app = self._app, None
        if app is None:
            self._desk.failed(Unavailable("The server is being stopped; it was not open yet; try when it is back."))
        if app is None or await app.stop():
            await asyncio.sleep(_REPLIES_LEAVE_SECONDS)

    async def _run(self) -> None:
        for pause in chain(_PAUSES_SECONDS, repeat(_LONGEST_PAUSE_SECONDS)):
            try:
                await self._open()
            except Unavailable as problem:
                self._refuse(problem)
            except VelError as problem:
                self._refuse(problem)
                return
            except Exception as problem:  # noqa: BLE001 - the door's last resort: every call then says what happened
                _log.exception("The product could not be opened.")
                # Not its text: health tells the reason to anybody, and a stranger's text may hold a secret.
                reason = f"it met an unexpected {type(problem).__name__}; its log on stderr has the details"
                self._desk.failed(ConfigurationError(f"The server could not start; {reason}."))
                return
            else:
                return
            await asyncio.sleep(pause)

    async def _open(self) -> None:
        # Done once: where only launching fails, the schema and the lease are as they should be.
        if self._prepared is None:
            self._prepared = await in_thread(lambda: _prepare(self._settings))
        self._app = await self._prepared.launch()
        self._app.make_plans(_gateway)
        self._desk.opened(self._app)
        self._warming = asyncio.create_task(self._app.warm())

    async def _tidy(self) -> None:
        """Once everything is loaded, collect garbage among what comes later: what is loaded stays."""
        await self._desk.settled()
        gc.freeze()
        gc.set_threshold(*_YOUNG_OBJECTS)
        # For stdio `__main__` has switched it off, since loading makes no garbage.
        gc.enable()

    def _refuse(self, problem: VelError) -> None:
        self._desk.failed(problem)
        if str(problem) not in self._said:  # it is tried every few seconds
            self._said.add(str(problem))
            _log.error("%s", problem)


def _gateway(ask: "Ask") -> AbstractAsyncContextManager[str]:
    from vel_tutor_mcp.doors.gateway import loopback

    return loopback.serving(ask)


def _prepare(settings: Settings) -> "Prepared":
    from vel_tutor_mcp.app import prepare

    return prepare(settings)

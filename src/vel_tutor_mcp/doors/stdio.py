"""MCP over stdin and stdout: answers at once, opens the product in the background, leaves without joining threads."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.doors.reply import exit_code, sentence
from vel_tutor_mcp.errors import ConfigurationError, VelError
from vel_tutor_mcp.settings import Settings, load_settings

_ANSWER_LEAVES_SECONDS = 0.005
_OPEN_ANYWAY_SECONDS = 2.0
# What was drained has its answer; whoever waits for it is told before the process goes.
_REPLIES_LEAVE_SECONDS = 0.2

_log = logging.getLogger(__name__)


def start() -> None:
    """Serve with this process's settings; where they are wrong, say so on stderr and exit with 78 (see `reply`)."""
    try:
        settings = load_settings()
    except ConfigurationError as problem:
        print(f"vel-tutor-mcp: {sentence(problem)}", file=sys.stderr)  # noqa: T201 - there is no log yet
        sys.exit(exit_code(problem))
    serve(settings)


def serve(settings: Settings) -> None:
    """Serve until stdin ends or a signal comes; never returns."""
    logging.basicConfig(stream=sys.stderr, level=settings.log_level)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_Door(settings).serve())
    _leave()


class _Door:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._answered = asyncio.Event()
        self._app: Any = None
        self._leaving: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        self._on_signals()
        server = make_server(self._opened, middleware=[self._first_answer], log_level=self._settings.log_level)
        await server.run_stdio_async()

    async def _first_answer(self, ctx: Any, call_next: Any) -> Any:
        try:
            return await call_next(ctx)
        finally:
            self._answered.set()

    @asynccontextmanager
    async def _opened(self, desk: Desk) -> AsyncIterator[None]:
        opening = asyncio.create_task(self._open(desk))
        try:
            yield
        finally:
            opening.cancel()
            await self._stop()

    async def _open(self, desk: Desk) -> None:
        # The heavy imports would slow the first answer: they begin when it has left, or when none is asked for.
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_ANYWAY_SECONDS):
                await self._answered.wait()
        await asyncio.sleep(_ANSWER_LEAVES_SECONDS)
        try:
            await self._open_product(desk)
        finally:
            gc.freeze()  # what is loaded stays: no collection needs to look at it again
            gc.enable()

    async def _open_product(self, desk: Desk) -> None:
        try:
            prepared = await _in_thread(lambda: _prepare(self._settings))
            self._app = await prepared.launch()
            desk.opened(self._app)
        except VelError as problem:
            _log.error("%s", problem)
            desk.failed(problem)
        except Exception as problem:  # noqa: BLE001 - the door's last resort: every call then says what happened
            _log.exception("The product could not be opened.")
            desk.failed(
                ConfigurationError(f"The server could not start; {problem}; its log on stderr has the details.")
            )

    async def _stop(self) -> None:
        if self._app is not None:
            app, self._app = self._app, None
            await app.stop()

    def _on_signals(self) -> None:
        # A thread sits in a read of stdin, which no signal interrupts: close what matters, then leave.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._leave_soon)
            except NotImplementedError:  # Windows has no handlers on the loop
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._leave_soon))

    def _leave_soon(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._stop_and_leave())

    async def _stop_and_leave(self) -> None:
        try:
            await self._stop()
            if self._settings.drain_seconds:
                await asyncio.sleep(_REPLIES_LEAVE_SECONDS)
        finally:
            _leave()


def _prepare(settings: Settings) -> Any:
    from vel_tutor_mcp.app import prepare

    return prepare(settings)


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Like `asyncio.to_thread`, in a daemon thread: leaving must not wait for an import."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, problem: BaseException | None) -> None:
        if done.cancelled():
            return
        if problem is None:
            done.set_result(result)
        else:
            done.set_exception(problem)

    def run() -> None:
        result, problem = None, None
        try:
            result = work()
        except Exception as caught:  # noqa: BLE001 - carried over to the loop, whole
            problem = caught
        with suppress(RuntimeError):  # the loop is gone: so is whoever waited
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name="opening", daemon=True).start()
    return await done


def _leave() -> None:
    """End the process now: everything that matters is committed, and pools would only be joined."""
    logging.shutdown()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)

"""MCP over stdin and stdout: answers at once, opens the product in the background, leaves without joining threads."""

import asyncio
import sys
from contextlib import suppress
from typing import Any, NoReturn

from vel_tutor_mcp.doors import process, states
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.mcp import make_server
from vel_tutor_mcp.doors.opening import Opening
from vel_tutor_mcp.doors.pipes import Pipes
from vel_tutor_mcp.doors.reply import exit_code, sentence
from vel_tutor_mcp.doors.surface import surface_of
from vel_tutor_mcp.doors.traced import TracedCalls
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.settings import Settings, load_settings

_ANSWER_LEAVES_SECONDS = 0.005
_OPEN_ANYWAY_SECONDS = 2.0


def start() -> NoReturn:
    """Serve with this process's settings until stdin ends or a signal comes.

    Where the settings are wrong, say so on stderr and exit with 78 (see `reply`).
    """
    try:
        settings = load_settings()
    except ConfigurationError as problem:
        process.say(sentence(problem))
        sys.exit(exit_code(problem))
    process.run(settings, _Door(settings).serve())


class _Door:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._answered = asyncio.Event()
        self._desk = Desk()
        self._opening = Opening(settings, self._desk)

    async def serve(self) -> None:
        # A thread sits in a read of stdin, which no signal interrupts: close what matters, then leave.
        process.Signals(self._opening.stop).listen()
        server = make_server(
            self._desk,
            surface_of(self._settings),
            middleware=[self._first_answer],
            log_level=self._settings.log_level,
            request_state_security=states.security(self._settings),
        )
        server.watch(TracedCalls(server.cards, "pipe", trusted=True))
        opening = asyncio.create_task(self._open())
        await Pipes().serve(server)
        opening.cancel()
        await self._opening.stop()

    async def _first_answer(self, ctx: Any, call_next: Any) -> Any:
        try:
            return await call_next(ctx)
        finally:
            self._answered.set()

    async def _open(self) -> None:
        # The heavy imports would slow the first answer: they begin when it has left, or when none is asked for.
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_ANYWAY_SECONDS):
                await self._answered.wait()
        # The SDK writes in a task and a thread of its own, a moment after the answer was made.
        await asyncio.sleep(_ANSWER_LEAVES_SECONDS)
        self._opening.begin()

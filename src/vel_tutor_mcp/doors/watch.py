"""Whether the tokens of open requests are still good: all are looked at together, every few seconds."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.types import Scope

from vel_tutor_mcp.auth.accounts import Caller
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.errors import VelError

LOOK_SECONDS = 2.0
# Where the gate leaves in a request's scope what ends it.
SHOW_OUT = "vel_tutor_mcp.show_out"
_ENDED = (401, "AUTHENTICATION_REQUIRED", "The token ended meanwhile; it was revoked or has expired; sign in.")


# Compared by identity: one caller may have several requests open.
@dataclass(frozen=True, slots=True, eq=False)
class _Guest:
    caller: Caller
    show_out: Callable[[tuple[int, str, str]], None]


class Watch:
    """Shows out whose token has ended, or who is another one by now, with one question to the database for all."""

    def __init__(self, desk: Desk, seconds: float) -> None:
        self._desk = desk
        self._seconds = seconds
        self._guests: set[_Guest] = set()
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def over(self, caller: Caller, scope: Scope) -> Iterator[None]:
        """Watch over this request of the caller, which has come through the gate, until it is over."""
        guest = _Guest(caller, scope[SHOW_OUT])
        self._guests.add(guest)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._guests.discard(guest)

    async def _look(self) -> None:
        """Until nobody is there."""
        await asyncio.sleep(self._seconds)
        while self._guests:
            with suppress(VelError):  # the database is away: at the next look
                await self._look_once()
            await asyncio.sleep(self._seconds)

    async def _look_once(self) -> None:
        access = (await self._desk.product()).access
        ended = await access.ended({guest.caller for guest in self._guests})
        for guest in self._guests:
            if guest.caller in ended:
                guest.show_out(_ENDED)

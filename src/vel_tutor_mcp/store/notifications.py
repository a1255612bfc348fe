"""PostgreSQL's LISTEN and NOTIFY: short texts for the other processes on the database, which may get lost."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from vel_tutor_mcp.store.postgresql import PostgresDatabase

_CHANNEL = "vel_tutor"
_COME_BACK_SECONDS = 1.0
_MOST_WAITING = 1000

_log = logging.getLogger(__name__)


class Notifications:
    """One connection that listens and tells, made anew where it breaks."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        # Texts of an outage are of no use after it: the oldest go.
        self._outgoing: deque[str] = deque(maxlen=_MOST_WAITING)
        self._wake = asyncio.Event()

    def tell(self, text: str) -> None:
        """Send it soon; at most 8000 bytes."""
        self._outgoing.append(text)
        self._wake.set()

    async def listen(self, hear: Callable[[str], None]) -> None:
        """Hear what other processes tell, until cancelled."""
        while True:
            try:
                await self._converse(hear)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the others must be heard again
                if self._database.told(problem) is None:
                    _log.exception("Listening to other processes met a fault and goes on.")
            await asyncio.sleep(_COME_BACK_SECONDS)

    async def _converse(self, hear: Callable[[str], None]) -> None:
        connection = await self._database.connect()
        ours = connection.get_server_pid()

        def heard(_connection: Any, sender: int, _channel: str, text: str) -> None:
            # The server tells it to the connection that said it, too.
            if sender != ours:
                hear(text)

        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            await connection.add_listener(_CHANNEL, heard)
            while not connection.is_closed():
                await self._wake.wait()
                self._wake.clear()
                if texts := self._taken():
                    await connection.execute("SELECT pg_notify($1, text) FROM unnest($2::text[]) text", _CHANNEL, texts)
        finally:
            # Not closed: that would wait for a server that may be gone.
            connection.terminate()

    def _taken(self) -> list[str]:
        texts = list(self._outgoing)
        self._outgoing.clear()
        return texts

"""Connections of clients: how many there may be, and how long one may take to ask and to hear its answer.

Uvicorn has no bound for any of these but the idle time after an answer. Whoever has asked nothing gives way to whoever
comes: idle connections keep nobody out.
"""

import asyncio
import ssl
import sys
from functools import cached_property
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from vel_tutor_mcp.auth.networks import network
from vel_tutor_mcp.doors.bearer import answer
from vel_tutor_mcp.doors.bounds import CLOSE, LARGE_HEAD
from vel_tutor_mcp.doors.headers import ALWAYS
from vel_tutor_mcp.doors.notes import Note
from vel_tutor_mcp.doors.room import Room

# Until a request's head is here, and until the rest of a body is which nobody wants; until some of an answer is taken.
HEAD_SECONDS, TAKE_SECONDS = 15.0, 60.0
# Over TLS, for who is left to say goodbye; asyncio would wait for 30 s, and for that long count it nowhere.
_GOODBYE_SECONDS = 5.0

_FULL = (503, "UNAVAILABLE", "The server has as many connections as it takes; all are in use; try again in a minute.")
_SLOW = (408, "REQUEST_TIMEOUT", "The request came too slowly; its headers must be here in 15 s; send it again.")
_UNREAD = (400, "VALIDATION_ERROR", "The request cannot be read; it is no HTTP; send it anew.")


class Connection(H11Protocol):
    """One of those in the `room`, which all of a server share; each server's class has one of its own.

    With `tls` it is one from its first byte on: who never ends the handshake is somebody who asks nothing. `note` is
    told what is refused; None: nobody is.
    """

    room: Room
    tls: ssl.SSLContext | None = None
    note: Note | None = None
    head_seconds = HEAD_SECONDS
    take_seconds = TAKE_SECONDS
    goodbye_seconds = _GOODBYE_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._late: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        self._shaking_hands: asyncio.Task[None] | None = None
        self._early = b""

    @cached_property
    def subscriber(self) -> str:
        """Whose it is, by the address; empty behind a proxy, whose address it would be."""
        return network(self.client[0]) if self.client and not self.config.proxy_headers else ""

    @property
    def is_open(self) -> bool:
        return not self.transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return getattr(self.cycle, "response_complete", True)  # before the first request there is none

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        super().connection_made(transport)
        if not self.room.enter(self):
            self._refuse(*_FULL)
            return
        self._expect()
        if self.tls is not None:
            self._shaking_hands = self.loop.create_task(self._shake_hands(transport, self.tls))

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.leave(self)
        self._expect_no_more()
        # Ends the clock of what is not taken: `abort` would be called on what is gone.
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._shaking_hands is not None:  # came with its last part
            self._early += data
            return
        cycle = self.cycle
        super().data_received(data)
        if not self.is_idle:
            self.room.is_busy(self)
        # A new cycle means that a whole head has come. Where only some of one has, uvicorn has just stopped the
        # clock of the idle connection, the only one that ran, and ours begins.
        if self.cycle is not cycle:
            self._expect_no_more()
        elif self.is_idle and self._late is None:
            self._expect()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.is_open:
            self.room.leave(self)
        elif self.is_idle:
            self.room.is_idle(self)
        # Answered early: the rest of the body, or the head of the next request, may still be on its way.
        if self.is_idle and (self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]):
            self._expect()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._untaken = self.loop.call_later(self.take_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the base's signature
        """In our words; the base calls this where it has caught what was wrong."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(*(LARGE_HEAD if status == LARGE_HEAD[0] else _UNREAD))

    def leave(self) -> None:
        """Close it; over TLS soon, also where the client does nothing for that. It counts no more at once."""
        self.room.leave(self)
        self.transport.close()
        if self.tls is not None:
            self.loop.call_later(self.goodbye_seconds, self.transport.abort)

    async def _shake_hands(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        try:
            secured = await self.loop.start_tls(transport, self, tls, server_side=True)
        except OSError:  # it is no TLS, or the client is gone
            secured = None
        self._shaking_hands = None
        # asyncio tells a protocol nothing of a handshake that fails: else its place in the room would stay taken.
        if secured is None or transport.is_closing():
            self.connection_lost(None)
            return
        # Not our own: the place in the room is taken since the first byte.
        super().connection_made(secured)
        if self._early:
            self.data_received(self._early)

    def _expect(self) -> None:
        self._expect_no_more()
        if self.is_open:
            self._late = self.loop.call_later(self.head_seconds, self._end)

    def _expect_no_more(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self) -> None:
        # Who has begun a request is told; who has sent nothing waits for no answer.
        if self.conn.our_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(*_SLOW)
        else:
            self.leave()

    def _refuse(self, status: int, code: str, message: str) -> None:
        if self.note:
            self.note(message, self.client[0] if self.client else "")
        is_heard = self.tls is None or self.scheme == "https"  # before the handshake an answer would be none
        # Only where nothing of an answer has left: it would stand in the middle of that one.
        if is_heard and self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = answer(status, code, message, {**ALWAYS, **CLOSE})
            head = h11.Response(status_code=status, headers=response.raw_headers)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.leave()

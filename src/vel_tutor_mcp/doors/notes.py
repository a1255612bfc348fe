"""What is refused at the door, before the product is asked: it is put on record beside the answer, which waits for
nothing.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from mcp.server.auth.middleware.auth_context import auth_context_var

from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.errors import VelError

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App
    from vel_tutor_mcp.auth.accounts import Caller

# Is told why something was refused, and to which address.
Note = Callable[[str, str], None]

# At once: of a flood the beginning is on record, and it takes no more of the database from others.
_MOST_WRITING = 10


class Notes:
    """Puts on record what it is told, once the product is open."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._writing: set[asyncio.Task[None]] = set()

    def take(self, reason: str, address: str) -> None:
        """Put it on record soon, as of who is asking where that is known."""
        app = self._desk.app
        if app is None or len(self._writing) >= _MOST_WRITING:
            return
        # Not `desk.caller`, which refuses whom it does not know: strangers are refused as well.
        caller: Caller | None = getattr(auth_context_var.get(), "caller", None)
        writing = asyncio.get_running_loop().create_task(_put(app, reason, address, caller))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)


async def _put(app: "App", reason: str, address: str, caller: "Caller | None") -> None:
    with suppress(VelError):  # of a database that is away: what was refused stays so
        await app.access.note_refused_request(reason, address, caller.principal if caller else None)

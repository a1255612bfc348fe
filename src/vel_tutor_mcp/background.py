"""Blocking work in a thread that nobody waits for at the end of the process."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar, cast

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Like `asyncio.to_thread`, but leaving does not wait for it: a dead network drive blocks for ever."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(value: Result | None, problem: Exception | None) -> None:
        # Whoever waited was cancelled meanwhile; a future takes no result then.
        if done.done():
            return
        if problem is None:
            done.set_result(cast("Result", value))
        else:
            done.set_exception(problem)

    def run() -> None:
        value, problem = None, None
        try:
            value = work()
        except Exception as caught:  # noqa: BLE001 - carried over to the loop, whole
            problem = caught
        with suppress(RuntimeError):  # the loop is gone: so is whoever waited
            loop.call_soon_threadsafe(settle, value, problem)

    # A new thread each time: what hangs keeps its own for ever, and would use up those of a pool.
    threading.Thread(target=copy_context().run, args=(run,), name="background", daemon=True).start()
    return await done


def look_names_up_apart(loop: asyncio.AbstractEventLoop) -> None:
    """Have the loop look each name up in a thread of its own: its own ones are few, and do the execution engine's work
    too, which a resolver that hangs would stop.
    """

    async def look_up(*place: Any, **options: Any) -> Any:
        return await in_thread(lambda: socket.getaddrinfo(*place, **options))

    loop.getaddrinfo = look_up  # type: ignore[method-assign]  # the loop has no place for it


def look_names_up_as_before(loop: asyncio.AbstractEventLoop) -> None:
    loop.__dict__.pop("getaddrinfo", None)

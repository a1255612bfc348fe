"""Blocking work in a thread that nobody waits for at the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

Result = TypeVar("Result")


async def in_thread(work: Callable[[], Result]) -> Result:
    """Like `asyncio.to_thread`, but leaving does not wait for it: a dead network drive blocks for ever."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(value: Result | None, problem: Exception | None) -> None:
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

    threading.Thread(target=run, name="background", daemon=True).start()
    return await done

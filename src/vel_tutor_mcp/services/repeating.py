"""What a process that stays does again and again, and no fault ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from vel_tutor_mcp.errors import VelError


class Wording(NamedTuple):
    """How the log is told that it cannot be done now: at which level, in which words."""

    level: int = logging.WARNING
    words: str = "%s"


AS_WARNING = Wording()


async def repeated(
    once: Callable[[], Awaitable[object]],
    seconds: float,
    log: logging.Logger,
    what: str,
    *,
    first: float | None = None,
    wording: Wording = AS_WARNING,
) -> None:
    """Do it after `first` seconds, or else `seconds`, and then after each `seconds`, until cancelled; a fault is logged
    and the next time tries again. `what` begins a sentence of the log.
    """
    wait = seconds if first is None else first
    while True:
        await asyncio.sleep(wait)
        wait = seconds
        try:
            await once()
        except VelError as problem:
            log.log(wording.level, wording.words, problem)
        except Exception:
            log.exception("%s met a fault and goes on.", what)

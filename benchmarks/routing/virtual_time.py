"""An event loop whose clock jumps to the next timer instead of waiting for it: days pass in seconds."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Given = TypeVar("Given")

# Epoch seconds at which the clock of every run begins: 2 November 2026, 00:00 UTC.
BEGINNING = 1_793_577_600.0


class _Leap(selectors.SelectSelector):
    """Has the time until the next timer pass at once, where nothing else is ready."""

    now = 0.0

    def select(self, timeout: float | None = None) -> "list[tuple[selectors.SelectorKey, int]]":
        if timeout is None:
            raise RuntimeError("Everything waits, and no timer will end it.")
        ready = super().select(0)
        if not ready:
            self.now += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time` begins at 0. It knows no threads and no sockets: both take real time."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        return self._leap.now


def clock() -> float:
    """Epoch seconds of the running loop."""
    return BEGINNING + asyncio.get_running_loop().time()


def run(main: Coroutine[Any, Any, Given]) -> Given:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)

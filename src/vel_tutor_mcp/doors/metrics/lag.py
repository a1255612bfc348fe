"""How late the event loop is: what else there is to do waits as long."""

import asyncio
from collections import deque

_PAUSE_SECONDS = 0.5
# So many looks are kept: half a minute, longer than the usual time from scrape to scrape.
_KEPT = 60


class Lag:
    """Looks twice a second."""

    def __init__(self) -> None:
        self._late: deque[float] = deque([0.0], maxlen=_KEPT)

    @property
    def worst(self) -> float:
        """Of the last half minute, in seconds."""
        return max(self._late)

    async def loop(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _PAUSE_SECONDS
            await asyncio.sleep(_PAUSE_SECONDS)
            self._late.append(max(0.0, loop.time() - due))

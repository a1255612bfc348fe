"""Waiting for a change of anything that somebody may see, by areas such as tasks, runs, or the audit trail.

It is a look at what is stored, once a second and at once where news come, so it does not matter which process did it.
"""

import asyncio
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2s

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import areas
from vel_tutor_mcp.store.database import Database, unbroken

MAX_WAIT_SECONDS = 25
_LOOK_SECONDS = 1.0
# At most four looks a second, whatever news there are.
_PAUSE_SECONDS = 0.25
# Of the hash of each area: stamps stand in URLs, and two states look alike by chance once in 2**48.
_BYTES = 6


@dataclass(frozen=True, slots=True)
class Changed:
    """Which areas have changed since another stamp, and the stamp of now."""

    stamp: str
    areas: tuple[str, ...]


class Areas:
    """Looks at the areas for whoever waits; nobody does any longer after `end`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._news = asyncio.Event()
        self._ended = False

    def cue(self) -> None:
        """There may be something new: whoever waits looks soon."""
        self._news.set()
        # A new one for who waits from now on: those who wait have the old one, which stays set.
        self._news = asyncio.Event()

    def end(self) -> None:
        self._ended = True
        self.cue()

    async def changed(self, principal: Principal, since: str, seconds: float) -> Changed:
        """What has changed since the stamp, as soon as anything has, or after so many seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(seconds, MAX_WAIT_SECONDS)
        while True:
            # Before the look: what comes during it ends the wait.
            news = self._news
            found = changed_since(since, await self._look(principal))
            left = deadline - loop.time()
            if found.areas or self._ended or left <= 0:
                return found
            await asyncio.sleep(min(left, _PAUSE_SECONDS))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(deadline - loop.time(), _LOOK_SECONDS - _PAUSE_SECONDS)):
                    await news.wait()

    @unbroken
    async def _look(self, principal: Principal) -> Mapping[str, Hashable]:
        async with self._database.read(principal.organisation_id) as tx:
            return await areas.stamps(tx, principal)


def changed_since(since: str, stamps: Mapping[str, Hashable]) -> Changed:
    """The areas whose part of the stamp is another one, or was none. It tells nothing of what is stored. (Pure.)"""
    parts = {name: f"{name}.{_digest(stamp)}" for name, stamp in stamps.items()}
    earlier = set(since.split("~"))
    return Changed("~".join(parts.values()), tuple(name for name, part in parts.items() if part not in earlier))


def _digest(stamp: Hashable) -> str:
    return blake2s(repr(stamp).encode(), digest_size=_BYTES).hexdigest()

"""How an open product stands, by the doctor's own checks: looked at once in a while, however often it is asked."""

import asyncio
import time
from collections.abc import Callable, Sequence

from vel_tutor_mcp.routing.catalog import Catalog
from vel_tutor_mcp.services.doctor.checkup import standing
from vel_tutor_mcp.services.doctor.verdicts import Finding
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store.database import Database

_KEPT_SECONDS = 30.0


class Standing:
    """`database_of` makes a way of its own to the database: what looks must not share one with what works."""

    def __init__(self, settings: Settings, catalog: Catalog, database_of: Callable[[Settings], Database]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._database_of = database_of
        self._looking = asyncio.Lock()
        self._seen: Sequence[Finding] = ()
        self._until = 0.0

    async def look(self) -> Sequence[Finding]:
        """The findings, at most half a minute old."""
        async with self._looking:
            if time.monotonic() >= self._until:
                self._seen = await standing(self._settings, self._catalog, self._database_of)
                self._until = time.monotonic() + _KEPT_SECONDS
            return self._seen

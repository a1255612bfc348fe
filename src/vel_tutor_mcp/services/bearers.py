"""Whose the tokens are that come with requests, looked up anew for each request: what was revoked is known at once."""

import asyncio
from dataclasses import dataclass, field

from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.store import grants
from vel_tutor_mcp.store.database import Database


@dataclass(slots=True)
class _Look:
    """One read for all who asked before it began; what comes of it is by grant."""

    found: "asyncio.Task[dict[str, Principal]]"
    grant_ids: set[str] = field(default_factory=set)


class Bearers:
    """While one read is under way, who asks waits for the next, and shares it with the others of the organisation."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next: dict[str, _Look] = {}
        self._looking = asyncio.Lock()

    async def of(self, organisation_id: str, grant_id: str) -> Principal | None:
        """Whose grant it is, as they are now; None where it is good no more.

        Raises:
            Unavailable: the database cannot be used now.
        """
        look = self._next.get(organisation_id)
        if look is None:
            look = self._next[organisation_id] = _Look(asyncio.create_task(self._look(organisation_id)))
            look.found.add_done_callback(_seen)
        look.grant_ids.add(grant_id)
        return (await asyncio.shield(look.found)).get(grant_id)

    async def _look(self, organisation_id: str) -> dict[str, Principal]:
        async with self._looking:
            # Who asks from here on waits for the next look: this one might not see what is revoked meanwhile.
            grant_ids = self._next.pop(organisation_id).grant_ids
            async with self._database.read(organisation_id) as tx:
                return await grants.bearers(tx, grant_ids)


def _seen(found: "asyncio.Task[dict[str, Principal]]") -> None:
    """Everybody may have left who would be told of the failure."""
    if not found.cancelled():
        found.exception()

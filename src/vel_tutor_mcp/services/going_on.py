"""A transaction in which a run goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vel_tutor_mcp.services.admission import Admission
from vel_tutor_mcp.services.conductor import Conductor
from vel_tutor_mcp.services.record import Aftermath
from vel_tutor_mcp.store.database import Database, Transaction


@asynccontextmanager
async def going_on(
    database: Database, admission: Admission, conductor: Conductor, organisation_id: str
) -> AsyncIterator[tuple[Transaction, Aftermath]]:
    """A writer's transaction: what is due then is begun after its commit."""
    after = Aftermath()
    async with database.write(organisation_id) as tx:
        yield tx, after
        # In the same transaction: what was just stored may begin at once.
        admitted = await admission.admit(tx)
    conductor.follow_up(after)
    await admission.begin(admitted)

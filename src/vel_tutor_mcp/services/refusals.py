"""What strangers were refused, on record; floods of it leave few entries."""

from collections.abc import Mapping
from contextlib import suppress

from vel_tutor_mcp.errors import TooManyTries
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record, throttle
from vel_tutor_mcp.services.credentials import network
from vel_tutor_mcp.store import audit
from vel_tutor_mcp.store.database import Database, Transaction, unbroken


class Refusals:
    """`nobody` is in whose name it stands."""

    def __init__(self, database: Database, nobody: Principal) -> None:
        self._database = database
        self._nobody = nobody

    async def note(self, action: str, subject: str, reason: str, address: str, facts: Mapping[str, str] = {}) -> None:
        """Put it on record, with further facts; of an address five in a minute, and then that there are more."""

        async def often(tx: Transaction) -> None:
            await self._append(tx, f"{action}_often", subject, {"address": address})

        with suppress(TooManyTries):
            await throttle.admit(self._database, (f"{subject}:{network(address)}",), often)
            await self._alone(action, subject, {"address": address, "reason": reason, **facts})

    @unbroken
    async def _alone(self, action: str, subject: str, facts: dict[str, str]) -> None:
        async with self._database.write(self._nobody.organisation_id) as tx:
            await self._append(tx, action, subject, facts)

    async def _append(self, tx: Transaction, action: str, subject: str, facts: dict[str, str]) -> None:
        await audit.append(tx, self._nobody, action, subject, facts, record.now())

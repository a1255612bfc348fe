"""What was refused before anybody could be asked who they are, on record; floods of it leave few entries."""

from collections.abc import Mapping
from contextlib import suppress

from vel_tutor_mcp.auth.networks import network
from vel_tutor_mcp.errors import TooManyTries
from vel_tutor_mcp.models import Principal
from vel_tutor_mcp.services import record, throttle
from vel_tutor_mcp.store import audit
from vel_tutor_mcp.store.database import Database, Transaction, unbroken


class Refusals:
    """`nobody` is in whose name it stands, where it is not known who asks."""

    def __init__(self, database: Database, nobody: Principal) -> None:
        self._database = database
        self._nobody = nobody

    async def note(
        self,
        action: str,
        subject: str,
        reason: str,
        address: str,
        facts: Mapping[str, str] = {},
        who: Principal | None = None,
    ) -> None:
        """Put it on record, with further facts; of an address five in a minute, and then that there are more."""

        async def often(tx: Transaction) -> None:
            await audit.append(tx, self._nobody, f"{action}_often", subject, {"address": address}, record.now())

        with suppress(TooManyTries):
            await throttle.admit(self._database, (f"{subject}:{network(address)}",), often)
            await self._alone(who or self._nobody, action, subject, {"address": address, "reason": reason, **facts})

    @unbroken
    async def _alone(self, who: Principal, action: str, subject: str, facts: dict[str, str]) -> None:
        async with self._database.write(who.organisation_id) as tx:
            await audit.append(tx, who, action, subject, facts, record.now())

"""What is done to the trail by itself: each day its newest entry is signed, and what is old goes to the archives."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.audit.archives import archive_next
from vel_tutor_mcp.services.audit.keys import Keys, Signer, key_id
from vel_tutor_mcp.services.repeating import repeated
from vel_tutor_mcp.store import audit, audit_checkpoints
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.database import INSTALLATION, Database, Transaction, unbroken
from vel_tutor_mcp.store.set_back import SLACK

# Later than all that a start has to do; those who open the product for a moment leave it to others.
_FIRST_LOOK_SECONDS = 60.0
_LOOK_SECONDS = 3600.0
_SIGN_EVERY = timedelta(days=1)

_log = logging.getLogger(__name__)


class Keeping:
    """`archives` is the folder for what is older than `days`; None leaves all of it in the database."""

    def __init__(self, database: Database, keys: Keys, archives: Path | None = None, days: int = 90) -> None:
        self._database = database
        self._keys = keys
        self._archives = archives
        self._keep = timedelta(days=days)

    async def loop(self) -> None:
        """Run until cancelled; a fault is logged and tried again."""
        await repeated(self.once, _LOOK_SECONDS, _log, "The keeping of the audit trail", first=_FIRST_LOOK_SECONDS)

    async def once(self) -> None:
        """Do what is due.

        Raises:
            Unavailable: the database cannot be used now. ConfigurationError: nothing can be signed, or archived.
        """
        if await self._is_due():
            await self.sign()
        # Each time up to one checkpoint.
        while (folder := self._archives) and await in_thread(partial(self._archive_next, folder)):
            pass

    def _archive_next(self, folder: Path) -> Path | None:
        return archive_next(self._database, self._keys, folder, record.now() - self._keep)

    async def _is_due(self) -> bool:
        async with self._database.read(INSTALLATION) as tx:
            newest = await tx.run_sync(audit_checkpoints.newest)
        if newest is None:
            return True
        age = record.now() - datetime.fromisoformat(newest.at)
        # What was signed while a clock was ahead would put off the next signature until that time has come.
        return age >= _SIGN_EVERY or age < -SLACK

    @unbroken
    async def sign(self) -> Checkpoint | None:
        """The checkpoint of the newest entry; None where there is no entry.

        Raises:
            Unavailable: the database cannot be used now. ConfigurationError: nothing can be signed; says why.
        """
        signer, known = await in_thread(lambda: (self._keys.signer(), self._keys.known()))
        async with self._database.write(INSTALLATION) as tx:
            return await sign(tx, signer, known)


async def sign(tx: Transaction, signer: Signer, known: frozenset[str]) -> Checkpoint | None:
    """`Keeping.sign` in a writer's transaction. One database is signed by those only who know each other's keys."""
    newest = await tx.run_sync(audit_checkpoints.newest)
    if newest and newest.public_key not in known:
        raise ConfigurationError(
            f"The audit trail is not signed here; its last checkpoint has the key {key_id(newest.public_key)}, which "
            "this installation does not know; give it the same VEL_TUTOR_AUDIT_KEY, or name that key in "
            "VEL_TUTOR_AUDIT_TRUSTED_KEYS."
        )
    head = await audit.head(tx)
    if head.sequence <= (newest.sequence if newest else 0):
        return newest
    at = audit.as_text(record.now().astimezone(UTC))
    made = Checkpoint(sequence=head.sequence, hash=head.hash, at=at, public_key=signer.public_key, signature="")
    made = replace(made, signature=signer.sign(made.claim))
    await tx.run_sync(audit_checkpoints.insert, made)
    return made

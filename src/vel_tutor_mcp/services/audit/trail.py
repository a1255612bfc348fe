"""The trail: what was done, by whom, to what. Searched, proven and exported here; services write it themselves, in the
transaction of the change.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.errors import Conflict, TooManyTries
from vel_tutor_mcp.models import AuditEntry, Page, Principal, Start
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.audit import export, verdict
from vel_tutor_mcp.services.audit.archives import rows_of_archives
from vel_tutor_mcp.services.audit.export import Format, Write
from vel_tutor_mcp.services.audit.keeping import sign
from vel_tutor_mcp.services.audit.keys import Keys, Signer
from vel_tutor_mcp.services.audit.lines import Header, Part
from vel_tutor_mcp.services.audit.verdict import Verdict
from vel_tutor_mcp.services.inputs import check_text, is_text, moment_of
from vel_tutor_mcp.services.permission import acts_for, allows
from vel_tutor_mcp.store import audit as trail
from vel_tutor_mcp.store import audit_reading
from vel_tutor_mcp.store.audit import EntryQuery
from vel_tutor_mcp.store.audit_chain import Row
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.database import INSTALLATION, Database, unbroken

# At once, in a process; each has a thread for as long as whoever reads it takes.
MOST_EXPORTS = 4


class Exported(NamedTuple):
    """What went out: entries of this part of the chain, up to this one."""

    part: Part
    last: int


class Audit:
    """`archives` is the folder of what was pruned, None where nothing is."""

    def __init__(self, database: Database, keys: Keys, archives: Path | None = None) -> None:
        self._database = database
        self._keys = keys
        self._archives = archives
        self._proving = asyncio.Lock()  # each reads all there is, on a processor of its own
        self._exports = 0

    @allows(Operation.AUDIT_READ)
    @unbroken
    async def search(
        self,
        reader: Principal,
        *,
        action: str | None = None,
        principal: str | None = None,
        subject: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int = 20,
        cursor: Start = None,
    ) -> Page[AuditEntry]:
        """Entries that the reader may see, newest first. `since` is inclusive, `until` exclusive, both ISO 8601.

        Raises:
            InputError: a time is not ISO 8601, or the cursor is not of this list.
        """
        if not all(is_text(wanted) for wanted in (action, principal, subject) if wanted is not None):
            return Page((), (), more=False, total=0)
        wanted = _wanted(action, principal, subject, since, until)
        async with self._database.read(reader.organisation_id) as tx:
            return await trail.page(tx, reader, limit, cursor, wanted)

    @allows(Operation.AUDIT_READ)
    async def verify(self, _reader: Principal, *, with_archives: bool = False) -> Verdict:
        """Whether every entry in the database, and in the archives that are here, is as it was written. It tells
        nothing that is in one. Whoever asks while it is proven for others waits for their turn.

        Raises:
            Unavailable: the database cannot be used now. ConfigurationError: a key cannot be read; says why.
        """
        folder = self._archives if with_archives else None

        def archived(checkpoints: Sequence[Checkpoint]) -> Iterator[Row]:
            return rows_of_archives(folder, checkpoints) if folder else iter(())

        async with self._proving:
            return await in_thread(lambda: verdict.of_database(self._database, self._keys.known(), archived))

    @allows(Operation.AUDIT_EXPORT)
    async def export(
        self,
        reader: Principal,
        form: Format,
        write: Write,
        *,
        action: str | None = None,
        principal: str | None = None,
        subject: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Exported:
        """Write the entries that the reader may see, oldest first; that it was done is the last of them. An
        administrator of all who filters nothing gets the whole chain.

        Raises:
            InputError: a time is not ISO 8601, or a name is no text. TooManyTries: it is exported too often at once.
            Conflict: entries were archived meanwhile. ConfigurationError: nothing can be signed; says why.
        """
        for name, sought in (("action", action), ("principal", principal), ("subject", subject)):
            check_text(name, sought)
        wanted = _wanted(action, principal, subject, since, until)
        with self._one_more_export():
            return await self._export(reader, form, write, wanted)

    async def _export(self, reader: Principal, form: Format, write: Write, wanted: EntryQuery) -> Exported:
        whose = acts_for(reader, Operation.AUDIT_EXPORT)
        # What the reader may not see is left out as by a filter: the chain is not whole then, and the file says so.
        told = wanted.told if whose == INSTALLATION else wanted.told | {"visible to": reader.name}
        signer, last = await self._prepared(reader, form, told)
        part = Part.FILTERED if told else Part.WHOLE

        def written() -> None:
            there = audit_reading.standing(self._database)
            visible = [] if whose == INSTALLATION else [trail.visible_to(reader)]
            rows = audit_reading.rows(self._database, whose, there.first, last, [*visible, *wanted.conditions])
            header = Header(part, there.first, told)
            if form == "csv":
                lines = export.csv_lines(rows, header)
            else:
                among = [] if told else [row for row in there.checkpoints if there.first - 1 <= row.sequence <= last]
                lines = export.sealed(export.json_lines(rows, header, among), signer, _now())
            export.write_lines(lines, write)
            if audit_reading.standing(self._database).first != there.first:
                raise Conflict("Entries were archived while they were exported; some may be missing; export again.")

        await in_thread(written)
        return Exported(part, last)

    @contextmanager
    def _one_more_export(self) -> Iterator[None]:
        if self._exports == MOST_EXPORTS:
            raise TooManyTries(
                f"The audit trail is being exported {MOST_EXPORTS} times already; each takes a thread; try again in a "
                "minute."
            )
        self._exports += 1
        try:
            yield
        finally:
            self._exports -= 1

    @unbroken
    async def _prepared(self, reader: Principal, form: Format, told: dict[str, str]) -> tuple[Signer, int]:
        """Put on record that there is an export, and sign up to there; who seals it, and the last entry of it."""
        signer, known = await in_thread(lambda: (self._keys.signer(), self._keys.known()))
        async with self._database.write(reader.organisation_id) as tx:
            facts = {"format": form, "filter": told}
            await trail.append(tx, reader, "audit_exported", "audit", facts, record.now())
            await sign(tx, signer, known)
            return signer, (await trail.head(tx)).sequence


def _wanted(
    action: str | None, principal: str | None, subject: str | None, since: str | None, until: str | None
) -> EntryQuery:
    return EntryQuery(
        action=action,
        principal=principal,
        subject=subject,
        since=moment_of("since", since),
        until=moment_of("until", until),
    )


def _now() -> str:
    return trail.as_text(record.now())

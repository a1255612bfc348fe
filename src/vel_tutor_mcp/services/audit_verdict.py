"""Whether the trail, or a part of it, is as it was written: the rows are walked along, the signatures are checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.services.audit_keys import is_signed, key_id
from vel_tutor_mcp.store import audit_reading
from vel_tutor_mcp.store.audit_chain import Fault, Flaw, Row, Walk, walk
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.database import Database

# How often entries may be pruned while one reads them.
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found.

    Attributes:
        entries: how many were looked at, up to the first fault.
        signed: the last entry that a signature covers.
        keys: the ids of the keys whose signatures were counted.
        remark: what it does not prove.
    """

    entries: int
    first: int | None
    last: int | None
    signed: int | None
    keys: Sequence[str]
    fault: Fault | None
    remark: str | None = None

    @property
    def ok(self) -> bool:
        return self.fault is None

    def shown(self) -> dict[str, Any]:
        fault = self.fault
        return {
            "ok": self.ok,
            "entries": self.entries,
            "first": self.first,
            "last": self.last,
            "signed_through": self.signed,
            "keys": list(self.keys),
            "fault": fault and {"sequence": fault.sequence, "kind": fault.flaw.value, "message": fault.message},
            "remark": self.remark,
        }

    def sentences(self) -> str:
        """For a person."""
        if self.fault:
            told = (
                f"The audit trail is broken at entry {self.fault.sequence} ({self.fault.flaw}): {self.fault.message}."
            )
            return f"{told} {self._before_it()}"
        told = f"The audit trail is whole: {self._span()}, none changed, removed, swapped or added. {self._proof()}"
        return f"{told} {self.remark}" if self.remark else told

    def _span(self) -> str:
        return f"{self.entries:,} entries, {self.first} to {self.last}" if self.entries else "no entries"

    def _before_it(self) -> str:
        return f"The chain holds up to entry {self.last}." if self.last else "No entry before it holds."

    def _proof(self) -> str:
        if self.signed is None:
            return "No checkpoint is signed yet: who hashed all of it anew would not be found out."
        return f"Signed up to entry {self.signed} with the key {' and '.join(self.keys)}."


def of_database(database: Database, known: frozenset[str]) -> Verdict:
    """Of the chain in the database, where signatures by the known keys count. Blocks.

    Raises:
        Unavailable: the database cannot be used now.
    """
    for _ in range(_TRIES):
        there = audit_reading.standing(database)
        rows = audit_reading.rows(database, there.first, there.last.sequence)
        verdict = of_rows(rows, there.checkpoints, known, starts_archived=True)
        if verdict.ok or audit_reading.standing(database).first == there.first:
            break
    return verdict


def of_rows(
    rows: Iterable[Row], checkpoints: Sequence[Checkpoint], known: frozenset[str] | None, *, starts_archived: bool
) -> Verdict:
    """Of these rows, which begin with the first entry or behind a checkpoint.

    Of the checkpoints those count whose key is known; any key, where that is None. With `starts_archived`, what stood
    before the rows must have been archived.
    """
    forged = [fault for checkpoint in checkpoints if (fault := _forgery(checkpoint, known))]
    places = {fault.sequence for fault in forged}
    counted = [checkpoint for checkpoint in checkpoints if checkpoint.sequence not in places]
    signed = {checkpoint.sequence: checkpoint.hash for checkpoint in counted}
    starts = {row.sequence: row.hash for row in counted if row.archive or not starts_archived}
    walked = walk(rows, signed, starts)
    fault = min(filter(None, (walked.fault, *forged)), key=lambda found: found.sequence, default=None)
    return _verdict(walked, counted, fault)


def _verdict(walked: Walk, counted: Sequence[Checkpoint], fault: Fault | None) -> Verdict:
    last = walked.last.sequence if walked.last else None
    held = [checkpoint for checkpoint in counted if checkpoint.sequence <= (last or 0)]
    return Verdict(
        entries=walked.entries,
        first=walked.first,
        last=last,
        signed=held[-1].sequence if held else None,
        keys=sorted({key_id(checkpoint.public_key) for checkpoint in held}),
        fault=fault,
    )


def _forgery(checkpoint: Checkpoint, known: frozenset[str] | None) -> Fault | None:
    number = checkpoint.sequence
    if not is_signed(checkpoint.claim, checkpoint.public_key, checkpoint.signature):
        return Fault(number, Flaw.FORGED, f"the signature of the checkpoint at entry {number} does not fit it")
    if known is not None and checkpoint.public_key not in known:
        signer = key_id(checkpoint.public_key)
        return Fault(
            number,
            Flaw.FORGED,
            f"the checkpoint at entry {number} is signed with the key {signer}, which is not known here",
        )
    return None

"""Whether the trail, or a part of it, is as it was written: the rows are walked along, the signatures are checked."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from vel_tutor_mcp.services.audit.keys import is_signed, key_id
from vel_tutor_mcp.store import audit_reading
from vel_tutor_mcp.store.audit_chain import Fault, Flaw, Row, Walk, walk
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.database import INSTALLATION, Database

# How often entries may be pruned while one reads them.
_TRIES = 3
_UNSIGNED = "No checkpoint is signed yet: who hashed all of it anew would not be found out."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found.

    Attributes:
        entries: how many were looked at, up to the first fault.
        signed: the last entry that a signature covers.
        keys: the ids of the keys whose signatures were counted.
        proof: in words, on what it rests, and what it does not prove.
    """

    entries: int
    first: int | None
    last: int | None
    signed: int | None = None
    keys: Sequence[str] = ()
    fault: Fault | None = None
    proof: str

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
            "proof": self.proof,
        }

    def sentences(self) -> str:
        """For a person."""
        if self.fault:
            place = "" if self.fault.sequence is None else f" at entry {self.fault.sequence}"
            held = f"The chain holds up to entry {self.last}." if self.last else "No entry before it holds."
            return f"The audit trail is broken{place} ({self.fault.flaw}): {self.fault.message}. {held}"
        span = f"{self.entries:,} entries, {self.first} to {self.last}" if self.entries else "no entries"
        return f"The audit trail is whole: {span}, none changed, removed, swapped or added. {self.proof}"


def of_database(
    database: Database,
    known: frozenset[str] | None,
    archived: Callable[[Sequence[Checkpoint]], Iterable[Row]] = lambda _: (),
) -> Verdict:
    """Of the chain in the database, where signatures by the known keys count, or by any where that is None. Blocks.

    `archived` gives what is read from the archives of these checkpoints, which stood before it.

    Raises:
        Unavailable: the database cannot be used now.
    """
    for _ in range(_TRIES):
        there = audit_reading.standing(database)
        rows = audit_reading.rows(database, INSTALLATION, there.first, there.last.sequence)
        verdict = of_rows(
            chain(archived(there.checkpoints), rows),
            there.checkpoints,
            known,
            lambda checkpoint: checkpoint.archive is not None,
        )
        # Else entries were pruned while they were read: what seems to be missing is in an archive.
        if verdict.ok or audit_reading.standing(database).first == there.first:
            break
    if verdict.first is not None and verdict.first > 1:
        away = f"Entries 1 to {verdict.first - 1} are in archives that were not read."
        return replace(verdict, proof=f"{verdict.proof} {away}")
    return verdict


def of_rows(
    rows: Iterable[Row],
    checkpoints: Sequence[Checkpoint],
    known: frozenset[str] | None,
    may_begin_behind: Callable[[Checkpoint], bool],
) -> Verdict:
    """Of these rows, which begin with the first entry or behind a checkpoint.

    Of the checkpoints those count whose key is known; any key, where that is None.
    """
    forged = [fault for checkpoint in checkpoints if (fault := _forgery(checkpoint, known))]
    places = {fault.sequence for fault in forged}
    counted = [checkpoint for checkpoint in checkpoints if checkpoint.sequence not in places]
    signed = {checkpoint.sequence: checkpoint.hash for checkpoint in counted}
    starts = {checkpoint.sequence: checkpoint.hash for checkpoint in counted if may_begin_behind(checkpoint)}
    walked = walk(rows, signed, starts)
    fault = min(filter(None, (walked.fault, *forged)), key=lambda found: found.sequence or 0, default=None)
    return _verdict(walked, counted, fault)


def _verdict(walked: Walk, counted: Sequence[Checkpoint], fault: Fault | None) -> Verdict:
    last = walked.last.sequence if walked.last else None
    held = [checkpoint for checkpoint in counted if checkpoint.sequence <= (last or 0)]
    signed = held[-1].sequence if held else None
    keys = sorted({key_id(checkpoint.public_key) for checkpoint in held})
    return Verdict(
        entries=walked.entries,
        first=walked.first,
        last=last,
        signed=signed,
        keys=keys,
        fault=fault,
        proof=f"Signed up to entry {signed} with the key {' and '.join(keys)}." if signed else _UNSIGNED,
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

"""The audit chain: each entry's hash covers the entry before it (pure).

`hash` is SHA-256 over the entry as JSON with sorted keys, no spaces, UTF-8, without the field `hash` itself and without
fields that are NULL; the first entry's `previous_hash` is 64 zeros. A row of the chain has all columns of its table,
its payload as the text that JSON has; whoever walks along the rows finds what was done to them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, pairwise
from typing import Any

GENESIS = "0" * 64

Row = Mapping[str, Any]

# In the order of their names, those before `payload` and those behind it.
_BEFORE = ("action", "address", "at", "organisation_id", "owner_id")
_BEHIND = ("previous_hash", "principal", "sequence", "subject", "user_agent")
# How far from its place an entry is looked for that bears another one's number.
_NEAR = 200


class Flaw(StrEnum):
    """What was done to an entry."""

    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"
    SWAPPED = "swapped"
    NOT_SIGNED_SO = "not what was signed"
    FORGED = "forged signature"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first entry that is not as it was written; `sequence` is None where it cannot be told which."""

    sequence: int | None
    flaw: Flaw
    message: str


@dataclass(frozen=True, slots=True)
class Link:
    """What the next entry must follow."""

    sequence: int
    hash: str


BEGINNING = Link(0, GENESIS)


@dataclass(slots=True)
class Walk:
    """How far the chain holds: `last` is the last entry that does, of so many that were looked at."""

    entries: int = 0
    first: int | None = None
    last: Link | None = None
    fault: Fault | None = None


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, no escapes for letters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def entry_hash(entry: Mapping[str, Any]) -> str:
    """The hash of an entry whose payload is a value."""
    return hashlib.sha256(canonical(entry).encode()).hexdigest()


def row_hash(row: Row) -> str | None:
    """The hash of a row, every byte of its payload counting; None where it holds what no entry can hold."""
    try:
        before, behind = (
            canonical({name: row[name] for name in names if row[name] is not None}) for names in (_BEFORE, _BEHIND)
        )
        text = f'{before[:-1]},"payload":{row["payload"]},{behind[1:]}'
        return hashlib.sha256(text.encode()).hexdigest()
    except (TypeError, ValueError):
        return None


def is_intact(row: Row) -> bool:
    return bool(row_hash(row) == row["hash"])


def follows(row: Row, before: Row | None) -> bool:
    """Whether the row's hash is that of its content, and the row stands right behind the one before.

    `before` is None for the first that is kept: what stood before it was pruned, unless it is the first of all.
    """
    if before is None:
        linked: bool = row["sequence"] > 1 or row["previous_hash"] == GENESIS
    else:
        linked = (row["sequence"], row["previous_hash"]) == (before["sequence"] + 1, before["hash"])
    return linked and is_intact(row)


def walk(rows: Iterable[Row], signed: Mapping[int, str], starts: Mapping[int, str] | None) -> Walk:
    """Along the rows, up to the first fault.

    Args:
        rows: in the order in which they are kept.
        signed: the hashes that entries had when they were signed.
        starts: likewise, of those behind which the chain may begin; None where it may begin anywhere.
    """
    walked = Walk()
    for row, following in pairwise(chain(rows, (None,))):
        assert row is not None
        before = walked.last or _start(row, starts)
        walked.entries += 1
        walked.fault = before if isinstance(before, Fault) else _fault(row, following, before, signed)
        if walked.fault:
            return walked
        walked.first = walked.first or row["sequence"]
        walked.last = Link(row["sequence"], row["hash"])
    end = walked.last.sequence if walked.last else 0
    if signed and (until := max(signed)) > end:
        walked.fault = Fault(
            end + 1, Flaw.REMOVED, f"{_missing(end + 1, until)}: they were there when entry {until} was signed"
        )
    return walked


def walk_apart(rows: Iterable[Row]) -> Walk:
    """Along rows between which others may stand, up to the first fault; only neighbours must be linked."""
    walked = Walk()
    for row in rows:
        before, number = walked.last, row["sequence"]
        walked.entries += 1
        if before is not None and number <= before.sequence:
            walked.fault = Fault(number, Flaw.SWAPPED, f"entry {number} stands behind entry {before.sequence}")
        elif not is_intact(row):
            walked.fault = Fault(number, Flaw.CHANGED, f"entry {number} is not what its hash was made of")
        elif before is not None and number == before.sequence + 1 and row["previous_hash"] != before.hash:
            walked.fault = _hashed_anew(before.sequence)
        if walked.fault:
            return walked
        walked.first, walked.last = walked.first or number, Link(number, row["hash"])
    return walked


def _start(row: Row, starts: Mapping[int, str] | None) -> Link | Fault:
    """What the first row must follow."""
    before = row["sequence"] - 1
    if starts is None:
        return Link(before, row["previous_hash"])
    if before < 1:
        return BEGINNING
    if before not in starts:
        return Fault(1, Flaw.REMOVED, f"{_missing(1, before)}, and no signed checkpoint says that they were archived")
    if row["previous_hash"] != starts[before]:
        return _not_signed_so(before)
    return Link(before, starts[before])


def _fault(row: Row, following: Row | None, before: Link, signed: Mapping[int, str]) -> Fault | None:
    if row["sequence"] != before.sequence + 1:
        return _out_of_place(row, following, before)
    if not is_intact(row):
        return _not_as_written(row, following, before)
    if row["previous_hash"] != before.hash:
        return _not_linked(row, following)
    if signed.get(row["sequence"], row["hash"]) != row["hash"]:
        return _not_signed_so(row["sequence"])
    return None


def _out_of_place(row: Row, following: Row | None, before: Link) -> Fault:
    number, place = row["sequence"], before.sequence + 1
    if number < place:
        return Fault(number, Flaw.ADDED, f"an entry with the number {number} stands behind entry {before.sequence}")
    if following is not None and following["sequence"] < number:
        return Fault(place, Flaw.SWAPPED, f"entry {number} stands where entry {place} belongs")
    return Fault(place, Flaw.REMOVED, _missing(place, number - 1))


def _not_as_written(row: Row, following: Row | None, before: Link) -> Fault:
    number, moved = row["sequence"], _moved(row)
    moved_next = moved if following is None else _moved(following)
    # What is behind an entry that was added was given greater numbers by one than it was hashed with.
    if moved is None and moved_next == -1:
        return _added(number)
    if moved is None:
        return Fault(number, Flaw.CHANGED, f"entry {number} is not what its hash was made of")
    # Likewise, and the one that was added looks sound; unless this is no more than a copy of it.
    if moved == -1 and row["hash"] != before.hash:
        return _added(number - 1)
    if moved < 0:
        return Fault(number, Flaw.ADDED, f"what stands as entry {number} is another entry {number + moved}")
    # Its neighbour is as far off: all behind the gap were moved up together.
    if moved == moved_next:
        missing = _missing(number, number + moved - 1)
        return Fault(number, Flaw.REMOVED, f"{missing}, and those behind were given other numbers")
    return Fault(number, Flaw.SWAPPED, f"what stands as entry {number} was written as entry {number + moved}")


def _moved(row: Row) -> int | None:
    """How much greater the number was with which the row was written; None where no number near it fits."""
    number = row["sequence"]
    near = (by for distance in range(1, _NEAR) for by in (distance, -distance))
    return next((by for by in near if is_intact({**row, "sequence": number + by})), None)


def _not_linked(row: Row, following: Row | None) -> Fault:
    number = row["sequence"]
    if following is None:
        return Fault(
            number,
            Flaw.ADDED,
            f"entry {number} does not follow from entry {number - 1}: it was added, or that one was changed and given "
            "another hash",
        )
    if _moved(following) == -1:
        return _added(number)
    if number > 1 and following["previous_hash"] == row["hash"]:
        return _hashed_anew(number - 1)
    return Fault(number, Flaw.CHANGED, f"entry {number} was changed and given another hash: it follows from none")


def _hashed_anew(number: int) -> Fault:
    return Fault(number, Flaw.CHANGED, f"entry {number} was changed and given another hash than the next one knows")


def _added(number: int) -> Fault:
    return Fault(number, Flaw.ADDED, f"entry {number} was added: the one behind it was written with its number")


def _not_signed_so(sequence: int) -> Fault:
    return Fault(
        sequence,
        Flaw.NOT_SIGNED_SO,
        f"entry {sequence} is not the one that was signed: it, or one before it, was changed, and all behind that one "
        "were given other hashes",
    )


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"

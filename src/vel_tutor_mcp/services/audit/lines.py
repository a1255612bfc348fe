"""How entries are written to files: JSON Lines that are signed, and CSV for tables that people look at (pure).

A file of JSON Lines has a header, the checkpoints of what follows, the entries, and at the end a seal, which is signed
over all lines before it. Each line is JSON in its one spelling, so that no byte of it can be changed unnoticed. An
archive has no seal: it ends with the entry of its last checkpoint.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from vel_tutor_mcp.store.audit_chain import Row, canonical
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint

COLUMNS = (
    "sequence", "at", "principal", "action", "subject", "payload", "address", "user_agent", "organisation_id",
    "owner_id", "previous_hash", "hash",
)  # fmt: skip
HEAD = (*COLUMNS, "filter")
# So begins the line of an entry, and no other.
ENTRY = '{"action":'

_NULLABLE = frozenset({"address", "user_agent"})
_HEADER, _CHECKPOINT, _SEAL = "vel_tutor_audit", "checkpoint", "seal"


class Part(StrEnum):
    """Of the chain: all that is kept, what a filter let through, or what was pruned."""

    WHOLE = "whole"
    FILTERED = "filtered"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Header:
    """`first` is the first entry that can be in the file, `wanted` what the filter let through."""

    part: Part
    first: int
    wanted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Over all lines before it."""

    entries: int
    sha256: str
    at: str
    public_key: str
    signature: str

    @property
    def claim(self) -> str:
        """What is signed."""
        return canonical({"vel_tutor_audit_export": {"entries": self.entries, "sha256": self.sha256, "at": self.at}})


Line = Header | Checkpoint | Seal | dict[str, Any]


def header_line(header: Header) -> str:
    return canonical({_HEADER: {"part": header.part.value, "first": header.first, "filter": dict(header.wanted)}})


def checkpoint_line(checkpoint: Checkpoint) -> str:
    return canonical({_CHECKPOINT: {name: value for name, value in asdict(checkpoint).items() if value is not None}})


def entry_line(row: Row) -> str:
    """Raises:
    ValueError, TypeError: the row holds what no entry can hold.
    """
    entry = {name: row[name] for name in COLUMNS if row[name] is not None}
    return canonical(entry | {"payload": json.loads(row["payload"])})


def seal_line(seal: Seal) -> str:
    return canonical({_SEAL: asdict(seal)})


def parsed(text: str) -> Line:
    """What stands in the line.

    Raises:
        ValueError: it is none that we write.
    """
    try:
        found = json.loads(text)
        if canonical(found) != text:
            raise ValueError
        return _line(found)
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError from None


def _line(found: dict[str, Any]) -> Line:
    match list(found):
        case [name] if name == _HEADER:
            return Header(Part(found[name]["part"]), int(found[name]["first"]), dict(found[name]["filter"]))
        case [name] if name == _CHECKPOINT:
            return Checkpoint(**found[name])
        case [name] if name == _SEAL:
            return Seal(**found[name])
    if None in found.values() or not set(COLUMNS) - _NULLABLE <= set(found) <= set(COLUMNS):
        raise ValueError
    # Not `isinstance`: True would be entry 1.
    if type(found["sequence"]) is not int:
        raise ValueError
    return {**dict.fromkeys(_NULLABLE), **found, "payload": canonical(found["payload"])}


def cells(row: Row, wanted: Mapping[str, str]) -> list[str]:
    """The row as a line of a CSV file; its last cell says what the filter let through."""
    texts = ["" if row[name] is None else str(row[name]) for name in COLUMNS]
    return [*texts, canonical(wanted) if wanted else ""]


def of_cells(line: Sequence[str]) -> dict[str, Any]:
    """The row of `cells`, as a line of a file has it.

    Raises:
        ValueError: it is none that we write.
    """
    # `sheet_line` put it before what a spreadsheet would calculate.
    *texts, _ = (cell.removeprefix("'") for cell in line)
    row: dict[str, Any] = {
        name: text or None if name in _NULLABLE else text for name, text in zip(COLUMNS, texts, strict=True)
    }
    if str(int(row["sequence"])) != row["sequence"]:
        raise ValueError
    return row | {"sequence": int(row["sequence"])}

"""Whether a file of entries is as it was written: exports and archives, with nothing but the file. Blocks.

It is read line by line, so that its size does not matter. The key by which it was signed stands in it: whose key that
is must be known from elsewhere.
"""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import Any

from vel_tutor_mcp.errors import InputError
from vel_tutor_mcp.services.audit.keys import is_signed, key_id
from vel_tutor_mcp.services.audit.lines import COLUMNS, ENTRY, HEAD, Header, Part, Seal, of_cells, parsed
from vel_tutor_mcp.services.audit.verdict import Verdict, of_rows
from vel_tutor_mcp.store.audit_chain import Fault, Flaw, Row, Walk, walk, walk_apart
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint

_Stream = BufferedReader | gzip.GzipFile

_UNREADABLE = (OSError, EOFError, zlib.error)
_GZIP = b"\x1f\x8b"
# More than any entry takes; what is longer is no entry.
_LONGEST_LINE = 2**24
_NO_SIGNATURE = "CSV carries no signature: entries may be missing at either end, or all be hashed anew."


def of_file(path: Path, known: frozenset[str] | None) -> Verdict:
    """Of a file of JSON Lines, also in gzip, or of CSV; where it is signed, it must be by a known key. None: by any,
    which the verdict names.

    Raises:
        InputError: the file cannot be read, or is no export of ours.
    """
    try:
        with _opened(path) as stream:
            if stream.peek(1)[:1] == b"{":
                return _of_json_lines(_Reader(stream), known)
            return _of_csv(stream)
    except _UNREADABLE as problem:
        said = getattr(problem, "strerror", None) or "it is cut, or damaged"
        raise InputError(f"The file cannot be read; {str(said).lower()}; name an export or an archive.") from None


def rows_of_archive(path: Path, first: int) -> Iterator[Row]:
    """Those of an archive that begins with this entry; where it cannot be read, comes a row that does not fit its
    hash.
    """
    number = first - 1
    try:
        with _opened(path) as stream:
            reader = _Reader(stream)
            reader.begin()
            for row in reader.rows():
                number = row["sequence"]
                yield row
    except (*_UNREADABLE, InputError):
        yield _no_row(number + 1)


@contextmanager
def _opened(path: Path) -> Iterator[_Stream]:
    with path.open("rb") as stream:
        if stream.peek(2)[:2] != _GZIP:
            yield stream
            return
        with gzip.open(stream) as unpacked:
            yield unpacked


@dataclass(slots=True)
class _Reader:
    """The entries of a file of JSON Lines, and what stands around them."""

    stream: _Stream
    checkpoints: list[Checkpoint] = field(default_factory=list)
    seal: Seal | None = None
    is_longer: bool = False
    entries: int = 0
    sha256: str = ""
    _digest: Any = field(default_factory=hashlib.sha256)
    _first: int = 1
    _next: str | None = None

    def begin(self) -> Header:
        """Read up to the first entry.

        Raises:
            InputError: it does not begin as an export.
        """
        try:
            header = parsed(self._line() or "")
        except ValueError:
            header = None
        if not isinstance(header, Header):
            raise InputError("The file is no export of an audit trail; its first line is none; name an export.")
        self._first = header.first
        while (text := self._line()) is not None:
            try:
                found = parsed(text)
            except ValueError:
                found = None
            if not isinstance(found, Checkpoint):
                self._next = text
                break
            self.checkpoints.append(found)
        return header

    def rows(self) -> Iterator[Row]:
        """A line that is none of ours comes as a row that does not fit its hash."""
        number = self._first - 1
        while (text := self._line()) is not None:
            try:
                found = parsed(text)
            except ValueError:
                found = None
            if isinstance(found, Seal):
                self.seal, self.is_longer = found, bool(self.stream.peek(1))
                return
            row = found if isinstance(found, dict) else _no_row(number + 1)
            number = row["sequence"]
            yield row

    def _line(self) -> str | None:
        """The next line; None at the end. What was read before it counts for the seal."""
        if self._next is not None:
            text, self._next = self._next, None
            return text
        read = self.stream.readline(_LONGEST_LINE)
        if not read:
            return None
        text = read.rstrip(b"\r\n").decode(errors="replace")
        self.sha256 = self._digest.hexdigest()
        self._digest.update(f"{text}\n".encode())
        self.entries += text.startswith(ENTRY)
        return text


def _of_json_lines(reader: _Reader, known: frozenset[str] | None) -> Verdict:
    header = reader.begin()
    if header.part is Part.FILTERED:
        return _of_part(reader, walk_apart(reader.rows()), header, known)
    verdict = of_rows(
        reader.rows(), reader.checkpoints, known, lambda checkpoint: checkpoint.sequence == header.first - 1
    )
    fault = verdict.fault or _fault_of_end(reader, verdict, header, known)
    return replace(verdict, fault=fault)


def _fault_of_end(reader: _Reader, verdict: Verdict, header: Header, known: frozenset[str] | None) -> Fault | None:
    """What a file that holds a whole chain has too much or too little."""
    after = (verdict.last or 0) + 1
    if verdict.signed is None and verdict.last is not None:
        return Fault(after, Flaw.REMOVED, "the checkpoints, by which the entries are proven, are missing")
    if verdict.last != verdict.signed:
        added = (verdict.signed or 0) + 1
        return Fault(added, Flaw.ADDED, f"entry {added} stands behind the last that was signed")
    return None if header.part is Part.ARCHIVE else _fault_of_seal(reader, known)


def _of_part(reader: _Reader, walked: Walk, header: Header, known: frozenset[str] | None) -> Verdict:
    """Of what a filter let through: between entries others may be missing, so that only the seal proves them all."""
    fault = walked.fault or _fault_of_seal(reader, known)
    keys = [key_id(reader.seal.public_key)] if reader.seal and not fault else []
    wanted = ", ".join(f"{name} {value}" for name, value in header.wanted.items())
    return Verdict(
        entries=walked.entries,
        first=walked.first,
        last=walked.last.sequence if walked.last else None,
        keys=keys,
        fault=fault,
        proof=(
            f"It holds what a filter let through ({wanted}), sealed with the key {' and '.join(keys)}: these entries "
            "are as they were when they were exported. That the chain between them is whole only the database proves."
        ),
    )


def _fault_of_seal(reader: _Reader, known: frozenset[str] | None) -> Fault | None:
    seal = reader.seal
    if seal is None:
        return Fault(None, Flaw.REMOVED, "the seal at the end of the file is missing: the file was cut")
    if reader.is_longer:
        return Fault(None, Flaw.ADDED, "there is more behind the seal at the end of the file")
    if not is_signed(seal.claim, seal.public_key, seal.signature):
        return Fault(None, Flaw.FORGED, "the signature of the seal at the end of the file does not fit it")
    if known is not None and seal.public_key not in known:
        signer = key_id(seal.public_key)
        return Fault(None, Flaw.FORGED, f"the file is sealed with the key {signer}, not with the one that was named")
    if reader.sha256 == seal.sha256:
        return None
    missing = seal.entries - reader.entries
    flaw = Flaw.REMOVED if missing > 0 else Flaw.ADDED if missing < 0 else Flaw.CHANGED
    return Fault(
        None, flaw, f"the file has {reader.entries:,} entries and is not what was sealed with {seal.entries:,} of them"
    )


def _of_csv(stream: _Stream) -> Verdict:
    csv.field_size_limit(_LONGEST_LINE)
    lines = csv.reader((line.decode(errors="replace") for line in stream), strict=True)
    if _next_cells(lines) != list(HEAD):
        raise InputError("The file is no export of an audit trail; its first line is none; name an export.")
    first = _next_cells(lines)
    is_part = bool(first and first[-1])
    rows = _csv_rows(chain([first], lines) if first is not None else lines)
    walked = walk_apart(rows) if is_part else walk(rows, {}, None)
    proof = f"It holds what a filter let through. {_NO_SIGNATURE}" if is_part else _NO_SIGNATURE
    return Verdict(
        entries=walked.entries,
        first=walked.first,
        last=walked.last.sequence if walked.last else None,
        fault=walked.fault,
        proof=proof,
    )


def _csv_rows(lines: Iterator[list[str]]) -> Iterator[Row]:
    """A line that is none of ours comes as a row that does not fit its hash."""
    number = 0
    while (cells := _next_cells(lines)) is not None:
        try:
            row = of_cells(cells)
        except ValueError:
            row = _no_row(number + 1)
        number = row["sequence"]
        yield row


def _next_cells(lines: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(lines, None)
    except csv.Error:
        return []


def _no_row(number: int) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS), "sequence": number}

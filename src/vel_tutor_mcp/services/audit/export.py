"""Entries on their way out: lines of a file, or of a pipe. Blocks."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.services.audit.keys import Signer
from vel_tutor_mcp.services.audit.lines import (
    ENTRY,
    HEAD,
    Header,
    Seal,
    cells,
    checkpoint_line,
    entry_line,
    header_line,
    seal_line,
)
from vel_tutor_mcp.services.sheets import sheet_line
from vel_tutor_mcp.store.audit_chain import Row
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint

_LINES_AT_ONCE = 500

Format = Literal["jsonl", "csv"]
Write = Callable[[str], object]


def write_lines(lines: Iterable[str], write: Write) -> None:
    """Many lines at once, each with its end."""
    rest = iter(lines)
    while some := list(islice(rest, _LINES_AT_ONCE)):
        write("".join(f"{line}\n" for line in some))


def csv_lines(rows: Iterable[Row], header: Header) -> Iterator[str]:
    yield sheet_line(HEAD)
    for row in rows:
        yield sheet_line(cells(row, header.wanted))


def json_lines(rows: Iterable[Row], header: Header, checkpoints: Sequence[Checkpoint]) -> Iterator[str]:
    """Without a seal.

    Raises:
        ConfigurationError: a row holds what no entry can hold.
    """
    yield header_line(header)
    yield from map(checkpoint_line, checkpoints)
    for row in rows:
        try:
            yield entry_line(row)
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"Entry {row['sequence']} of the audit trail cannot be exported; it was changed to what no entry can "
                "hold; look at it with vel-tutor-mcp audit verify."
            ) from None


def sealed(lines: Iterable[str], signer: Signer, at: str) -> Iterator[str]:
    """The lines, and the seal over them."""
    digest, entries = hashlib.sha256(), 0
    for line in lines:
        digest.update(f"{line}\n".encode())
        entries += line.startswith(ENTRY)
        yield line
    seal = Seal(entries=entries, sha256=digest.hexdigest(), at=at, public_key=signer.public_key, signature="")
    yield seal_line(replace(seal, signature=signer.sign(seal.claim)))

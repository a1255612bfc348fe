"""Old entries are moved to archives, which prove themselves as exports do. Blocks.

A killed process loses and doubles nothing: the archive is on the disk, and was read again, before one transaction notes
its name and deletes what is in it; without that transaction it is written anew, to the same file.
"""

import gzip
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from vel_tutor_mcp.errors import ConfigurationError
from vel_tutor_mcp.services.audit.export import json_lines, write_lines
from vel_tutor_mcp.services.audit.files import of_file, rows_of_archive
from vel_tutor_mcp.services.audit.keys import Keys
from vel_tutor_mcp.services.audit.lines import Header, Part
from vel_tutor_mcp.store import audit_reading
from vel_tutor_mcp.store.audit_chain import Row
from vel_tutor_mcp.store.audit_checkpoints import Checkpoint
from vel_tutor_mcp.store.audit_reading import Standing
from vel_tutor_mcp.store.database import INSTALLATION, Database

_LOCK_SECONDS = 10


def archive_next(database: Database, keys: Keys, folder: Path, before: datetime) -> Path | None:
    """Move the oldest entries, up to a checkpoint that was signed before this moment; the newest entry always stays.
    None where there is nothing to move.

    Raises:
        Unavailable: the database cannot be used now.
        ConfigurationError: the folder cannot be written, or the entries are not as they were written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # For processes with this folder; one with another folder is found out by `prune`.
        with FileLock(folder / "archive.lock", timeout=_LOCK_SECONDS):
            there = audit_reading.standing(database)
            due = _due(there, before)
            return None if due is None else _archived(database, keys, folder, there, due)
    except OSError as problem:
        raise ConfigurationError(
            f"The audit trail cannot be archived in {folder}; {problem.strerror or type(problem).__name__}; make room, "
            "or choose another folder with VEL_TUTOR_AUDIT_ARCHIVE: nothing was removed."
        ) from None


def _due(there: Standing, before: datetime) -> Checkpoint | None:
    kept = (row for row in there.checkpoints if there.first <= row.sequence < there.last.sequence)
    return next((row for row in kept if row.archive is None and datetime.fromisoformat(row.at) < before), None)


def _archived(database: Database, keys: Keys, folder: Path, there: Standing, due: Checkpoint) -> Path:
    file = folder / f"audit-{there.first}-{due.sequence}.jsonl.gz"
    draft = file.with_suffix(".draft")
    _write(database, draft, there, due)
    verdict = of_file(draft, keys.known())
    if not verdict.ok:
        draft.unlink()
        raise ConfigurationError(
            f"The audit trail is not archived; {verdict.fault and verdict.fault.message}; look at it with "
            "vel-tutor-mcp audit verify: nothing was removed."
        )
    draft.replace(file)
    _sync_folder(folder)
    signer = keys.signer()
    noted = replace(due, archive=file.name, public_key=signer.public_key)
    noted = replace(noted, signature=signer.sign(noted.claim))
    if not audit_reading.prune(database, there.first, noted):  # another process, with another folder, was faster
        file.unlink()
    return file


def _write(database: Database, draft: Path, there: Standing, due: Checkpoint) -> None:
    """The file is the same whenever it is written."""
    rows = audit_reading.rows(database, INSTALLATION, there.first, due.sequence)
    around = [row for row in there.checkpoints if row.sequence in {there.first - 1, due.sequence}]
    lines = json_lines(rows, Header(Part.ARCHIVE, there.first), around)
    with draft.open("wb") as stream:
        # Else its head would have the draft's name and the time.
        with gzip.GzipFile("", "wb", fileobj=stream, mtime=0) as packed:
            write_lines(lines, lambda text: packed.write(text.encode()))
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows knows no such thing
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def rows_of_archives(folder: Path, checkpoints: Sequence[Checkpoint]) -> Iterator[Row]:
    """The rows of the newest archives that are in the folder without a gap, oldest first."""
    archived = [row for row in checkpoints if row.archive]
    firsts = [1, *(row.sequence + 1 for row in archived)]
    files = [(folder / Path(row.archive or "").name, first) for row, first in zip(archived, firsts, strict=False)]
    missing = max((place for place, (file, _) in enumerate(files) if not file.is_file()), default=-1)
    for file, first in files[missing + 1 :]:
        yield from rows_of_archive(file, first)

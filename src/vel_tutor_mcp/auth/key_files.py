"""Files of keys, which only their owner may read. Blocks."""

import os
from pathlib import Path

_LOCK_SECONDS = 10.0


def make(file: Path, key: bytes) -> None:
    """Write the key where there is no file; of processes that do so at once, one does.

    Raises:
        OSError: it cannot be written, or another process is at it for too long.
    """
    from filelock import FileLock

    with FileLock(_beside(file, "lock"), timeout=_LOCK_SECONDS):
        if not file.exists():
            write(file, key)


def write(file: Path, key: bytes) -> None:
    """Write it under another name first: nobody finds half a key.

    Raises:
        OSError: it cannot be written.
    """
    draft = _beside(file, "draft")
    # Of a process that died at it; and O_EXCL writes through no file or link that somebody has put there.
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(key)
        written.flush()
        # Before it gets its name: a crash of the machine must leave no empty file under that.
        os.fsync(written.fileno())
    draft.replace(file)


def _beside(file: Path, what: str) -> Path:
    return file.with_suffix(f"{file.suffix}.{what}")

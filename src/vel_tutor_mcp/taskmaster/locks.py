"""Locks on files that the operating system drops when their holder dies. All of it blocks for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Whether the lock is ours meanwhile, and nobody else's: no other task's of this process either."""
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()

"""Which processes live: each holds a lock on a file of its own, which the operating system drops when it dies.

It needs no clock and no heartbeat, so that a process that is merely slow is never taken for dead.
"""

import os
import platform
import secrets
from pathlib import Path

from filelock import FileLock, Timeout


class Lease:
    """This process's lock, and the look at others'. `folder` is shared by all processes on one database."""

    def __init__(self, folder: Path) -> None:
        self.executor = f"{platform.node() or 'host'}-{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = folder
        self._lock = FileLock(self._path(self.executor))

    def take(self) -> None:
        """Hold the lock until `release` or death. Blocks for a moment.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._lock.acquire(timeout=0)

    def release(self) -> None:
        self._lock.release()
        self._path(self.executor).unlink(missing_ok=True)

    def is_dead(self, executor: str) -> bool:
        """Whether the process that had this name has died; its file is then removed."""
        path = self._path(executor)
        if executor == self.executor:
            return False
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            return False
        return True

    def others(self) -> set[str]:
        """The names of all processes that left a file, living or dead, but this one."""
        return {path.stem for path in self._folder.glob("*.lock")} - {self.executor}

    def _path(self, executor: str) -> Path:
        return self._folder / f"{executor}.lock"

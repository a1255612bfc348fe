"""An environment as empty as a container's: a user without a name, rights or HOME, and hardly a PATH."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_NAMELESS = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
_WRITABLE = 0o222
VALUES = {"PATH": "/usr/bin:/bin" if sys.platform != "win32" else "", "PYTHONPATH": ""}


def bare(command: Sequence[str | Path]) -> list[str]:
    """The command as that user runs it. As the tests' own where the system lets nobody be another."""
    words = ["env", "--unset=HOME", *map(str, command)] if sys.platform == "linux" else list(map(str, command))
    return [*_NAMELESS, *words] if nameless() else words


@cache
def nameless() -> bool:
    """Whether the system lets us be a user without a name, who has no home whatever."""
    if shutil.which(_NAMELESS[0]) is None:
        return False
    return subprocess.run([*_NAMELESS, "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """While it lasts, nothing in the folder can be written: what writes as its owner is refused too."""
    modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*")) if not path.is_symlink()}
    for path, mode in modes.items():
        path.chmod(mode & ~_WRITABLE)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)

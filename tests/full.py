"""A full disk, for one process. Linux alone lets one limit another's files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

resource = pytest.importorskip("resource", reason="only Linux lets one process limit another's files")


@contextmanager
def full_disk(pid: int | None = None) -> Iterator[None]:
    """Nothing that the process writes, or this one, fits any more: its files may not grow beyond nothing."""
    whose = pid or os.getpid()
    limits = resource.prlimit(whose, resource.RLIMIT_FSIZE)
    resource.prlimit(whose, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(whose, resource.RLIMIT_FSIZE, limits)

"""Where plans are made: a folder of our home for each, from when it is wanted until it is done.

What is there is still to be done, whatever became of the process that began it. All of it blocks for a moment.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vel_tutor_mcp.taskmaster.locks import held

_RUN_ID = re.compile(r"[0-9a-f-]{36}")
_LOCK = "lock"


class Benches:
    """The folders, in this one; `called` is set when there is a new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.called = asyncio.Event()

    def want(self, run_id: str) -> None:
        """From now on the plan of this run is wanted, by whoever has this home."""
        (self._folder / run_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.called.set()

    def wanted(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if _RUN_ID.fullmatch(path.name)]

    @contextmanager
    def held(self, run_id: str) -> Iterator[Path | None]:
        """The plan's folder, by a lock that goes with its holder; None where another process has it, or is done."""
        folder = self._folder / run_id
        if not folder.is_dir():
            yield None
            return
        with held(folder / _LOCK) as ours:
            yield folder if ours else None

    def done(self, run_id: str) -> None:
        """The plan is wanted no more."""
        shutil.rmtree(self._folder / run_id, ignore_errors=True)

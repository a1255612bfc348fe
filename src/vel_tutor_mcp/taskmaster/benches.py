"""Where plans are made: a folder of our home for each try, from when it is wanted until it is done.

What is there is still to be done, whatever became of the process that began it. A run that is tried again gets another
bench, for the old one may be in use still. All of it blocks for a moment.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from vel_tutor_mcp.taskmaster.locks import held

_BENCH = re.compile(r"[0-9a-f-]{36}_[0-9]+")
_LOCK = "lock"


def bench_of(run_id: str, started_at: datetime) -> str:
    """The bench of the run's try that began then."""
    return f"{run_id}_{round(started_at.timestamp() * 1_000_000)}"


def run_of(bench: str) -> str:
    return bench.partition("_")[0]


class Benches:
    """The folders, in this one; `called` is set when there is a new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.called = asyncio.Event()

    def want(self, bench: str) -> None:
        """From now on the plan of this try is wanted, by whoever has this home."""
        (self._folder / bench).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.called.set()

    def wanted(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if _BENCH.fullmatch(path.name)]

    @contextmanager
    def held(self, bench: str) -> Iterator[Path | None]:
        """The plan's folder, by a lock that goes with its holder; None where another process has it, or is done."""
        folder = self._folder / bench
        if not folder.is_dir():
            yield None
            return
        with held(folder / _LOCK) as ours:
            yield folder if ours else None

    def done(self, bench: str) -> None:
        """The plan is wanted no more by this try."""
        shutil.rmtree(self._folder / bench, ignore_errors=True)

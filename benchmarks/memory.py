"""Memory of an idle server against a bare one, and of streams in flight: our provider alone against the openai SDK.

On Linux it is PSS, where pages that processes share count in parts; elsewhere RSS as `ps` tells it.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Measurement, Result, compared, fewer, unmeasured
from memory_of import megabytes
from stdio import BARE, OURS, StdioServer, environment
from upstream import upstream

ROUNDS = 4
STREAMS = 400

# Slow enough that no stream ends while others still open.
_WORDS, _WORDS_PER_SECOND = 1000, 2.0
_STREAMS = Path(__file__).with_name("streams.py")


async def results(share: float) -> list[Result]:
    if sys.platform == "win32":
        return [unmeasured("memory", "there is neither smaps_rollup nor ps")]
    return [await _idle(fewer(ROUNDS, share)), await _of_streams(fewer(ROUNDS, share))]


async def _idle(rounds: int) -> Result:
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, upstream(words=20) as provider:
        variables = environment(Path(folder), provider.base_url)
        return await compared(
            "memory, idle / bare SDK",
            _after(OURS, variables, lambda server: server.call("task_list")),
            _after(BARE, variables, lambda server: server.call("echo", text="hello")),
            unit="MB",
            rounds=rounds,
            warmups=1,
        )


def _after(
    arguments: tuple[str, ...], variables: Mapping[str, str], call: Callable[[StdioServer], object]
) -> Measurement:
    async def measure() -> float:
        with StdioServer(arguments, variables) as server:
            server.initialize()
            call(server)
            return megabytes(server.pid)

    return measure


async def _of_streams(rounds: int) -> Result:
    with upstream(_WORDS, _WORDS_PER_SECOND) as provider:
        return await compared(
            f"memory of 1,000 streams (by {STREAMS}), provider / openai SDK",
            _streams("ours", provider.base_url),
            _streams("theirs", provider.base_url),
            unit="MB",
            rounds=rounds,
            warmups=1,
        )


def _streams(whose: str, base_url: str) -> Measurement:
    async def measure() -> float:
        return _grown_by(whose, base_url) / STREAMS * 1000

    return measure


def _grown_by(whose: str, base_url: str) -> float:
    """In a process of its own: what a run leaves behind would be there for the next to use."""
    command = [sys.executable, str(_STREAMS), whose, base_url, str(STREAMS)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)

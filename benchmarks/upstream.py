"""A simulated provider in a process of its own, so that its work is not counted as a client's.

    python benchmarks/upstream.py [WORDS] [TOKENS_PER_SECOND]

It prints its base URL, and then, for each line on stdin, how many seconds its answers took since the last line.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vel_tutor_mcp.providers.simulated import SimulatedProvider


class Upstream:
    """The process, seen from outside."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders = orders
        self._answers = answers
        self.base_url = answers.readline().strip()

    def seconds(self) -> float:
        """How long the requests since the last look took, from their last byte here to the answer's last."""
        self._orders.write("\n")
        self._orders.flush()
        return float(self._answers.readline())


async def serve(words: int, tokens_per_second: float) -> None:
    text = " ".join(["simulated"] * words)
    async with SimulatedProvider("openai", tokens_per_second=tokens_per_second, answer=lambda _: text) as provider:
        print(provider.base_url, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(_seconds(provider), flush=True)
            provider.reset()


def _seconds(provider: SimulatedProvider) -> float:
    return sum(received.ended - received.started for received in provider.requests if received.ended is not None)


@contextmanager
def upstream(words: int, tokens_per_second: float = 0) -> Iterator[Upstream]:
    """One whose answers have so many words; 0 tokens per second: at once."""
    command = [sys.executable, str(Path(__file__)), str(words), str(tokens_per_second)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Upstream(process.stdin, process.stdout)
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))

"""A simulated provider in a process of its own, so that its work is not counted as a client's.

    python benchmarks/upstream.py [--words N] [--tokens-per-second N] [--latency SECONDS]

It prints its base URL, and then one line for each order on stdin:

    seconds         how long its answers took since the last time this was asked, all together
    begun N         when the Nth request since then came, once it has, by this machine's monotonic clock
    ended N         when the last request in flight had ended, once N have come and all of them are over
    pace N          let streams, also those in flight, send so many tokens a second from now on; 0: all at once
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vel_tutor_mcp.providers.simulated import SimulatedProvider

_LONGEST_WAIT_SECONDS = 240


class Upstream:
    """The process, seen from outside."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders = orders
        self._answers = answers
        self.base_url = answers.readline().strip()

    def seconds(self) -> float:
        """How long the requests since the last look took, from their last byte here to the answer's last."""
        return self._ordered("seconds")

    def begun(self, count: int) -> float:
        """Wait for so many requests since `seconds` was asked; when the last of them came, by `time.monotonic`."""
        return self._ordered(f"begun {count}")

    def ended(self, count: int) -> float:
        """Wait until so many requests have come and none is in flight; when the last of them ended."""
        return self._ordered(f"ended {count}")

    def pace(self, tokens_per_second: float) -> None:
        self._ordered(f"pace {tokens_per_second}")

    def _ordered(self, order: str) -> float:
        self._orders.write(f"{order}\n")
        self._orders.flush()
        return float(self._answers.readline())


async def serve(words: int, tokens_per_second: float, latency: float) -> None:
    text = " ".join(["simulated"] * words)
    async with SimulatedProvider(
        "openai", latency=latency, tokens_per_second=tokens_per_second, answer=lambda _: text
    ) as provider:
        print(provider.base_url, flush=True)
        while order := await asyncio.to_thread(sys.stdin.readline):
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                print(await _done(provider, *order.split()), flush=True)


async def _done(provider: SimulatedProvider, order: str, number: str = "0") -> float:
    match order:
        case "seconds":
            return _seconds(provider)
        case "begun":
            count = int(number)
            await provider.until(lambda provider: len(provider.requests) >= count)
            return provider.requests[count - 1].started
        case "ended":
            count = int(number)
            await provider.until(lambda provider: len(provider.requests) >= count and not provider.open)
            return max(received.ended or 0 for received in provider.requests)
        case "pace":
            provider.tokens_per_second = float(number)
            return provider.tokens_per_second
        case _:
            raise ValueError(order)


def _seconds(provider: SimulatedProvider) -> float:
    took = sum(received.ended - received.started for received in provider.requests if received.ended is not None)
    provider.reset()
    return took


@contextmanager
def upstream(words: int, tokens_per_second: float = 0, latency: float = 0) -> Iterator[Upstream]:
    """One whose answers have so many words, and begin after `latency`; 0 tokens per second: at once."""
    command = [sys.executable, str(Path(__file__)), f"--words={words}"]
    command += [f"--tokens-per-second={tokens_per_second}", f"--latency={latency}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Upstream(process.stdin, process.stdout)
        finally:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--tokens-per-second", type=float, default=0)
    parser.add_argument("--latency", type=float, default=0)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.words, arguments.tokens_per_second, arguments.latency))

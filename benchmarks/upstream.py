"""A simulated provider in a process of its own, so that its work is not counted as a client's.

    python benchmarks/upstream.py [WORDS] [TOKENS_PER_SECOND]

It prints its base URL.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vel_tutor_mcp.providers.simulated import SimulatedProvider


async def serve(words: int, tokens_per_second: float) -> None:
    text = " ".join(["simulated"] * words)
    async with SimulatedProvider("openai", tokens_per_second=tokens_per_second, answer=lambda _: text) as provider:
        print(provider.base_url, flush=True)
        await asyncio.Event().wait()


@contextmanager
def upstream(words: int, tokens_per_second: float = 0) -> Iterator[str]:
    """The base URL of one whose answers have so many words; 0 tokens per second: at once."""
    command = [sys.executable, str(Path(__file__)), str(words), str(tokens_per_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))

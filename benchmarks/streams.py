"""One process with many streams in flight: prints by how many megabytes they make it grow.

python benchmarks/streams.py ours|theirs BASE_URL COUNT
"""

import asyncio
import gc
import os
import sys

from memory_of import megabytes
from openai import AsyncOpenAI
from provider import ask_ours, streamed

from vel_tutor_mcp.providers.base import Delta
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible


async def growth(whose: str, base_url: str, count: int) -> float:
    await _opened(whose, base_url, 1)
    gc.collect()
    before = megabytes(os.getpid())
    kept = await _opened(whose, base_url, count)
    gc.collect()
    assert not any(call.done() for call in kept)
    return megabytes(os.getpid()) - before


async def _opened(whose: str, base_url: str, count: int) -> "list[asyncio.Task[str]]":
    """Streams of which each has told its first words."""
    begun = [asyncio.Event() for _ in range(count)]
    if whose == "ours":
        provider = OpenAICompatible("openai", base_url, "dummy-key", max_connections=count)
        calls = [asyncio.create_task(ask_ours(provider, _setting(heard))) for heard in begun]
    else:
        client = AsyncOpenAI(base_url=base_url, api_key="dummy-key", max_retries=0)
        calls = [asyncio.create_task(streamed(client, heard.set)) for heard in begun]
    await asyncio.gather(*(heard.wait() for heard in begun))
    return calls


def _setting(heard: asyncio.Event) -> Delta:
    return lambda _: heard.set()


if __name__ == "__main__":
    print(asyncio.run(growth(sys.argv[1], sys.argv[2], int(sys.argv[3]))), flush=True)
    os._exit(0)  # the streams need not be ended in order

"""The connections to one vendor, in small pools.

httpx2 looks at each idle connection of a pool when a call on it begins and when it ends: with 128 of them in one pool,
that took more CPU than the calls.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2

CONNECTIONS = 16
# Vendors drop idle connections after a minute or more; a new one costs several times the CPU of a call.
KEEP_ALIVE_SECONDS = 30.0


class Pools:
    """HTTP clients, each with a pool of at most `CONNECTIONS` connections; at most so many calls at once on all.

    Calls fill the first pool before the next, so that few calls keep few connections.
    """

    def __init__(self, most: int, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._places = asyncio.Semaphore(most)
        self._clients = [make() for _ in range(math.ceil(most / CONNECTIONS))]
        self._calls = [0] * len(self._clients)

    @property
    def first(self) -> httpx2.AsyncClient:
        return self._clients[0]

    @asynccontextmanager
    async def client(self, patience: float) -> AsyncIterator[httpx2.AsyncClient]:
        """For one call.

        Raises:
            httpx2.PoolTimeout: none got free within so many seconds.
        """
        try:
            async with asyncio.timeout(patience):
                await self._places.acquire()
        except TimeoutError:
            raise httpx2.PoolTimeout("all connections are taken") from None
        # There is one: no more hold a place than all pools together take.
        pool = next(pool for pool, calls in enumerate(self._calls) if calls < CONNECTIONS)
        self._calls[pool] += 1
        try:
            yield self._clients[pool]
        finally:
            self._calls[pool] -= 1
            self._places.release()

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

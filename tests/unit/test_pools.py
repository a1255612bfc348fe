import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import httpx2
import pytest
from waits import turns

from vel_tutor_mcp.providers.pools import CONNECTIONS, Pools

pytestmark = pytest.mark.anyio

SOON = 0.01


def pools(most: int) -> Pools:
    return Pools(most, httpx2.AsyncClient)


async def test_calls_fill_a_pool_before_the_next_and_again_what_was_left() -> None:
    many = pools(3 * CONNECTIONS)
    async with AsyncExitStack() as calls:
        for number in range(CONNECTIONS + 1):
            client = await calls.enter_async_context(many.client(SOON))
            assert (client is many.first) == (number < CONNECTIONS)
    async with many.client(SOON) as client:
        assert client is many.first


async def test_no_client_has_more_calls_at_once_than_its_pool_has_connections() -> None:
    most = 2 * CONNECTIONS + 3
    many, calls = pools(most), AsyncExitStack()
    async with calls:
        clients = [await calls.enter_async_context(many.client(SOON)) for _ in range(most)]
        assert sorted(Counter(map(id, clients)).values()) == [3, CONNECTIONS, CONNECTIONS]
        with pytest.raises(httpx2.PoolTimeout):
            await calls.enter_async_context(many.client(SOON))


async def test_who_waits_is_given_the_connection_of_a_call_that_failed() -> None:
    one = pools(1)

    async def fail() -> None:
        async with one.client(SOON):
            waiting.set()
            await turns()
            raise httpx2.ReadError("broken off")

    waiting = asyncio.Event()
    failing = asyncio.create_task(fail())
    await waiting.wait()
    async with asyncio.timeout(5), one.client(5) as client:
        assert client is one.first
    with pytest.raises(httpx2.ReadError):
        await failing


async def test_who_gives_up_waiting_takes_no_connection() -> None:
    one = pools(1)
    async with one.client(SOON):
        with pytest.raises(httpx2.PoolTimeout):
            await one.client(SOON).__aenter__()
    async with one.client(SOON):
        pass

"""PostgreSQL is away at the start, or goes in between: every call says so, and all is well when it is back."""

from pathlib import Path

import httpx2
import pytest
from postgresql import PostgresServer
from server import WAIT_SECONDS, Server, ToolRefused, Transport, alone, one_sentence, serving, soon
from waits import found
from world import Providers

pytestmark = pytest.mark.anyio


async def refusal(server: Server) -> str:
    with pytest.raises(ToolRefused) as refused:
        await server.call("task_list")
    return str(refused.value)


async def health(server: Server) -> str:
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client:
        told = await client.get((await server.address()).replace("/mcp", "/api/health"))
    status: str = told.json()["status"]
    assert told.status_code == (200 if status == "ok" else 503)
    return status


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_server_opens_when_its_database_is_there_at_last(
    tmp_path: Path, providers: Providers, postgres: PostgresServer, postgres_url: str, transport: Transport
) -> None:
    postgres.stop()
    values = alone(providers.groq) | {"VEL_TUTOR_DATABASE_URL": postgres_url}
    async with serving(tmp_path, values, transport=transport) as server:
        away = await refusal(server)
        postgres.start()
        task = await soon(submitted_at_last(server))

    assert one_sentence(away), away
    assert task["status"] == "completed"
    assert server.stderr.decode().count(away) == 1


async def submitted_at_last(server: Server) -> dict[str, object]:
    while True:
        try:
            return await server.call("task_submit", prompt="Say hello", wait_seconds=15)
        except ToolRefused:  # not yet
            continue


async def test_health_follows_the_database(
    tmp_path: Path, providers: Providers, postgres: PostgresServer, postgres_url: str
) -> None:
    values = alone(providers.groq) | {"VEL_TUTOR_DATABASE_URL": postgres_url}
    async with serving(tmp_path, values, transport="http") as server:

        async def well() -> bool | None:
            return await health(server) == "ok" or None

        await server.call("task_list")
        await found(well)
        postgres.stop()
        assert await health(server) == "unavailable"
        postgres.start()
        await found(well)

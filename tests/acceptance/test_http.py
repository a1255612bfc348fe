"""What is HTTP's own: who may come in, health, clients that go away, and an orderly end."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from deployment import Deployment
from mcp import Client
from mcp.client.sse import sse_client
from processes import COMMAND
from server import WAIT_SECONDS, Server, Transport, alone, one_sentence, serving, soon
from wires import ACCEPT
from world import Providers

from vel_tutor_mcp import __version__

pytestmark = pytest.mark.anyio

BAD_USAGE, BAD_CONFIGURATION = 64, 78
SECRET = "tell nobody"
# Sooner than anything else would end it.
LEAVING_SECONDS = 15.0
over_http = pytest.mark.parametrize("deployment", [("sse", "sqlite"), ("http", "sqlite")], indirect=True, ids="-".join)
with_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without a signal")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(vendors: Providers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with serving(tmp_path_factory.mktemp("http"), vendors.environment(), transport="http") as server:
        await server.call("task_list")  # it is open
        yield server


@pytest.fixture(scope="module")
async def browser(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    """Sends what it is told to, as a foreign page might make a browser do."""
    base = (await soon(server.address())).removesuffix("/mcp")
    async with httpx2.AsyncClient(
        base_url=base, trust_env=False, timeout=WAIT_SECONDS, headers={"accept": ACCEPT}
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"host": "localhost.evil.example"}, 421),
        ({"origin": "http://localhost:6274"}, 200),
        ({"origin": "http://127.0.0.1"}, 200),
        ({"origin": "https://localhost:6274"}, 200),
        ({"origin": "https://127.0.0.1"}, 200),
        ({"origin": "ftp://localhost"}, 403),
        ({"origin": "localhost"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "https://localhost.evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "http://localhost:1.evil.example"}, 403),
        ({"origin": "http://127.0.0.1:80@evil.example"}, 403),
        ({"host": "localhost:1.evil.example"}, 421),
        ({"origin": "https://evil.example:443"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_only_this_host_and_no_foreign_page_is_served(
    browser: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    reply = await browser.get("/api/health", headers=headers)
    assert reply.status_code == status
    assert (reply.headers["x-content-type-options"], reply.headers["cache-control"]) == ("nosniff", "no-store")
    assert "access-control-allow-origin" not in reply.headers
    if status != 200:
        assert reply.json()["error"]["message"]
        assert (await browser.get("/sse", headers=headers)).status_code == status
        for path in ("/mcp", "/messages/", "/nowhere"):
            assert (await browser.post(path, headers=headers, json={})).status_code == status


async def test_health_is_told(browser: httpx2.AsyncClient) -> None:
    health = await browser.get("/api/health")
    told = health.json()

    assert health.status_code == 200
    assert (told["status"], told["version"], told["reason"]) == ("ok", __version__, None)
    assert told["dependencies"]["database"] == "ok"


async def test_health_tells_why_the_product_is_not_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    async with serving(tmp_path, {"VEL_TUTOR_HOME": str(tmp_path / "file" / "home")}, transport="sse") as server:
        with pytest.raises(Exception, match="VEL_TUTOR_HOME") as refused:
            await server.call("task_list")
        async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client:
            health = await client.get((await server.address()).replace("/sse", "/api/health"))

    assert health.status_code == 503
    assert (health.json()["status"], health.json()["reason"]) == ("unavailable", str(refused.value))


async def test_many_calls_at_once_are_answered_each_its_own(server: Server) -> None:
    prompts = [f"Say {number}" for number in range(20)]
    tasks = await asyncio.gather(*(server.call("task_submit", prompt=prompt, wait_seconds=30) for prompt in prompts))

    assert [task["prompt"] for task in tasks] == prompts
    assert {task["status"] for task in tasks} == {"completed"}


async def test_the_older_pair_is_served_on_the_same_port(server: Server) -> None:
    address = (await soon(server.address())).replace("/mcp", "/sse")
    async with Client(sse_client(address, timeout=WAIT_SECONDS), mode="legacy") as client:
        result = await soon(client.call_tool("task_list", {}))

    assert not result.is_error


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (["--transport", "http", "--no-auth", "--host", "0.0.0.0"], BAD_USAGE, "127.0.0.1"),
        (["--transport", "http", "--no-auth", "--host", "::"], BAD_USAGE, "127.0.0.1"),
        (["--transport", "sse", "--no-auth", "--host", "example.org"], BAD_USAGE, "127.0.0.1"),
        (["--transport", "http", "--certfile", "nowhere.pem"], BAD_CONFIGURATION, "No such file"),
        (["--transport", "http", "--keyfile", "nowhere.pem"], BAD_USAGE, "--certfile"),
        (["--transport", "http", "--port", "{taken}"], BAD_CONFIGURATION, "set VEL_TUTOR_PUBLIC_URL"),
        (["--transport", "http", "--host", "nowhere.invalid"], BAD_CONFIGURATION, "no address of it is known"),
        (["--transport", "http", "--host", "no..where"], BAD_CONFIGURATION, "no address of it is known"),
        (["--transport", "http", "--host", "192.0.2.1"], BAD_CONFIGURATION, "no such address; name an address"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_a_sentence(
    tmp_path: Path, options: list[str], code: int, why: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        options = [option.format(taken=taken) for option in options]
        async with Server(tmp_path, command=[*COMMAND, "serve", *options]) as server:
            assert await server.ended() == code

    said = server.stderr.decode().strip()
    assert one_sentence(said), said
    assert why in said
    assert server.stdout == b""
    assert not server.home.exists()


@over_http
async def test_a_client_that_goes_away_in_mid_call_stops_no_task(deployment: Deployment, providers: Providers) -> None:
    groq = providers.groq
    groq.tokens_per_second = 10
    async with deployment.serving(alone(groq)) as server:
        server.begin("task_submit", prompt="Carry on", wait_seconds=45)
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 1))
        await server.reconnect()
        (task,) = (await server.call("task_list"))["tasks"]
        task = await server.call("task_get", id=task["id"], wait_seconds=15)

    assert [attempt["outcome"] for attempt in task["attempts"]] == ["completed"]
    assert "Traceback" not in server.stderr.decode()


async def turned_away(address: str) -> None:
    """Until nobody new is let in, by a word or by a closed door."""
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client:
        with suppress(httpx2.NetworkError, httpx2.RemoteProtocolError):
            while (await client.post(address)).status_code != 503:
                continue


@over_http
@with_signals
async def test_a_draining_server_tells_the_answer_and_lets_nobody_in(
    deployment: Deployment, providers: Providers
) -> None:
    groq = providers.groq
    groq.tokens_per_second = 1  # it does not end before somebody came
    async with deployment.serving(alone(groq) | {"VEL_TUTOR_DRAIN_SECONDS": "20"}) as server:
        _, answer = server.begin("task_submit", prompt="Finish first", wait_seconds=45)
        await soon(groq.until(lambda groq: groq.open == 1 and groq.requests[0].chunks_sent > 0))
        server.terminate()
        await soon(turned_away(await server.address()))
        groq.tokens_per_second = 0
        told = await soon(answer)
        assert await soon(server.ended(), LEAVING_SECONDS) == 0

    assert told["result"]["structuredContent"]["status"] == "completed"
    assert server.stderr.decode().count("\n") == 1  # the address, and nothing else


@with_signals
@pytest.mark.parametrize(
    ("deployment", "number"),
    [(("sse", "sqlite"), signal.SIGINT), (("http", "sqlite"), signal.SIGTERM)],  # both doors hear signals in one way
    indirect=["deployment"],
    ids=["sse-SIGINT", "http-SIGTERM"],
)
async def test_the_server_answers_who_waits_ends_open_streams_and_leaves_at_once(
    deployment: Deployment, providers: Providers, number: int
) -> None:
    groq = providers.groq
    groq.latency = 60
    async with deployment.serving(alone(groq)) as server:
        _, answer = server.begin("task_submit", prompt="Wait", wait_seconds=50)
        await soon(groq.until(lambda groq: groq.open == 1))
        server.signal(number)
        assert await soon(server.ended(), LEAVING_SECONDS) == 0

    assert (await answer)["result"]["structuredContent"]["status"] == "in_progress"
    groq.latency = 0
    async with deployment.serving(alone(groq)) as again:
        (listed,) = (await again.call("task_list"))["tasks"]
        task = await again.call("task_get", id=listed["id"], wait_seconds=15)
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["cut", "completed"]
    assert server.stderr.decode().splitlines()[1:] == []
    assert server.stdout == b""


@with_signals
@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_second_signal_ends_the_draining(tmp_path: Path, providers: Providers, transport: Transport) -> None:
    groq = providers.groq
    groq.latency = 60
    values = alone(groq) | {"VEL_TUTOR_DRAIN_SECONDS": "100", "VEL_TUTOR_LOG_LEVEL": "INFO"}
    async with serving(tmp_path, values, transport=transport) as server:
        server.begin("task_submit", prompt="Wait", wait_seconds=50)
        await soon(groq.until(lambda groq: groq.open == 1))
        server.terminate()
        server.signal(signal.SIGINT)
        assert await soon(server.ended(), LEAVING_SECONDS) == 0


@over_http
async def test_no_prompt_and_no_header_is_in_the_log(deployment: Deployment, providers: Providers) -> None:
    async with deployment.serving(providers.environment() | {"VEL_TUTOR_LOG_LEVEL": "DEBUG"}) as server:
        await server.call("task_submit", prompt=SECRET, wait_seconds=15)
        async with httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client:
            await client.get(await server.address(), headers={"host": SECRET.replace(" ", "-")})
        server.send_raw({"jsonrpc": "2.0", "id": "x", "method": 3, "params": SECRET})
        assert (await server.call("task_list"))["tasks"] != []

    assert SECRET not in server.stderr.decode()
    assert SECRET.replace(" ", "-") not in server.stderr.decode()
    assert server.rubbish == []

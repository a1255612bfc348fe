"""MCP over HTTP with tokens: who comes in, as whom, and what they may see; with real processes and real clients."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import httpx2
import jwt
import pytest
from certificates import self_signed
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from people import Front, front
from planted import PASSWORD
from processes import COMMAND
from pydantic import SecretStr
from server import WAIT_SECONDS, Server, soon
from wires import ACCEPT
from world import Era

from vel_tutor_mcp.app import open_app
from vel_tutor_mcp.auth.accounts import Account
from vel_tutor_mcp.auth.tokens import Claims, SigningKey, Tokens
from vel_tutor_mcp.models import Role, TaskRequest
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.keyring import Keyring
from vel_tutor_mcp.settings import Settings

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:4000"
NO_WORK = {"VEL_TUTOR_CONCURRENCY": "0", "OPENAI_API_KEY": "unused"}
METADATA = "/.well-known/oauth-protected-resource"
ACCEPTS = {"accept": ACCEPT}
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
}
READS = {
    "agent_list", "agent_get", "agent_test", "task_get", "task_list", "workflow_get", "route_explain", "usage_report",
    "audit_search", "audit_verify", "dashboard_show", "dashboard_data",
}  # fmt: skip

Way = Literal["mcp", "sse"]
WAYS: Sequence[tuple[Way, Era]] = [("mcp", "legacy"), ("mcp", "auto"), ("sse", "legacy")]
each_way = pytest.mark.parametrize(("way", "era"), WAYS, ids=["-".join(way) for way in WAYS])


@dataclass(frozen=True)
class Place:
    """A server that asks for tokens, and beside it the product on the same home, where accounts are made."""

    server: Server
    base: str
    desk: Front

    async def token(self, role: Role = "task_executor", organisation: str | None = None) -> tuple[Account, str]:
        account = await self.desk.join(role, organisation)
        return account, (await self.desk.enter(account)).token

    @asynccontextmanager
    async def client(self, way: Way, era: Era, token: str) -> AsyncIterator[Client]:
        """The official SDK's client."""
        headers = {"authorization": f"Bearer {token}"}
        if way == "sse":
            async with Client(sse_client(f"{self.base}/sse", headers, timeout=WAIT_SECONDS), mode=era) as client:
                yield client
            return
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False, timeout=WAIT_SECONDS) as http,
            Client(streamable_http_client(f"{self.base}/mcp", http_client=http), mode=era) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def listening(folder: Path, *options: str, **variables: str) -> AsyncIterator[tuple[Server, str]]:
    """A server and its origin."""
    command = [*COMMAND, "serve", "--transport", "http", "--port", "0", *options]
    async with Server(folder, variables, command) as server:
        try:
            yield server, (await soon(server.address())).removesuffix("/mcp")
        finally:
            server.terminate()


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with (
        listening(tmp_path_factory.mktemp("bearer"), VEL_TUTOR_CONCURRENCY="0", OPENAI_API_KEY="unused") as (
            server,
            base,
        ),
        open_app(
            Settings(home=server.home, concurrency=0, openai_api_key=SecretStr("never called")), guest=True
        ) as app,
        httpx2.AsyncClient(trust_env=False, timeout=WAIT_SECONDS) as client,
    ):
        place = Place(server, base, front(app))
        _, token = await place.token()
        assert (await soon(client.get(f"{base}/nowhere", headers=bearing(token)))).status_code == 404  # it is open
        yield place


@pytest.fixture(scope="module")
async def raw(place: Place) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=place.base, trust_env=False, timeout=WAIT_SECONDS, headers=ACCEPTS
    ) as client:
        yield client


def bearing(token: str, **others: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in others.items()}}


async def told(client: Client, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Whether the call was refused, and what was answered."""
    result = await soon(client.call_tool(tool, arguments))
    (part,) = result.content
    assert isinstance(part, TextContent)
    return bool(result.is_error), part.text


async def test_without_a_token_a_client_learns_where_tokens_come_from(raw: httpx2.AsyncClient) -> None:
    ways = (("POST", "/mcp", "/mcp"), ("GET", "/sse", "/sse"), ("POST", "/messages/", "/sse"), ("GET", "/nowhere", ""))
    for method, path, way in ways:
        refused = await raw.request(method, path, json=HELLO if method == "POST" else None)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "AUTHENTICATION_REQUIRED")
        assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{URL}{METADATA}{way}"'
        metadata = (await raw.get(f"{METADATA}{way}")).json()
        assert (metadata["resource"], metadata["authorization_servers"]) == (f"{URL}{way}", [URL])
    assert (await raw.get("/api/health")).status_code == 200
    assert (await raw.get(f"{METADATA}/nowhere")).status_code == 401


async def test_a_token_that_is_not_good_is_refused_and_on_record(place: Place, raw: httpx2.AsyncClient) -> None:
    await place.desk.pass_a_minute()  # others were refused before: of an address five in a minute are on record
    before = len(await place.desk.recorded("token_refused"))
    account, good = await place.token()
    ended = await place.desk.enter(account)
    await place.desk.access.sign_out(await place.desk.access.verify(ended.token))
    grant = (await place.desk.access.verify(good)).grant_id
    assert grant is not None
    keyring = Keyring(place.desk.database, place.server.home, "https://other.example")
    claims = Claims(
        user_id=account.id, organisation_id=account.organisation_id, role="admin", grant_id=grant, token_id="t",
        issued_at=record.now(), expires_at=record.now() + timedelta(hours=1),
    )  # fmt: skip
    content = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    public = await keyring._find(kid)
    assert public is not None
    bad = {
        "another server": await keyring.signed(claims),
        "no key of this server": Tokens(URL).signed(claims, SigningKey.new()),
        "changed, cut": jwt.encode(content, "", algorithm="none", headers={"kid": kid}),
        "none of ours": jwt.encode(content, public, algorithm="HS256", headers={"kid": kid}),
        "was revoked": ended.token,
    }
    for why, token in bad.items():
        refused = await raw.post("/mcp", json=HELLO, headers=bearing(token))
        challenge = refused.headers["www-authenticate"]
        assert (refused.status_code, why in challenge) == (401, True), challenge
        assert challenge.startswith('Bearer error="invalid_token", error_description="')
        assert token not in challenge + refused.text
    assert len(await place.desk.recorded("token_refused")) - before == len(bad)
    for given in (f"Basic {good}", f"Bearerx {good}", good):
        assert (await raw.post("/mcp", json=HELLO, headers={"authorization": given})).status_code == 401
    assert (await raw.post(f"/mcp?access_token={good}", json=HELLO)).status_code == 401


@each_way
async def test_a_client_with_a_token_works_as_whom_it_is_of(place: Place, way: Way, era: Era) -> None:
    account, token = await place.token("agent_manager")
    async with place.client(way, era, token) as client:
        names = {tool.name for tool in (await soon(client.list_tools())).tools}
        refused, answer = await told(client, "agent_create", name="mine", type="researcher")
        made = json.loads(str((await soon(client.read_resource("agents://list"))).contents[0].text))  # type: ignore[union-attr]
        prompts = {prompt.name for prompt in (await soon(client.list_prompts())).prompts}

    assert not refused, answer
    assert names > READS
    assert {agent["name"] for agent in made["agents"]} >= {"mine", "default"}
    assert "write-review-revise" in prompts or len(prompts) > 2
    (entry,) = await place.desk.recorded("agent_created", next(
        f"agent:{agent['id']}" for agent in made["agents"] if agent["name"] == "mine"
    ))  # fmt: skip
    assert entry.principal == account.name


@each_way
async def test_a_viewer_is_shown_what_it_may_use_and_refused_the_rest(place: Place, way: Way, era: Era) -> None:
    account, token = await place.token("viewer")
    async with place.client(way, era, token) as client:
        names = {tool.name for tool in (await soon(client.list_tools())).tools}
        refused, answer = await told(client, "task_submit", prompt="Say hello", wait_seconds=0)
        looked = await told(client, "task_list")

    assert names == READS
    assert refused
    assert "the role viewer has no task_submit" in answer
    assert not looked[0]
    assert len(await place.desk.recorded("refused", f"user:{account.id}")) == 1


@each_way
async def test_what_is_anothers_is_not_there(place: Place, way: Way, era: Era) -> None:
    owner, _ = await place.token()
    task = await place.desk.app.tasks.submit(owner.principal, TaskRequest(prompt="A secret of theirs"))
    _, token = await place.token()
    async with place.client(way, era, token) as client:
        for tool in ("task_get", "task_cancel", "task_retry"):
            refused, answer = await told(client, tool, id=task.id)
            assert refused
            assert answer.startswith("There is no such task")
        for uri in (f"task://{task.id}", f"task://{task.id}/output"):
            with pytest.raises(MCPError, match="no such task"):
                await soon(client.read_resource(uri))
        assert task.id not in (await told(client, "task_list"))[1]
    assert len(await place.desk.recorded("refused", f"task:{task.id}")) == 5


@each_way
async def test_another_role_and_a_revocation_hold_in_the_middle_of_a_session(place: Place, way: Way, era: Era) -> None:
    account, token = await place.token("viewer")
    admin = place.desk.app.local_principal
    with pytest.raises(BaseException) as gone:  # noqa: PT011, PT012 - the SDK's clients each tell a 401 in their own way
        async with place.client(way, era, token) as client:
            assert (await told(client, "agent_create", name="early", type="researcher"))[0]
            await place.desk.accounts.set_role(admin, account.id, "task_executor")
            assert not (await told(client, "agent_create", name="late", type="researcher"))[0]
            await place.desk.accounts.disable(admin, account.id)
            await asyncio.wait_for(client.call_tool("task_list", {}), 2)
    assert not isinstance(gone.value, AssertionError)
    names = [entry.payload["name"] for entry in await place.desk.recorded("agent_created")]
    assert "late" in names
    assert "early" not in names


async def test_a_session_is_of_whom_opened_it(place: Place, raw: httpx2.AsyncClient) -> None:
    (owner, token), (_, others) = await place.token(), await place.token("admin")
    session = (await raw.post("/mcp", json=HELLO, headers=bearing(token))).headers["mcp-session-id"]
    answers = [
        await raw.post("/mcp", json=PING, headers=bearing(bearer, mcp_session_id=session))
        for bearer in (token, others, (await place.desk.enter(owner)).token)
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 200]
    assert (await raw.delete("/mcp", headers=bearing(others, mcp_session_id=session))).status_code == 404

    async with raw.stream("GET", "/sse", headers=bearing(token)) as stream:
        lines = stream.aiter_lines()
        path = next(
            line.removeprefix("data: ") for line in [await soon(anext(lines)) for _ in range(2)] if "data" in line
        )
        answers = [await raw.post(path, json=HELLO, headers=bearing(bearer)) for bearer in (others, token)]
    assert [answer.status_code for answer in answers] == [404, 202]


async def test_callers_at_once_are_never_taken_for_each_other(place: Place) -> None:
    people = [await place.token() for _ in range(4)]

    async def busy(account: Account, token: str, way: Way, era: Era) -> None:
        async with place.client(way, era, token) as client:
            for number in range(5):
                refused, answer = await told(client, "agent_create", name=f"{way}-{era}-{number}", type="researcher")
                assert not refused, answer
            page = await place.desk.app.agents.list(account.principal, limit=100)
            assert {f"{way}-{era}-{number}" for number in range(5)} <= {agent.name for agent in page.rows}

    await asyncio.gather(*(busy(*who, *way) for who in people for way in WAYS))


async def test_many_refused_tokens_leave_few_entries(place: Place, raw: httpx2.AsyncClient) -> None:
    kinds = ("token_refused", "token_refused_often")
    await place.desk.pass_a_minute()  # who was refused before has entries too
    before = [len(await place.desk.recorded(kind)) for kind in kinds]
    await asyncio.gather(*(raw.get("/sse", headers=bearing("guess")) for _ in range(30)))
    after = [len(await place.desk.recorded(kind)) for kind in kinds]
    assert [more - less for more, less in zip(after, before, strict=True)] == [5, 1]


async def test_over_tls_and_on_every_address_its_names_are_served_and_no_others(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "tutor.example")
    options = ("--host", "0.0.0.0", "--certfile", str(certificate))
    names = {"VEL_TUTOR_PUBLIC_URL": "https://tutor.example", "VEL_TUTOR_ALLOWED_HOSTS": "inside.example, 10.0.0.7"}
    async with listening(tmp_path, *options, **names) as (server, origin):
        port = origin.rpartition(":")[2]
        async with httpx2.AsyncClient(
            base_url=f"https://127.0.0.1:{port}", trust_env=False, verify=False, timeout=WAIT_SECONDS
        ) as client:
            answers = {
                host: (await client.get("/api/health", headers={"host": host})).status_code
                for host in ("tutor.example", "inside.example:8443", "10.0.0.7", "127.0.0.1", "0.0.0.0", "evil.example")
            }
            pages = [
                await client.get("/api/health", headers={"origin": own})
                for own in ("https://tutor.example", "https://inside.example:8443", f"https://localhost:{port}")
            ]
            foreign = await client.get("/api/health", headers={"origin": "https://evil.example"})
            refused = await client.get("/sse")
    assert [status == 421 for status in answers.values()] == [False, False, False, False, True, True]
    assert 403 not in {page.status_code for page in pages}
    assert foreign.status_code == 403
    assert 'resource_metadata="https://tutor.example/.well-known/' in refused.headers["www-authenticate"]
    assert b"tokens are good for https://tutor.example" in server.stderr


async def test_where_documents_of_clients_are_not_read_none_is_asked_for(tmp_path: Path) -> None:
    query = {"client_id": "https://client.invalid/mcp.json"}
    async with (
        listening(tmp_path, VEL_TUTOR_CLIENT_DOCUMENTS="false", **NO_WORK) as (_, origin),
        httpx2.AsyncClient(base_url=origin, trust_env=False, timeout=WAIT_SECONDS) as client,
    ):
        offered = (await client.get("/.well-known/oauth-authorization-server")).json()
        page = await client.get("/oauth/authorize", params=query)
    assert ("client_id_metadata_document_supported" in offered, "registration_endpoint" in offered) == (False, True)
    assert (page.status_code, "add it again" in page.text) == (400, True)


async def test_no_secret_is_in_the_log_or_the_home(place: Place) -> None:
    account, token = await place.token()
    issued = await place.desk.access.issue(account.principal, "planted")
    refresh = (await place.desk.enter(account)).refresh_token
    async with place.client("mcp", "legacy", issued.token) as client:
        await told(client, "task_list")
    kept = b"".join(path.read_bytes() for path in place.server.home.rglob("*") if path.is_file())
    kept += place.server.stderr + place.server.stdout
    assert account.name.encode() in kept
    for secret in (PASSWORD, token, issued.token, refresh):
        assert secret.encode() not in kept

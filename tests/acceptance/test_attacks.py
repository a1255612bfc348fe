"""Attacks on one running server, which has a token for nobody but its team: nothing gets through, nothing breaks, and
what was refused is on record.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from server import WAIT_SECONDS, soon
from stores import NewDatabase
from team import Member, Team, team
from waits import found
from wires import ACCEPT

from vel_tutor_mcp.models import AuditEntry

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_database", ["sqlite"], indirect=True, scope="module")]

SERVED_SECONDS = 12.0  # before the first of those who send nothing is left, after 15 s
SECRET = "of-nobody-else"
EVIL = "http://evil.example"
JSON = {"content-type": "application/json", "accept": ACCEPT}
DOORS = ("/api/tasks", "/mcp", "/v1/chat/completions", "/api/auth/login")
SQL = ("' OR '1'='1", "1); DROP TABLE tasks; --", "%")
OUTSIDE = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..\\..\\settings",
    "%00",
)
NESTED = b'{"prompt":' + b"[" * 40_000 + b"]" * 40_000 + b"}"
ODD = (
    b'{"prompt": 1' + b"0" * 6_000 + b"}",
    b'{"prompt": NaN}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": 1e999}',
    b"\xff",
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> AsyncIterator[Team]:
    async with team(tmp_path_factory.mktemp("attacks"), new_database) as made:
        yield made
        said = made.server.stderr.decode()
        assert [line for line in said.splitlines() if not line.startswith("vel-tutor-mcp: ")] == []
        assert "\x1b" not in said


@pytest.fixture(scope="module")
async def mallory(place: Team) -> AsyncIterator[Member]:
    """Somebody of another organisation, who has a token."""
    async with place.member("org_admin", "others") as member:
        yield member


@pytest.fixture(scope="module")
async def theirs(place: Team) -> str:
    """The id of a task that is none of Mallory's."""
    async with place.member() as member:
        made = await member.asks("POST", "/api/tasks", 201, json={"prompt": SECRET, "wait_seconds": 20})
        return str(made["id"])


@pytest.fixture(autouse=True)
async def healthy(place: Team) -> AsyncIterator[None]:
    """After each attack the server is well."""
    yield
    async with place.client() as http:

        async def well() -> bool | None:
            return (await http.get("/api/health")).json()["status"] == "ok" or None

        await found(well)


@asynccontextmanager
async def noted(place: Team, *reasons: str, of: Member | None = None) -> AsyncIterator[None]:
    """What is refused meanwhile is on record with each of these reasons, as of nobody unless it is known who asks; that
    is written beside the answer.
    """
    reader, name = (of.account.principal, of.account.name) if of else (place.desk.app.local_principal, "nobody")

    async def entries() -> Sequence[AuditEntry]:
        return (await place.desk.app.audit.search(reader, action="request_refused", principal=name)).rows

    await place.desk.pass_a_minute()
    before = {entry.sequence for entry in await entries()}
    yield

    async def all_told() -> bool | None:
        told = [str(entry.payload["reason"]) for entry in await entries() if entry.sequence not in before]
        return all(any(reason in line for line in told) for reason in reasons) or None

    await found(all_told, WAIT_SECONDS)


async def raw(place: Team, *lines: str, body: bytes = b"") -> bytes:
    """The head of what is answered to these very bytes."""
    url = httpx2.URL(place.base)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode("latin-1") + body)
    try:
        return await soon(reader.readuntil(b"\r\n\r\n"))
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"host": "evil.example"}, 421, "has no such name"),
        ({"origin": EVIL}, 403, "Pages of this origin"),
        ({"origin": "http://localhost:1.evil.example"}, 403, "Pages of this origin"),
    ],
    ids=["rebound", "origin", "prefix"],
)
async def test_a_foreign_page_does_nothing_though_it_has_a_token(
    place: Team, mallory: Member, headers: dict[str, str], status: int, why: str
) -> None:
    body = {"prompt": "from a page"}
    async with noted(place, why):
        for path in DOORS:
            reply = await mallory.http.post(path, json=body, headers={**JSON, **headers})
            assert (reply.status_code, reply.headers["content-type"]) == (status, "application/json")
    asked = {**headers, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = await mallory.http.options("/api/tasks", headers=asked)
    assert not [name for name in preflight.headers if name.startswith("access-control-")]
    assert (await mallory.asks("GET", "/api/tasks"))["meta"]["total"] == 0


async def test_every_parameter_of_every_list_takes_sql_as_text(mallory: Member, theirs: str) -> None:
    document = await mallory.asks("GET", "/api/openapi.json")
    asked = 0
    for path, methods in document["paths"].items():
        for row in methods.get("get", {}).get("parameters", ()):
            if row["in"] == "header":
                continue
            for sql in SQL:
                way = path.replace("{" + row["name"] + "}", quote(sql, safe="")) if row["in"] == "path" else path
                if "{" in way:  # a parameter of a thing: Mallory has none
                    continue
                query = {row["name"]: sql} if row["in"] == "query" else {}
                reply = await mallory.http.get(way, params=query)
                assert reply.status_code in {400, 403, 404} or _is_empty(reply), f"{way} {query}: {reply.text}"
                assert SECRET not in reply.text
                asked += 1
    assert asked > 50
    await mallory.asks("GET", f"/api/tasks/{theirs}", 404)


@pytest.mark.usefixtures("theirs")
async def test_tools_take_sql_as_text(mallory: Member) -> None:
    for number, sql in enumerate(SQL):
        for tool, name in [
            ("task_list", "agent"),
            ("agent_get", "agent"),
            ("task_get", "id"),
            ("audit_search", "action"),
        ]:
            told = await called(mallory, "tools/call", {"name": tool, "arguments": {name: sql}}, number)
            assert SECRET not in told
            assert "unexpected fault" not in told
            assert '"isError":true' in told or "[]" in told, told


async def called(member: Member, method: str, params: dict[str, Any], number: int = 1) -> str:
    version = "2026-07-28"
    params = {
        **params,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    }
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    headers = {**JSON, "mcp-protocol-version": version, "mcp-method": method}
    if name := params.get("name", params.get("uri")):
        headers["mcp-name"] = quote(str(name))
    reply = await member.http.post("/mcp", json=message, headers=headers)
    assert reply.status_code < 500
    return reply.text


@pytest.mark.parametrize("path", DOORS)
async def test_what_is_too_large_too_deep_or_odd_is_refused(place: Team, mallory: Member, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b" " * 50_000

    async def sent(body: Any) -> tuple[int, Any]:
        reply = await mallory.http.post(path, content=body, headers=JSON)
        return reply.status_code, reply.json()

    known = None if path == "/api/auth/login" else mallory
    async with noted(place, "too large", "nests too deep", of=known):
        assert (await sent(b" " * 2_000_001))[0] == 413
        status, told = await sent(endless())
        assert (status, "error" in told) == (413, True)
        status, told = await sent(NESTED)
        assert (status, "nests too deep" in told["error"]["message"]) == (400, True)
    for body in ODD:
        status, told = await sent(body)
        assert (status, "error" in told) == (400, True), body[:20]


async def test_a_large_head_is_refused(place: Team, mallory: Member) -> None:
    async with noted(place, "headers are too large"):
        many = await mallory.http.get("/api/users/me", headers={f"x-{number}": "1" for number in range(101)})
        large = await mallory.http.get("/api/users/me", headers={"x": "y" * 16_400})
    assert (many.status_code, large.status_code) == (431, 431)


async def test_no_line_of_a_request_becomes_a_header_of_the_answer(place: Team, mallory: Member) -> None:
    token = mallory.http.headers["authorization"]
    planted = "x%0d%0aX-Planted:%201"
    for path in (f"/api/tasks/{planted}", f"/{planted}", f"/api/tasks?status={planted}", f"/v1/{planted}"):
        assert (
            b"planted:"
            not in (await raw(place, f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {token}")).lower()
        )
    async with noted(place, "cannot be read"):
        for name in ("Mcp-Session-Id", "Mcp-Protocol-Version", "Authorization", "Origin"):
            for value in ("a\x0bX-Planted: 1", "a\nX-Planted: 1", "a\r\n X-Planted: 1", "\x1b[31mred"):
                said = await raw(place, "POST /mcp HTTP/1.1", "Host: 127.0.0.1", f"{name}: {value}", body=b"{}")
                assert said.split(b"\r\n")[0].split()[1] in {b"400", b"401", b"403"}
                assert b"planted" not in said.lower()


async def test_two_readings_of_where_a_request_ends_are_refused(place: Team) -> None:
    async with noted(place, "cannot be read"):
        for lines in (
            ["Transfer-Encoding: chunked"],
            ["Content-Length: 5"],
            ["Transfer-Encoding: xchunked"],
            ["Content-Length : 5"],
        ):
            said = await raw(place, "POST /api/auth/login HTTP/1.1", "Host: 127.0.0.1", *lines, body=b"0\r\n\r\nGET /x")
            assert said.split()[1] in {b"400", b"415", b"501"}


async def test_paths_lead_to_no_file(place: Team, mallory: Member) -> None:
    token = mallory.http.headers["authorization"]
    for outside in OUTSIDE:
        for path in (
            f"/{outside}",
            f"/api/{outside}",
            f"/api/tasks/{outside}",
            f"/mcp/{outside}",
            f"/messages/{outside}",
        ):
            said = await raw(place, f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {token}")
            assert said.split()[1] in {b"400", b"404", b"405"}, path
        for scheme in ("guide", "task", "usage", "agent", "workflow", "run"):
            told = await called(mallory, "resources/read", {"uri": f"{scheme}://{outside}"})
            assert '"error"' in told
            assert "root:" not in told


async def test_refusals_are_on_record(place: Team, mallory: Member, theirs: str) -> None:
    async with place.client("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.") as forger:
        assert (await forger.get("/api/tasks")).status_code == 401
    assert await place.desk.recorded("token_refused")
    for path in (f"/api/tasks/{theirs}", f"/api/tasks/{theirs}/stream"):
        await mallory.asks("GET", path, 404)
    assert await refused(place, mallory, "task_read")
    async with place.member("viewer") as viewer:
        await viewer.asks("POST", "/api/tasks", 403, json={"prompt": "x"})
        assert await refused(place, viewer, "task_submit")


async def refused(place: Team, member: Member, operation: str) -> Sequence[Any]:
    entries = (await place.desk.app.audit.search(member.account.principal, action="refused")).rows
    return [entry for entry in entries if entry.payload["operation"] == operation]


async def test_words_of_strangers_begin_no_line_of_the_log(place: Team, mallory: Member) -> None:
    planted = "x\nERROR planted \x1b[2J\r"
    async with place.client() as http:
        for headers in ({"user-agent": "x\tERROR planted"}, {"x-forwarded-for": "1.2.3.4, ERROR planted"}):
            await http.get("/api/nowhere%0aERROR%20planted", headers=headers)
        await http.post("/api/auth/login", json={"email": planted, "password": planted})
    await mallory.http.post("/api/agents", json={"name": planted})
    await called(mallory, "tools/call", {"name": planted, "arguments": {planted: planted}})
    assert b"planted" not in place.server.stderr


async def test_slow_and_idle_connections_keep_nobody_out(place: Team, mallory: Member) -> None:
    url = httpx2.URL(place.base)
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    wires = []
    try:
        for number in range(1100):
            wires.append(await asyncio.open_connection(url.host, url.port))
            if number < 50:
                wires[-1][1].write(head[: number + 1])
            elif number < 100:
                wires[-1][1].write(head + b"Content-Length: 100\r\n\r\n{")
        async with place.client() as http:
            assert (await soon(http.get("/api/health"), SERVED_SECONDS)).status_code == 200
        assert (await soon(mallory.http.get("/api/users/me"), SERVED_SECONDS)).status_code == 200
        assert sum(reader.at_eof() for reader, _ in wires) >= 600
    finally:
        for _, writer in wires:
            writer.close()


def _is_empty(reply: httpx2.Response) -> bool:
    """Whether a list tells of nothing; of an export, that there is no entry between what begins and what seals it, or
    no row below its columns. What is no list tells sums, or which areas have changed.
    """
    kind = reply.headers["content-type"].partition(";")[0]
    if kind == "application/json":
        return bool(reply.json().get("data", []) == [])
    return len(reply.text.splitlines()) == (1 if kind == "text/csv" else 2)

"""Where URLs of users may lead: which addresses, with which name's certificate, and nowhere else afterwards."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx2
import pytest
from certificates import self_signed
from waits import closed

from vel_tutor_mcp.errors import Forbidden, InputError, ProviderError
from vel_tutor_mcp.providers.base import ChatRequest, Timeouts
from vel_tutor_mcp.providers.openai_compatible import OpenAICompatible
from vel_tutor_mcp.providers.outbound import Outbound, is_public
from vel_tutor_mcp.providers.visit import prove

AMPLE = Timeouts(connect=5, first_token=5, between_tokens=5, total=5)
ASK = ChatRequest(model="m", system="", prompt="Hello", max_output_tokens=9, timeouts=AMPLE)
HERE = (ip_network("127.0.0.1/32"),)
NOWHERE = "its name leads to no address that this server calls for its users"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8", "168.63.129.16",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1",
        "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
        "2002:808:808::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2001:4860:4860::8888%eth0",
        "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_a_strangers_on_the_internet_is_not_called(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "172.32.0.1", "2001:4860:4860::8888", "64:ff9b::8.8.8.8"])
def test_a_public_address_is_called(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    ("url", "refusal"),
    [
        ("https://example.com/v1", None),
        ("https://example.com:8443/v1", None),
        ("https://example.com./v1", None),
        ("https://xn--bcher-kva.example/v1", None),
        ("https://8.8.8.8/v1", None),
        ("https://user.example.com/@10.0.0.1", None),
        ("https://10.0.0.1/v1", Forbidden),
        ("https://2130706433/v1", Forbidden),
        ("https://0x7f000001/v1", Forbidden),
        ("https://0x7f.1/v1", Forbidden),
        ("https://017700000001/v1", Forbidden),
        ("https://127.1/v1", Forbidden),
        ("https://0/v1", Forbidden),
        ("https://127.0.0.1./v1", Forbidden),
        ("https://localhost/v1", Forbidden),
        ("https://LOCALHOST./v1", Forbidden),
        ("https://model.localhost/v1", Forbidden),
        ("https://[::1]/v1", Forbidden),
        ("https://[::ffff:127.0.0.1]/v1", Forbidden),
        ("https://[::ffff:7f00:1]/v1", Forbidden),
        ("https://[64:ff9b::7f00:1]/v1", Forbidden),
        ("https://127.0.0.1#@example.com/v1", Forbidden),
        ("http://localhost:8080/v1", Forbidden),
        ("http://example.com/v1", InputError),
        ("https://0177.0.0.1/v1", InputError),
        ("https://name:password@example.com/v1", InputError),
        ("https://example.com@10.0.0.1/v1", InputError),
        ("https://example.com\\@10.0.0.1/v1", InputError),
        ("https://bücher.example/v1", InputError),
        ("https://①②⑦.⓪.⓪.①/v1", InputError),
        ("https://exa mple.com/v1", InputError),
        ("https://example.com/\r\nHost: x", InputError),
        ("https://example.com:25/v1", InputError),
        ("https://example.com:0/v1", InputError),
        ("https://example.com:99999999/v1", InputError),
        ("https:///v1", InputError),
        ("ftp://example.com:8080/v1", InputError),
        ("file:///etc/passwd", InputError),
        ("//example.com/v1", InputError),
        (f"https://example.com/{'x' * 300}", InputError),
    ],
)
def test_what_a_user_may_name(url: str, refusal: type[InputError] | None) -> None:
    if refusal is None:
        Outbound().check(url)
        return
    with pytest.raises(refusal) as told:
        Outbound().check(url)
    assert told.type is refusal


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"https://example.com/{'x' * 300}", "it has at most 300 characters"),
        ("https://bücher.example/v1", "it has characters beyond ASCII; write its host in the form that begins with xn"),
        ("http://example.com/", "only https:// is called"),
    ],
)
def test_a_url_is_refused_by_the_rule_that_it_breaks(url: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Outbound().check(url)


def test_an_allowed_network_is_named_in_any_way_also_without_tls() -> None:
    out = Outbound((ip_network("10.1.0.0/16"),))
    for url in ("http://10.1.0.9:11434/v1", "https://10.1.0.9/v1", "http://167837705/v1", "http://model.internal/v1"):
        out.check(url)
    with pytest.raises(Forbidden):
        out.check("http://10.2.0.1/v1")


@dataclass
class Names:
    """A name's server: each look-up takes the next answer, the last one for ever."""

    answers: list[Sequence[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, _: int) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Site:
    """A real server that says one thing, on each of its addresses."""

    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@asynccontextmanager
async def site(
    answer: str = '200 OK\r\nContent-Length: 12\r\n\r\n{"data": []}',
    addresses: Sequence[str] = ("127.0.0.1",),
    certificate: Path | None = None,
    port: int = 0,
) -> AsyncIterator[Site]:
    here = Site(port)

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + answer.replace("\r\n", "\r\nConnection: close\r\n", 1).encode())
        with suppress(ConnectionError):  # who has heard enough leaves
            await writer.drain()
        writer.close()

    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        tls.sni_callback = lambda _, name, __: here.names.append(name or "")
    async with await asyncio.start_server(reply, addresses, port, ssl=tls) as server:
        here.port = server.sockets[0].getsockname()[1]
        yield here
    await closed(server)


@pytest.mark.anyio
async def test_a_name_that_answers_something_else_the_second_time_gains_nothing() -> None:
    names = Names([["127.0.0.1"], ["127.0.0.2"]])
    out = Outbound(HERE, names)
    async with site() as mine, site(addresses=["127.0.0.2"], port=mine.port) as inside:
        url = f"http://rebound.example:{mine.port}/v1"
        first = await prove(url, None, 5, lambda: out.transport(url))
        second = await prove(url, None, 5, lambda: out.transport(url))

    assert (first.models, names.asked) == (0, ["rebound.example"] * 2)  # one look for one connection
    assert (second.status, second.problem) == (None, NOWHERE)
    assert inside.heard == []
    assert b"\r\nhost: rebound.example:" in mine.heard[0].lower()


@pytest.mark.anyio
@pytest.mark.parametrize("answer", [[], ["10.0.0.1"], ["127.0.0.2", "::1"], ["fe80::1%1"], ["::ffff:127.0.0.1"]])
async def test_names_inside_and_names_that_are_none_are_told_alike(answer: list[str]) -> None:
    out, url = Outbound(HERE, Names([answer])), "https://inside.example/v1"
    assert (await prove(url, "key", 5, lambda: out.transport(url))).problem == NOWHERE


@pytest.mark.anyio
async def test_a_public_address_is_not_called_without_tls() -> None:
    out, url = Outbound(HERE, Names([["8.8.8.8"]])), "http://public.example:8080/v1"
    assert (await prove(url, "key", 5, lambda: out.transport(url))).problem == NOWHERE


@pytest.mark.anyio
async def test_another_of_its_addresses_is_called_where_the_first_does_not_answer() -> None:
    networks = (ip_network("127.0.0.0/8"),)
    async with site() as mine:
        url = f"http://two.example:{mine.port}/v1"
        out = Outbound(networks, Names([["127.0.0.3", "127.0.0.1"]]))
        assert (await prove(url, None, 5, lambda: out.transport(url))).status == 200


@pytest.mark.anyio
async def test_tls_proves_the_name_though_an_address_is_called(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "model.example")
    trusted = ssl.create_default_context(cafile=str(certificate))
    out = Outbound(HERE, Names([["127.0.0.1"]]))
    async with site(certificate=certificate) as mine:
        good, bad = (f"https://{name}.example:{mine.port}/v1" for name in ("model", "other"))
        seen = await prove(good, "key", 5, lambda: out.transport(good, trusted))
        refused = await prove(bad, "key", 5, lambda: out.transport(bad, trusted))

    assert (seen.status, mine.names) == (200, ["model.example", "other.example"])
    assert "CERTIFICATE_VERIFY_FAILED" in (refused.problem or "")
    assert len(mine.heard) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
async def test_who_sends_us_on_is_not_followed(status: str) -> None:
    out = Outbound(HERE)
    async with (
        site() as inside,
        site(f"{status}\r\nLocation: http://127.0.0.1:{inside.port}/v1/models\r\nContent-Length: 0\r\n\r\n") as mine,
    ):
        url = f"http://127.0.0.1:{mine.port}/v1"
        seen = await prove(url, "key", 5, lambda: out.transport(url))
        client = OpenAICompatible("own", url, "key", transport=lambda: out.transport(url))
        with pytest.raises(ProviderError, match=f"it answered {status[:3]}"):
            await client.complete(ASK, lambda _: None)
        await client.close()
        async with httpx2.AsyncClient(transport=out.transport(url), follow_redirects=True) as careless:
            with pytest.raises(httpx2.UnsupportedProtocol, match="it sends on to another server"):
                await careless.get(url)

    assert seen.status == int(status[:3])
    assert inside.heard == []


@pytest.mark.anyio
async def test_no_more_is_read_of_a_refusal_than_is_looked_at() -> None:
    async with site(f"500 Never\r\n\r\n{'x' * 9_000_000}") as mine:
        url = f"http://127.0.0.1:{mine.port}/v1"
        client = OpenAICompatible("own", url, "key", transport=lambda: Outbound(HERE).transport(url))
        with pytest.raises(ProviderError, match=r"it answered 500: x{150}") as told:
            await client.complete(ASK, lambda _: None)
        await client.close()
    assert len(str(told.value)) < 400


@pytest.mark.anyio
async def test_who_never_answers_is_left_in_time() -> None:
    async def silent(_: str, __: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    out, url = Outbound(HERE, silent), "https://slow.example/v1"
    assert (await prove(url, None, 0.05, lambda: out.transport(url))).problem == "no answer within 0.05 s"
    async with httpx2.AsyncClient(transport=out.transport(url), timeout=0.05) as client:
        with pytest.raises(httpx2.ConnectTimeout):
            await client.get(url)

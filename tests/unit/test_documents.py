"""Documents at addresses that strangers name: small JSON of the named server itself, in time, or nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path

import pytest
from certificates import self_signed

from vel_tutor_mcp.errors import Forbidden, InputError
from vel_tutor_mcp.providers.outbound import Outbound
from vel_tutor_mcp.services import documents
from vel_tutor_mcp.services.documents import fetch_document

pytestmark = pytest.mark.anyio

JSON = "content-type: application/json\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def here(_: str, __: int) -> list[str]:
    return ["127.0.0.1"]


@asynccontextmanager
async def site(folder: Path, answer: str) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """The address of a real server with TLS that says this, and what trusts it; it ends no answer by itself."""
    certificate = self_signed(folder, "client.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    talks: list[asyncio.StreamWriter] = []

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # whoever asks may have had no time left for it
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {answer}".encode())

    async with await asyncio.start_server(reply, "127.0.0.1", ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"https://client.example:{port}/mcp.json", ssl.create_default_context(cafile=str(certificate))
        for talk in talks:
            talk.transport.abort()


async def test_a_document_is_read_from_its_own_server(tmp_path: Path) -> None:
    out = Outbound((ip_network("127.0.0.1"),), here)
    async with site(tmp_path, f'200 OK\r\n{JSON}content-length: 8\r\n\r\n{{"a": 1}}') as (url, trusted):
        assert await fetch_document(out, url, trusted) == b'{"a": 1}'
        with pytest.raises(InputError, match="does not answer as it should"):
            await fetch_document(out, url)  # nobody vouches for the certificate
        with pytest.raises(InputError, match="has no direct way out, have VEL_TUTOR_CLIENT_DOCUMENTS=false"):
            await fetch_document(Outbound(resolve=here), url, trusted)  # the name leads inside


@pytest.mark.parametrize(
    "answer",
    [
        f"302 Found\r\n{JSON}location: https://127.0.0.1/\r\ncontent-length: 0\r\n\r\n",
        f"404 Not Found\r\n{JSON}content-length: 2\r\n\r\n{{}}",
        "200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n{}",
        f"200 OK\r\n{JSON}content-length: 6000\r\n\r\n{' ' * 6000}",
        f"200 OK\r\n{JSON}content-length: 9\r\n\r\n{{",
        "no HTTP\r\n\r\n",
    ],
    ids=["elsewhere", "none", "a page", "long", "unending", "no HTTP"],
)
async def test_what_else_is_there_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr(documents, "_SECONDS", 0.5)
    out = Outbound((ip_network("127.0.0.1"),), here)
    async with site(tmp_path, answer) as (url, trusted):
        with pytest.raises(InputError, match=r"The document (cannot be|is not) read"):
            await asyncio.wait_for(fetch_document(out, url, trusted), 10)


async def test_no_address_of_this_machine_is_asked() -> None:
    with pytest.raises(Forbidden):
        await fetch_document(Outbound(), "https://127.0.0.1/mcp.json")

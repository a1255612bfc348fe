"""The dashboard's page as browsers get it: whole, packed where they take it, once, and with its own scripts alone."""

import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from vel_tutor_mcp.doors.dashboard.page import Page, html
from vel_tutor_mcp.doors.dashboard.routes import PATH, dashboard

pytestmark = pytest.mark.anyio

TEXT = html()
KILOBYTE = 1024


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def browser() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(Starlette(routes=[dashboard()]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4000") as client:
        yield client


def digest(content: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def directives(policy: str) -> dict[str, str]:
    return {name: value for name, _, value in (row.strip().partition(" ") for row in policy.split(";"))}


async def test_the_page_comes_whole_and_is_nobody_elses_to_frame(browser: httpx2.AsyncClient) -> None:
    reply = await browser.get(PATH, headers={"accept-encoding": "identity"})

    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (reply.text, reply.headers.get("content-encoding")) == (TEXT, None)
    assert reply.headers["vary"] == "accept-encoding"
    told = directives(reply.headers["content-security-policy"])
    for element in ("script", "style"):
        inline = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", TEXT, re.DOTALL)
        assert told.pop(f"{element}-src").split() == [digest(content) for content in inline]
    assert told == {
        "default-src": "'none'", "connect-src": "'self'", "img-src": "data:",
        "form-action": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("page", "scripts", "styles"),
    [
        ("<p>nothing</p>", "'none'", "'none'"),
        ("<style>a{}</style><script type=module>b()</script>", digest("b()"), digest("a{}")),
        ("<SCRIPT>a\n</SCRIPT><script>b</script>", " ".join(map(digest, ("a\n", "b"))), "'none'"),
        ("<script>'<style>in a text</style>'</script>", digest("'<style>in a text</style>'"), "'none'"),
    ],
)
def test_the_policy_names_what_stands_in_the_page_and_nothing_else(page: str, scripts: str, styles: str) -> None:
    told = directives(Page.of(page).policy)
    assert (told["script-src"], told["style-src"]) == (scripts, styles)


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, br", False),
        ("x-gzip", False),
        ("", False),
    ],
)
async def test_it_is_packed_for_whom_takes_it_so(browser: httpx2.AsyncClient, accepted: str, packed: bool) -> None:
    async with browser.stream("GET", PATH, headers={"accept-encoding": accepted}) as reply:
        sent = b"".join([piece async for piece in reply.aiter_raw()])

    assert (reply.headers.get("content-encoding") == "gzip") == packed
    assert (gzip.decompress(sent) if packed else sent) == TEXT.encode()
    assert int(reply.headers["content-length"]) == len(sent) <= (150 * KILOBYTE if packed else len(TEXT.encode()))


async def test_who_has_it_is_not_sent_it_again(browser: httpx2.AsyncClient) -> None:
    etag = (await browser.get(PATH)).headers["etag"]
    again = await browser.get(PATH, headers={"if-none-match": f'"other", {etag}'})
    changed = await browser.get(PATH, headers={"if-none-match": 'W/"other"'})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert "content-security-policy" in again.headers
    assert changed.status_code == 200


async def test_nothing_is_sent_to_it(browser: httpx2.AsyncClient) -> None:
    assert (await browser.post(PATH)).status_code == 405

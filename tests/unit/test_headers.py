"""What every answer tells browsers, and what an answer of its own mind keeps."""

import pytest
from starlette.responses import Response
from starlette.types import Message, Scope

from vel_tutor_mcp.doors.headers import ALWAYS, Headers

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def told(own: dict[str, str], *, https: bool) -> dict[str, str]:
    said = list[Message]()

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        raise AssertionError

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await Headers(Response("", headers=own), https=https)(scope, receive, send)
    return {name.decode(): value.decode() for name, value in said[0]["headers"]}


async def test_an_answer_is_data_that_nobody_keeps_or_frames() -> None:
    headers = await told({}, https=False)
    assert headers.items() >= ALWAYS.items()
    assert "default-src 'none'; frame-ancestors 'none'" in headers["content-security-policy"]
    assert "strict-transport-security" not in headers


async def test_what_an_answer_says_itself_stays_and_https_is_for_ever() -> None:
    headers = await told({"content-security-policy": "default-src 'self'", "cache-control": "no-cache"}, https=True)
    assert (headers["content-security-policy"], headers["cache-control"]) == ("default-src 'self'", "no-cache")
    assert headers["strict-transport-security"] == "max-age=31536000"

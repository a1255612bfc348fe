"""What the dashboard's page may ask through its tool, and what becomes of answers that are no data, or too much."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp_types import TextContent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from waits import turns

from vel_tutor_mcp.doors.dashboard.relay import MAX_CHARACTERS, relayed
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.reply import size

pytestmark = pytest.mark.anyio

CLOSED = "This path is not for the dashboard; "
LARGE = "The answer is too large for a client; "


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def echoed(request: Request) -> Response:
    return JSONResponse({"path": request.url.path, "query": dict(request.query_params)})


async def endless(_: Request) -> Response:
    async def words() -> AsyncIterator[str]:
        while True:
            yield "data: 1\n\n"
            await turns()

    return StreamingResponse(words(), media_type="text/event-stream")


ANSWERS: dict[str, Any] = {
    "/api/long": JSONResponse({"error": None, "output": "x" * MAX_CHARACTERS}),
    "/api/many": JSONResponse({"data": [1.5] * MAX_CHARACTERS}),
    "/api/denied": JSONResponse({"error": {"code": "UNAUTHORIZED", "message": "No."}}, 403),
    "/api/unwell": JSONResponse({"status": "unavailable"}, 503),
    "/api/words": PlainTextResponse("words"),
}


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    routes = [Route(path, answer) for path, answer in ANSWERS.items()]
    desk.rest = Starlette(routes=[*routes, Route("/api/endless", endless), Route("/{path:path}", echoed)])
    return desk


async def said(desk: Desk, path: str) -> tuple[bool, str, dict[str, Any]]:
    async with asyncio.timeout(10):
        result = await relayed(desk, path)
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert isinstance(result.structured_content, dict)
    return bool(result.is_error), content.text, result.structured_content


async def test_a_path_is_asked_with_its_query(desk: Desk) -> None:
    _, _, data = await said(desk, "/api/tasks/a%20b?query=x%26y&limit=5")
    assert data == {"path": "/api/tasks/a b", "query": {"query": "x&y", "limit": "5"}}


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/api/", "api/tasks", "/v1/models", "/mcp", "/dashboard", "http://example.org/api/tasks"),
        *("/api/auth", "/api/auth/login", "/api/%61uth/refresh", "/api/openapi.json", "/api/openapi%2Ejson"),
        *("/api/tasks/x/stream", "/api/tasks/x%2Fstream?a=1", "/api/audit/export?format=csv", "/api/tasks/export"),
        *("/api/x\n/export", "/api/endless", "/api/words"),
    ],
)
async def test_what_is_no_data_is_closed_to_the_page(desk: Desk, path: str) -> None:
    failed, text, data = await said(desk, path)
    assert (failed, data["error"]["code"], data["error"]["message"]) == (True, "VALIDATION_ERROR", text)
    assert text.startswith(CLOSED)


async def test_an_error_is_the_products_and_health_is_data(desk: Desk) -> None:
    assert await said(desk, "/api/denied") == (True, "No.", {"error": {"code": "UNAUTHORIZED", "message": "No."}})
    assert (await said(desk, "/api/unwell"))[::2] == (False, {"status": "unavailable"})


async def test_long_texts_are_cut_and_too_much_is_refused(desk: Desk) -> None:
    failed, _, data = await said(desk, "/api/long")
    assert not failed
    assert data["output"].endswith("[cut: the resource of the same id has the whole]")
    assert size(data) <= MAX_CHARACTERS

    failed, text, _ = await said(desk, "/api/many")
    assert failed
    assert text.startswith(LARGE)

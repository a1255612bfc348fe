"""The page's home in a client: what it would ask of REST comes through a tool, as whoever called that."""

import asyncio
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mcp_types import CallToolResult, TextContent

from vel_tutor_mcp.background import in_thread
from vel_tutor_mcp.doors.bearer import error_of
from vel_tutor_mcp.doors.desk import Desk
from vel_tutor_mcp.doors.reply import fitted, size

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

# As much as a chart has numbers; a page of a list has a tenth of it.
MAX_CHARACTERS = 200_000
# Signing in is no reading; files and streams are no answers.
_READ = re.compile(r"/api/(?!auth(/|$)|openapi\.json$)(?!.*/(export|stream)$).+")
_ERRORS = 400
_CLOSED = (
    "VALIDATION_ERROR",
    "This path is not for the dashboard; it has what a GET of /api/... answers at once, in JSON; name such a path.",
)
_TOO_LARGE = (
    "PAYLOAD_TOO_LARGE",
    "The answer is too large for a client; it has over 200,000 characters; ask for fewer rows or a shorter period.",
)


async def relayed(desk: Desk, path: str) -> CallToolResult:
    """What a GET of the path, with its query, answers to who is asking; the product's error object where it fails."""
    place, _, query = path.partition("?")
    # First, as the routes will see it: what is written in another way is judged by what it means.
    place = unquote(place)
    if not _READ.fullmatch(place):
        return _failed(error_of(*_CLOSED))
    # Two at once may both make it; the later one stays, and they are the same.
    if desk.rest is None:
        desk.rest = await in_thread(partial(_rest, desk))
    heard = _Heard()
    await heard.get(desk.rest, place, query)
    if not heard.is_json:
        return _failed(error_of(*_CLOSED))
    data = json.loads(heard.body)
    if heard.status >= _ERRORS and "error" in data:
        return _failed(data)
    data = fitted(data, MAX_CHARACTERS)
    return _failed(error_of(*_TOO_LARGE)) if size(data) > MAX_CHARACTERS else _told(data)


class _Heard:
    """What routes answer. Where that is no JSON it is not waited for: it may have no end."""

    def __init__(self) -> None:
        self.status = 0
        self.is_json = False
        self.body = b""

    async def get(self, routes: "ASGIApp", place: str, query: str) -> None:
        scope: dict[str, Any] = {
            "type": "http", "method": "GET", "path": place, "query_string": query.encode(), "headers": [],
            "scheme": "http", "root_path": "", "client": None,
        }  # fmt: skip
        try:
            await routes(scope, _nothing_comes, self._hear)
        except _NoJsonError:
            return

    async def _hear(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.is_json = dict(message["headers"]).get(b"content-type") == b"application/json"
            if not self.is_json:
                raise _NoJsonError
        self.body += message.get("body", b"")


class _NoJsonError(Exception):
    """Ends a request in the middle."""


async def _nothing_comes() -> "Message":
    await asyncio.Event().wait()
    raise AssertionError


def _rest(desk: Desk) -> "ASGIApp":
    from vel_tutor_mcp.doors.rest.api import make_rest  # a third of a second, which the page alone needs

    return make_rest(desk, [], [])


def _told(data: dict[str, Any]) -> CallToolResult:
    said = f"{size(data):,} characters of data for the dashboard; models have tools of their own."
    return CallToolResult(content=[TextContent(type="text", text=said)], structured_content=data)


def _failed(problem: dict[str, Any]) -> CallToolResult:
    said = TextContent(type="text", text=problem["error"]["message"])
    return CallToolResult(content=[said], structured_content=problem, is_error=True)

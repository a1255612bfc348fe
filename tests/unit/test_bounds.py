"""How large, deep and slow a request may be, and how it is told so, before anything reads it."""

import asyncio
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from vel_tutor_mcp.doors.bounds import (
    BODY_SECONDS,
    MOST_BODY_BYTES,
    MOST_HEADER_BYTES,
    MOST_HEADERS,
    MOST_LEVELS,
    MOST_VALUES,
    Bounds,
    beyond,
    tangle,
)
from vel_tutor_mcp.doors.connections import HEAD_SECONDS, TAKE_SECONDS
from vel_tutor_mcp.doors.gate import Gate
from vel_tutor_mcp.doors.room import MOST_CONNECTIONS, MOST_OF_ADDRESS

NESTED = b"[" * MOST_LEVELS + b"]" * MOST_LEVELS


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (NESTED, None),
        (b"[" + NESTED + b"]", "nests too deep"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nests too deep"),
        (b'{"a":[' * 33, "nests too deep"),
        (b'["' + b"[" * 1000 + b'"]', None),
        (b'["\\"' + b"[" * 1000 + b'"]', None),
        (b'["\\\\",' + b"[" * 65, "nests too deep"),
        (b'"' + b"[" * 1000, None),  # no string, and no JSON
        (b'"' + b'\\"' * 1000 + b"\\", None),
        (b"\xef\xbb\xbf" + b"[" * 65, "nests too deep"),
        (("[" * 65).encode("utf-16-le"), "NUL"),
        (('"\u2200"' + "[" * 65).encode("utf-16-be"), "NUL"),
        (b"[" + b"1," * (MOST_VALUES - 2) + b"1]", None),
        (b"[" + b"1," * MOST_VALUES + b"1]", "too many values"),
        (b"{" + b'"k":1,' * MOST_VALUES, "too many values"),
        (b"[]" * MOST_VALUES, "too many values"),
        (b'""' * (2 * MOST_VALUES), "too many values"),
        (b"\xff\xfe not JSON }}}", None),
        (b"", None),
    ],
    ids=range(19),
)
def test_what_json_may_look_like(body: bytes, why: str | None) -> None:
    refused = tangle(body)
    assert (refused is None) == (why is None)
    assert refused is None or (refused[0] == 400 and str(why) in refused[2])


@pytest.mark.parametrize("text", ["\\", '"', '\\"]', "é[{", "a\\u005b", "\n"])
def test_what_stands_in_strings_is_not_counted(text: str) -> None:
    assert tangle(json.dumps([text * 500, {text: text}]).encode()) is None


@pytest.mark.parametrize(
    ("headers", "is_beyond"),
    [
        ([("a", "b")] * 100, False),
        ([("a", "b")] * 101, True),
        ([("a", "x" * 16_000)], False),
        ([("a", "x" * 8_192), ("b", "x" * 8_192)], True),
    ],
    ids=["100", "101", "16 kB", "more"],
)
def test_how_large_a_head_may_be(headers: Sequence[tuple[str, str]], is_beyond: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    assert (beyond(Headers(raw=raw)) is not None) == is_beyond


def test_the_bounds_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")
    for row in (
        f"| headers | {MOST_HEADERS}, and {MOST_HEADER_BYTES // 1024} kB with their names | 431 |",
        f"| body | {MOST_BODY_BYTES // 1_000_000} MB, ",
        f"| JSON | {MOST_LEVELS} levels, and {MOST_VALUES:,} commas, ",
        f"| time | {HEAD_SECONDS:.0f} s for the headers, {BODY_SECONDS:.0f} s for the body | 408 |",
        f"takes none of it for {TAKE_SECONDS:.0f} s",
        f"| connections | {MOST_CONNECTIONS:,}, and {MOST_OF_ADDRESS} of one address",
    ):
        assert row in page


class Asked:
    """One request, and what was answered; the app behind the bounds repeats how long the body was."""

    def __init__(self, path: str, *parts: bytes, headers: Sequence[tuple[str, str]] = (), ends: bool = True) -> None:
        raw = [(name.encode(), value.encode()) for name, value in (("host", "127.0.0.1"), *headers)]
        self.scope: Scope = {"type": "http", "method": "POST", "path": path, "headers": raw}
        self.said = list[Message]()
        self.left = list(parts)
        self.noted = list[str]()
        self._ends = ends

    async def receive(self) -> Message:
        if not self.left and not self._ends:
            await asyncio.Event().wait()
        part = self.left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self.left) or not self._ends}

    async def send(self, message: Message) -> None:
        self.said.append(message)

    async def answer(self, body_seconds: float = 5) -> tuple[int, str]:
        bounds = Bounds(_app, body_seconds, lambda reason, _: self.noted.append(reason))
        await Gate(bounds, ())(self.scope, self.receive, self.send)
        return self.said[0]["status"], b"".join(message.get("body", b"") for message in self.said).decode()


async def _app(_: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    told = f"{len(message['body'])} {message.get('more_body', False)}"
    await send({"type": "http.response.body", "body": told.encode()})


CHUNKED = [("transfer-encoding", "chunked")]


@pytest.mark.anyio
async def test_a_body_in_parts_is_handed_on_whole() -> None:
    assert await Asked("/mcp", b"[1", b",2]", headers=CHUNKED).answer() == (200, "5 False")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/api/tasks", {"error": {"code": "PAYLOAD_TOO_LARGE", "details": []}}),
        ("/v1/chat/completions", {"error": {"code": "payload_too_large", "type": "invalid_request_error"}}),
        ("/mcp", {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "data": {"code": "PAYLOAD_TOO_LARGE"}}}),
        ("/messages/", {"jsonrpc": "2.0", "id": None}),
    ],
)
async def test_what_is_too_large_is_told_in_the_words_of_the_path(path: str, told: dict[str, object]) -> None:
    status, answer = await Asked(path, b"x", headers=[("content-length", str(MOST_BODY_BYTES + 1))]).answer()
    said = json.loads(answer)
    assert status == 413
    for name, value in told.items():
        assert said[name] | value == said[name] if isinstance(value, dict) else said[name] == value


@pytest.mark.anyio
async def test_no_more_is_kept_of_a_body_without_a_length_than_is_taken() -> None:
    part = b"x" * 65_536
    asked = Asked("/api/tasks", *[part] * 300, headers=CHUNKED)
    tracemalloc.start()
    try:
        status, _ = await asked.answer()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (status, most < 3 * MOST_BODY_BYTES) == (413, True)
    assert asked.left  # it was left unread in the end


@pytest.mark.anyio
async def test_who_sends_their_body_too_slowly_is_told_and_left() -> None:
    asked = Asked("/api/tasks", b"{", headers=CHUNKED, ends=False)
    async with asyncio.timeout(20):
        status, answer = await asked.answer(body_seconds=0.05)
    assert (status, json.loads(answer)["error"]["code"]) == (408, "REQUEST_TIMEOUT")
    assert asked.noted == ["The body came too slowly; all of it must be here in 30 s; send it again."]
    assert (b"connection", b"close") in asked.said[0]["headers"]

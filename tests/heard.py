"""All that the suite is told, kept in a file for `leaks.py` to search: what clients are answered, what processes print
and log, what is traced, and the rows of databases that are dropped.
"""

import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
import pytest
from leaks import TOKEN
from mcp.client.session import ClientSession
from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, NoOpTracer
from opentelemetry.trace import NoOpTracerProvider as NoTracing

# A token stands in the answers to these, and nowhere else: who asks for one is told it, once. `/token` is the outside
# issuer's.
GIVES_TOKENS = frozenset({
    *("POST /api/auth/login", "POST /api/auth/refresh", "POST /api/tokens", "POST /oauth/token", "POST /token"),
    *("POST /api/webhooks", "POST /api/webhooks/{id}/secret", "token issue", "webhook add"),
})  # fmt: skip
# By which simulated vendors are known: what they answer, the product hears, and they may well repeat a key.
_OF_VENDOR = "x-simulated"
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Kept:
    stream: BinaryIO | None = None
    test: str | None = None


def note(what: bytes | str, of: str = "") -> None:
    """Keep what was told, below the name of the test; `of` is the request or command that it answers."""
    if _Kept.stream is None:
        return
    test = os.environ.get("PYTEST_CURRENT_TEST")
    if test != _Kept.test:
        _Kept.test = test
        _Kept.stream.write(f"\n# {test}\n".encode())
    text = what.encode() if isinstance(what, str) else what
    _Kept.stream.write((TOKEN.sub(b"...", text) if of in GIVES_TOKENS else text) + b"\n")


@contextmanager
def keeping(file: Path) -> Iterator[None]:
    with file.open("wb") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Kept, "stream", stream)
        patch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", _answered)
        patch.setattr(ClientSession, "send_request", _asked)
        trace.set_tracer_provider(_Tracing())
        yield


_handle, _send = httpx2.AsyncHTTPTransport.handle_async_request, ClientSession.send_request


async def _answered(transport: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
    response = await _handle(transport, request)
    if _OF_VENDOR not in response.headers:
        note(f"{response.status_code} {response.headers}")
        response.stream = _Noting(response.stream, f"{request.method} {_ID.sub('{id}', request.url.path)}")
    return response


class _Noting(httpx2.AsyncByteStream):
    """The body of an answer; as much of it as was read is kept, in one piece."""

    def __init__(self, stream: Any, of: str) -> None:
        self._stream = stream
        self._of = of
        self._read = bytearray()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            self._read += part
            yield part

    async def aclose(self) -> None:
        note(bytes(self._read), of=self._of)
        await self._stream.aclose()


async def _asked(session: ClientSession, *arguments: Any, **options: Any) -> Any:
    """What an MCP client is answered, over whatever it is connected."""
    try:
        answer = await _send(session, *arguments, **options)
    except Exception as refusal:
        note(repr(refusal))
        raise
    note(repr(answer))
    return answer


class _Span(NonRecordingSpan):
    """Is of no trace, so that nothing else of a request is changed; what is put on it is kept."""

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        note(f"{key}={value}")

    def set_attributes(self, attributes: Any) -> None:
        note(str(attributes))

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:  # noqa: ARG002
        note(f"{name} {attributes}")

    def record_exception(self, exception: BaseException, *others: Any, **options: Any) -> None:
        note(f"{exception!r} {others} {options}")

    def set_status(self, status: Any, description: str | None = None) -> None:
        note(f"{getattr(status, 'description', status)} {description}")


class _Tracer(NoOpTracer):
    def start_span(self, name: str, *others: Any, **options: Any) -> _Span:
        note(f"{name} {others} {options}")
        return _Span(INVALID_SPAN_CONTEXT)

    @contextmanager
    def start_as_current_span(self, name: str, *others: Any, **options: Any) -> Iterator[_Span]:  # type: ignore[override]
        span = self.start_span(name, *others, **options)
        try:
            with trace.use_span(span):
                yield span
        except BaseException as error:
            span.record_exception(error)
            raise


class _Tracing(NoTracing):
    def get_tracer(self, *_: Any, **__: Any) -> _Tracer:
        return _Tracer()

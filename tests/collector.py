"""A collector of traces: takes what is sent by OTLP over HTTP, as protobuf, and tells it as trees."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import heard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

DOCUMENT = (Path(__file__).parents[1] / "docs" / "observability.md").read_text(encoding="utf-8")
_SECONDS = 20.0


@dataclass(frozen=True)
class Told:
    """A span as it arrived, with the attributes of the process that sent it."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str | None
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool
    began: int
    ended: int
    sender: dict[str, Any] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.attributes.get(name)


class Collector:
    """`status` is what it answers; `bodies` are all letters as they came, `paths` where to."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.hangs = threading.Event()
        self.hangs.set()
        self.spans: list[Told] = []
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self._news = threading.Condition()

    @property
    def environment(self) -> dict[str, str]:
        """What a process is told, so that it sends here, and soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def until(self, found: Callable[[list[Told]], bool]) -> list[Told]:
        """All spans, once this is so of them; an AssertionError, with what there is, where it does not become so."""
        with self._news:
            assert self._news.wait_for(lambda: found(self.spans), _SECONDS), tree(self.spans)
            return list(self.spans)

    def trace_of(self, task_id: str, *names: str) -> list[Told]:
        """The spans of the task's trace, once such ones, of whatever name, are among them."""

        def of_trace(spans: list[Told]) -> list[Told]:
            traces = {span.trace for span in spans if span["vel_tutor.task.id"] == task_id}
            return [span for span in spans if span.trace in traces]

        return of_trace(self.until(lambda spans: set(names) <= {span.name for span in of_trace(spans)}))

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        with self._news:
            self.paths.add(path)
            self.headers.append(headers)
            self.bodies.append(body)
            if self.status == 200:
                self.spans += _read(body)
            self._news.notify_all()


def tree(spans: list[Told], *, without: tuple[str, ...] = ()) -> list[str]:
    """The names, indented below their parents', brothers in order of time."""
    shown = [span for span in spans if not span.name.startswith(without or ("\0",))]
    known = {span.id for span in shown}

    def below(parent: str | None, depth: int) -> Iterator[str]:
        brothers = [s for s in shown if (s.parent if s.parent in known else None) == parent]
        for span in sorted(brothers, key=lambda span: span.began):
            yield "  " * depth + span.name
            yield from below(span.id, depth + 1)

    return list(below(None, 0))


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector, on this machine, until the context ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(self.path, dict(self.headers), body)
            collector.hangs.wait(_SECONDS)
            self.send_response(collector.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield collector
    finally:
        collector.hangs.set()
        server.shutdown()
        server.server_close()
        thread.join()
        heard.note(b"\n".join(collector.bodies))
    assert _undocumented(collector.spans) == set()


def _undocumented(spans: list[Told]) -> set[str]:
    """What docs/observability.md does not tell of."""
    names = {name for span in spans for name in (*span.attributes, *span.sender)}
    return {name for name in names if f"`{name}`" not in DOCUMENT and not name.startswith("telemetry.sdk.")}


def _read(body: bytes) -> Iterator[Told]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        sender = {one.key: _value(one.value) for one in of_resource.resource.attributes}
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Told(
                    name=span.name,
                    kind={1: "internal", 2: "server", 3: "client"}[span.kind],
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex() or None,
                    links=tuple(link.trace_id.hex() for link in span.links),
                    attributes={one.key: _value(one.value) for one in span.attributes},
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    sender=sender,
                )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    told = getattr(value, kind)
    return [_value(one) for one in told.values] if kind == "array_value" else told

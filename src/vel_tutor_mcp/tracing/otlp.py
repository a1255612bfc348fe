"""Spans for a collector, by OTLP over HTTP: the only module that imports OpenTelemetry. Its import takes a while.

The provider is not the process's own global one: libraries that tell spans of their own, the MCP SDK and DBOS among
them, put names, messages and exceptions into them that callers wrote, and believe whatever trace a stranger names.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from uuid import uuid4

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace import Span as OpenSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vel_tutor_mcp import __version__
from vel_tutor_mcp.bearings import at_hand
from vel_tutor_mcp.tracing.spans import NOTHING, Attributes, Kind, Origin, Past, Span

_KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT}
_END_SECONDS = 2.0

_written = TraceContextTextMapPropagator()
_open: ContextVar[OpenSpan | None] = ContextVar("span", default=None)
_log = logging.getLogger(__name__)


class Otlp:
    """See `spans.Tracer`. `endpoint` is what is shown of where the environment says to send to."""

    def __init__(self, endpoint: str) -> None:
        # It would tell of each batch that was lost, at whatever length; that is told here, once.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        own = {"service.name": "vel-tutor-mcp", "service.version": __version__, "service.instance.id": str(uuid4())}
        # What the environment calls it goes before what we do.
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        # Its own way, at the exit of the process, would wait for a collector that is away; `end` waits two seconds.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._told = _Told(OTLPSpanExporter(), endpoint)
        self._batches = BatchSpanProcessor(self._told)
        self._provider.add_span_processor(self._batches)
        self._tracer = self._provider.get_tracer("vel-tutor-mcp", __version__)

    @contextmanager
    def span(self, name: str, kind: Kind, attributes: Attributes, origin: Origin | None) -> Iterator["_Span"]:
        outer = _here()
        context, links = _from(outer, origin)
        begun = self._tracer.start_span(name, context, _KINDS[kind], _all(attributes), links)
        _open.set(begun)
        try:
            with _ending(begun) as span:
                yield span
        finally:
            _open.set(outer)

    def part(self, name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Span]:
        whole = _here()
        if whole is None:
            return NOTHING
        return _ending(self._tracer.start_span(name, _context(whole), _KINDS[kind], _all(attributes)))

    def record(self, past: Past) -> None:
        context, links = _from(_here(), past.origin)
        began = _nanoseconds(past.began)
        span = self._tracer.start_span(past.name, context, _KINDS[past.kind], _all(past.attributes), links, began)
        if past.attributes.get("error.type"):
            span.set_status(StatusCode.ERROR)
        # The clock may have been set back in between.
        span.end(max(began, _nanoseconds(past.ended)))

    @property
    def lost(self) -> bool:
        return self._told.lost

    def traceparent(self) -> str | None:
        span, carrier = _here(), dict[str, str]()
        if span is not None:
            _written.inject(carrier, _context(span))
        return carrier.get("traceparent")

    def ids(self) -> Mapping[str, str]:
        span = _here()
        if span is None:
            return {}
        context = span.get_span_context()
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def end(self) -> None:
        # In a thread, for it would wait for a collector that does not answer for as long as it was told to.
        ending = threading.Thread(target=self._batches.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(_END_SECONDS)


class _Span:
    """See `spans.Span`."""

    def __init__(self, span: OpenSpan) -> None:
        self._span = span

    def tell(self, attributes: Attributes) -> None:
        self._span.set_attributes(_known(attributes))

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(StatusCode.ERROR)

    def rename(self, name: str) -> None:
        self._span.update_name(name)


@contextmanager
def _ending(begun: OpenSpan) -> Iterator[_Span]:
    span = _Span(begun)
    try:
        yield span
    except Exception as problem:
        span.fail(type(problem).__name__)  # not its words: they may be a prompt's
        raise
    finally:
        begun.end()


class _Told(SpanExporter):
    """Says once that the collector takes nothing, and once that it does again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self.lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - such as a certificate that is not there; nobody else would hear of it
            result = SpanExportResult.FAILURE
        lost = result is not SpanExportResult.SUCCESS
        if lost and not self.lost:
            _log.warning(
                "Traces are lost: the collector at %s does not take them; nothing else suffers from it; look whether "
                "it runs and what it refuses, or unset OTEL_EXPORTER_OTLP_ENDPOINT.",
                self._endpoint,
            )
        elif self.lost and not lost:
            _log.warning("The collector at %s takes traces again.", self._endpoint)
        self.lost = lost
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def takes(seconds: float) -> bool:
    """Whether the collector takes an empty letter, in so many seconds. Blocks."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return OTLPSpanExporter(timeout=seconds).export([]) is SpanExportResult.SUCCESS


def _here() -> OpenSpan | None:
    """The span that is open: what a request began may outlive it, and is then a part of nothing."""
    span = _open.get()
    return None if getattr(span, "end_time", None) else span


def _from(outer: OpenSpan | None, origin: Origin | None) -> tuple[Context, list[Link]]:
    """What a span is in, and what it is linked to."""
    within = _context(outer)
    if origin is None:
        return within, []
    if origin.traceparent is None:
        return Context(), []
    named = get_current_span(_written.extract({"traceparent": origin.traceparent}, Context()))
    if not named.get_span_context().is_valid:
        return within, []
    if not origin.trusted:
        return within, [Link(named.get_span_context())]
    ambient = None if outer is None else outer.get_span_context()
    elsewhere = ambient and ambient.trace_id != named.get_span_context().trace_id
    return _context(named), [Link(ambient)] if ambient and elsewhere else []


def _context(span: OpenSpan | None) -> Context:
    return Context() if span is None else set_span_in_context(span, Context())


def _all(attributes: Attributes) -> dict[str, Any]:
    """With the ids of what this is about."""
    return {f"vel_tutor.{name}.id": one for name, one in at_hand().items()} | _known(attributes)


def _known(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(moment: datetime) -> int:
    # By way of microseconds, which is all that a datetime has: the digits behind them would be the float's own.
    return round(moment.timestamp() * 1_000_000) * 1000

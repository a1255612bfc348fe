"""What is told, as families of Prometheus: names, labels and units. Imports its client library: load it late.

Labels are names of ours, of the catalog or of the file of settings: no text, id or secret of anybody's.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from vel_tutor_mcp import __version__
from vel_tutor_mcp.doors.metrics.traffic import Traffic
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.routing.health import BreakerState
from vel_tutor_mcp.services.histograms import BOUNDS, Histogram
from vel_tutor_mcp.services.measuring import CallSums, Measured

if TYPE_CHECKING:
    from vel_tutor_mcp.app import App

_BREAKER = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}
_NANO = 1e9
_UP = "0 where the database cannot be used, or does not answer in 5 s; then it tells nothing else."


class _Told(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def text(families: Iterable[Metric]) -> bytes:
    """The families, and what the system says of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(families))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def of_process(traffic: Traffic, connections: int, lag: float) -> Iterator[Metric]:
    """What this server has done: of several, add it up."""
    build = GaugeMetricFamily("vel_tutor_build_info", "The version that runs.", labels=["version"])
    build.add_metric([__version__], 1)
    yield build
    yield _counter(
        "vel_tutor_http_requests", "Requests answered; 499 where the client left before.",
        ("method", "route", "status"), traffic.requests.items(),
    )  # fmt: skip
    yield _histogram(
        "vel_tutor_http_request_duration_seconds", "To the end of the answer; a stream takes as long as it is open.",
        ("method", "route"), traffic.seconds.items(),
    )  # fmt: skip
    yield _counter(
        "vel_tutor_mcp_requests", "Over HTTP: ok, refused (the tool says why) or error (of the protocol).",
        ("method", "tool", "outcome"), traffic.calls.items(),
    )  # fmt: skip
    yield _histogram(
        "vel_tutor_mcp_request_duration_seconds", "From a request over HTTP to its answer.", ("method", "tool"),
        traffic.call_seconds.items(),
    )  # fmt: skip
    yield GaugeMetricFamily("vel_tutor_http_requests_open", "With streams, and the scrape.", traffic.open)
    yield GaugeMetricFamily("vel_tutor_http_connections", "Open, idle ones too.", connections)
    yield GaugeMetricFamily("vel_tutor_event_loop_lag_seconds", "The worst delay in half a minute.", lag)


def breakers(app: "App") -> Metric:
    """Of every model that can be asked."""
    told = GaugeMetricFamily(
        "vel_tutor_breaker_state", "As this server has it: 0 closed, 1 half open, 2 open.", labels=["provider", "model"]
    )
    now = time.time()
    for row in app.catalog.models:
        if row.provider in app.routes.configured:
            told.add_metric([row.provider, row.model], _BREAKER[app.health.state(row.provider, row.model, now)])
    return told


def of_installation(measured: Measured | None) -> Iterator[Metric]:
    """What is in the database: every server tells the same, so of several take the greatest."""
    yield GaugeMetricFamily("vel_tutor_database_up", _UP, int(measured is not None))
    if measured is None:
        return
    figures, at = measured.figures, measured.at
    yield _by_status("vel_tutor_tasks", "Tasks by status.", TaskStatus, figures.tasks)
    yield _by_status("vel_tutor_runs", "Runs by status.", TaskStatus, figures.runs)
    yield GaugeMetricFamily(
        "vel_tutor_oldest_pending_task_seconds", "Since the oldest task was submitted that waits; 0 where none does.",
        _age(figures.pending_since, at),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "vel_tutor_audit_head_sequence", "Number of the last entry; it never falls.", figures.audit_head
    )
    yield GaugeMetricFamily("vel_tutor_rollups_due", "Hours and days of usage not rolled up yet.", measured.rollups)
    yield GaugeMetricFamily("vel_tutor_webhook_deliveries_waiting", "The outbox.", figures.deliveries)
    yield GaugeMetricFamily(
        "vel_tutor_webhook_delivery_overdue_seconds", "Since when the next one is due; 0 where none is.",
        _age(figures.delivery_due, at),
    )  # fmt: skip
    yield from _of_calls(measured.calls)


def _of_calls(calls: CallSums) -> Iterator[Metric]:
    model = ("provider", "model")
    yield _counter(
        "vel_tutor_attempts", "Calls of providers that ended.", (*model, "outcome", "failure"), calls.ended.items()
    )
    yield _histogram("vel_tutor_attempt_duration_seconds", "From call to last token.", model, calls.total.items())
    yield _histogram(
        "vel_tutor_attempt_first_token_seconds", "From call to first token.", model, calls.first_token.items()
    )
    yield _counter("vel_tutor_tokens", "Tokens in and out.", (*model, "direction"), calls.tokens.items())
    spent = [(key, nano / _NANO) for key, nano in calls.nanousd.items()]
    yield _counter("vel_tutor_cost_usd", "As settled, in US dollars.", model, spent)


def _counter(
    name: str, says: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[object, ...], float]]
) -> Metric:
    told = CounterMetricFamily(name, says, labels=labels)
    for key, count in counts:
        told.add_metric(list(map(str, key)), count)
    return told


def _histogram(
    name: str, says: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], Histogram]]
) -> Metric:
    told = HistogramMetricFamily(name, says, labels=labels)
    bounds = [*map(str, BOUNDS), "+Inf"]
    for key, row in rows:
        buckets = list(zip(bounds, accumulate(row.counts), strict=True))
        told.add_metric(list(key), buckets=buckets, sum_value=row.seconds)
    return told


def _by_status(name: str, says: str, statuses: Iterable[str], counts: Mapping[str, int]) -> Metric:
    """All of them: a status that nothing has is 0."""
    told = GaugeMetricFamily(name, says, labels=["status"])
    for status in statuses:
        told.add_metric([str(status)], counts.get(str(status), 0))
    return told


def _age(since: datetime | None, at: datetime) -> float:
    return max(0.0, (at - since).total_seconds()) if since else 0.0

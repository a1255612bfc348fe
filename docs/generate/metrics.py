"""The page of what `/metrics` tells."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from prometheus_client import Metric

from generate.markdown import code, table
from vel_tutor_mcp.doors.metrics.families import breakers, of_installation, of_process
from vel_tutor_mcp.doors.metrics.traffic import Traffic
from vel_tutor_mcp.services.measuring import CallSums, Measured
from vel_tutor_mcp.store.figures import Figures

_HEAD = """\
# Metrics
What `GET /metrics` tells. Who may ask, and how to add up several servers: [observability](../observability.md).
"""
_OF_SERVER = (
    "## Of this server\nWhat it has done since it began; `process_*` beside them (CPU, memory, open files; Linux).\n\n"
)
_OF_ALL = "## Of the installation\nWhat its database says: every server tells the same.\n\n"


def page() -> str:
    nothing: Any = SimpleNamespace(catalog=SimpleNamespace(models=()))
    figures = Figures(tasks={}, runs={}, pending_since=None, deliveries=0, delivery_due=None, audit_head=0)
    measured = Measured(datetime.now(UTC), figures, CallSums(), 0)
    here = [*of_process(Traffic(), 0, 0.0), breakers(nothing)]
    return f"{_HEAD}\n{_OF_SERVER}{_table(here)}\n{_OF_ALL}{_table(of_installation(measured))}"


def _table(families: Iterable[Metric]) -> str:
    return table(("name", "type", "labels", "meaning"), _rows(families))


def _rows(families: Iterable[Metric]) -> Iterator[tuple[str, ...]]:
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = family._labelnames  # type: ignore[attr-defined]  # noqa: SLF001 - the library tells them nowhere else
        yield f"`{name}`", family.type, code(labels), family.documentation

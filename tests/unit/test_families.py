"""What Prometheus is told has the names that the rules for alerts give it; states have their numbers."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from vel_tutor_mcp.doors.metrics.families import breakers, of_installation, of_process, text
from vel_tutor_mcp.doors.metrics.traffic import Traffic
from vel_tutor_mcp.models import TaskStatus
from vel_tutor_mcp.routing.health import Breaker, Health
from vel_tutor_mcp.services.measuring import CallSums, Measured
from vel_tutor_mcp.store.figures import Ended, Figures

DOCS = Path(__file__).parents[2] / "docs"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def measured(**stands: Any) -> Measured:
    none: dict[str, Any] = {
        "tasks": {}, "runs": {}, "pending_since": None, "deliveries": 0, "delivery_due": None, "audit_head": 7
    }  # fmt: skip
    calls = CallSums()
    calls.add(Ended("groq", "small", "completed", None, 3, 4, 2_000_000_000, 40, 70_000, NOW))
    return Measured(NOW, Figures(**none | stands), calls, 2)


def app(health: Health) -> Any:
    models = [SimpleNamespace(provider=provider, model="small") for provider in ("groq", "without a key")]
    catalog, routes = SimpleNamespace(models=models), SimpleNamespace(configured={"groq"})
    return SimpleNamespace(catalog=catalog, routes=routes, health=health)


def all_told() -> dict[str, Metric]:
    traffic = Traffic()
    traffic.requests["GET", "/mcp", 200] += 1
    traffic.seconds["GET", "/mcp"].add(0.3)
    families = [*of_process(traffic, 2, 0.1), breakers(app(Health())), *of_installation(measured())]
    return {family.name: family for family in text_string_to_metric_families(text(families).decode())}


def names(told: dict[str, Metric]) -> set[str]:
    """As the page has them: counters with what their samples end in."""
    ours = {name: family for name, family in told.items() if name.startswith("vel_tutor_")}
    return {f"{name}_total" if family.type == "counter" else name for name, family in ours.items()}


def test_rules_for_alerts_are_of_what_is_told_and_say_what_to_do() -> None:
    (group,) = yaml.safe_load((DOCS / "vel-tutor-alerts.yml").read_text())["groups"]
    named = {name for rule in group["rules"] for name in re.findall(r"vel_tutor_\w+", rule["expr"])}
    assert named <= names(all_told())
    assert len(named) >= 8
    assert all(rule["annotations"]["summary"].endswith(".") for rule in group["rules"])


def test_what_took_long_is_in_the_buckets_above_it() -> None:
    samples = all_told()["vel_tutor_attempt_duration_seconds"].samples
    buckets = {sample.labels["le"]: sample.value for sample in samples if sample.name.endswith("_bucket")}
    assert (buckets["60.0"], buckets["120.0"], buckets["+Inf"]) == (0, 1, 1)
    assert [sample.value for sample in samples if sample.name.endswith("_sum")] == [70]


def test_money_is_told_in_dollars() -> None:
    (sample,) = all_told()["vel_tutor_cost_usd"].samples
    assert (sample.labels, sample.value) == ({"provider": "groq", "model": "small"}, 2)


@pytest.mark.parametrize(("ago", "state"), [(None, 0), (40, 1), (1, 2)])
def test_a_breaker_is_told_as_a_number_of_models_that_can_be_asked(ago: int | None, state: int) -> None:
    health = Health()
    opened = None if ago is None else datetime.now(UTC).timestamp() - ago
    health.restore("groq", "small", Breaker(opened_at=opened))
    (sample,) = breakers(app(health)).samples
    assert (sample.labels, sample.value) == ({"provider": "groq", "model": "small"}, state)


def test_each_status_is_told_and_how_long_something_waits() -> None:
    told = measured(tasks={"pending": 3}, pending_since=NOW - timedelta(minutes=2), delivery_due=NOW + timedelta(1))
    found = {family.name: family for family in of_installation(told)}
    statuses = {sample.labels["status"]: sample.value for sample in found["vel_tutor_tasks"].samples}
    assert statuses == dict.fromkeys(map(str, TaskStatus), 0) | {"pending": 3}
    assert found["vel_tutor_oldest_pending_task_seconds"].samples[0].value == 120
    assert found["vel_tutor_webhook_delivery_overdue_seconds"].samples[0].value == 0


def test_without_the_database_it_is_told_that_it_is_away_and_nothing_of_it() -> None:
    (family,) = of_installation(None)
    assert [(sample.name, sample.value) for sample in family.samples] == [("vel_tutor_database_up", 0)]

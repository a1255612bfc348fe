"""What the environment says of traces, decided; and that nothing is loaded or told where it says nothing."""

import logging

import pytest

from vel_tutor_mcp.services.doctor.probes import collector
from vel_tutor_mcp.services.doctor.verdicts import Verdict, of_traces
from vel_tutor_mcp.tracing import spans, starting, wanted
from vel_tutor_mcp.tracing.wanted import INSTALL, Destination

BASE, OWN, EXPORTER = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"
HERE = "http://here:4318"
SENT = Destination(f"{HERE}/v1/traces")


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, Destination(None, f"{BASE} is not set")),
        ({BASE: ""}, Destination(None, f"{BASE} is not set")),
        ({BASE: HERE}, SENT),
        ({BASE: f"{HERE}/"}, SENT),
        ({OWN: f"{HERE}/elsewhere"}, Destination(f"{HERE}/elsewhere")),
        ({OWN: f"{HERE}/elsewhere", BASE: "http://other"}, Destination(f"{HERE}/elsewhere")),
        ({BASE: "https://me:secret@[::1]:4318/x?key=secret"}, Destination("https://[::1]:4318/x")),
        ({EXPORTER: "otlp"}, Destination("http://localhost:4318/v1/traces")),
        ({EXPORTER: "none", BASE: HERE}, Destination(None, f"{EXPORTER} is none")),
        ({"OTEL_SDK_DISABLED": "True", BASE: HERE}, Destination(None, "OTEL_SDK_DISABLED is true")),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", BASE: HERE}, SENT),
    ],
)
def test_where_traces_go(environment: dict[str, str], found: Destination) -> None:
    assert wanted.wanted(environment) == found


@pytest.mark.parametrize(
    ("environment", "why", "advice"),
    [
        ({EXPORTER: "console"}, f"{EXPORTER} is 'console'", f"set {EXPORTER} to otlp"),
        ({BASE: HERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "is 'grpc'", "to http/protobuf"),
        ({BASE: HERE, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "is 'http/json'", "to http/protobuf"),
        ({BASE: "here:4318"}, f"{BASE} is no http:// or https:// address", f"correct {BASE}"),
        ({BASE: "http://here:port"}, f"{BASE} is no http:// or https:// address", f"correct {BASE}"),
    ],
)
def test_what_cannot_be_is_told_with_what_to_do(environment: dict[str, str], why: str, advice: str) -> None:
    found = wanted.wanted(environment)
    assert found.endpoint is None
    assert why in found.why
    assert advice in found.advice


def test_without_the_extra_a_line_says_so_and_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BASE, HERE)
    monkeypatch.setattr(wanted, "find_spec", lambda name: None if name == "opentelemetry.sdk" else object())
    with caplog.at_level(logging.WARNING):
        starting.begin()

    assert caplog.messages == [f"Traces are not exported; the packages for it are not installed; {INSTALL}."]
    assert not spans.on()


def test_a_variable_that_the_sdk_cannot_read_keeps_nobody_from_working(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BASE, HERE)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with caplog.at_level(logging.WARNING, "vel_tutor_mcp"):
        starting.begin()

    assert caplog.messages == ["Traces are not exported; ValueError; correct the OTEL_ variables."]
    assert not spans.on()


def test_a_certificate_that_is_not_there_is_found_by_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BASE, "https://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/not/there")
    assert not collector()


@pytest.mark.parametrize(
    ("asked", "taken", "verdict", "found"),
    [
        (Destination(None, "it is not set"), False, Verdict.OK, "off: it is not set"),
        (Destination(None, "no packages", INSTALL), False, Verdict.WARNING, "cannot be exported: no packages"),
        (SENT, True, Verdict.OK, f"exported to {HERE}/v1/traces"),
        (SENT, False, Verdict.WARNING, f"exported to {HERE}/v1/traces, which does not take them"),
    ],
)
def test_the_doctor_tells_where_traces_go(asked: Destination, taken: bool, verdict: Verdict, found: str) -> None:
    finding = of_traces(asked, taken=taken)
    assert (finding.check, finding.verdict, finding.found) == ("traces", verdict, found)
    assert bool(finding.advice) == (verdict is not Verdict.OK)


def test_without_a_tracer_spans_are_nothing() -> None:
    with spans.span("outer") as outer, spans.part("inner", "client", {}) as inner:
        outer.fail("nobody hears")
        assert inner is outer
    assert (spans.traceparent(), spans.ids()) == (None, {})

"""What the environment wants of traces, by the names that OpenTelemetry gives these variables (pure).

Of what they may say, this product does one thing: send to a collector, by OTLP over HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_OWN = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_EXPORTER = "OTEL_TRACES_EXPORTER"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
# Where OpenTelemetry's own exporters send to by HTTP when nothing else is said.
_DEFAULT = "http://localhost:4318"
INSTALL = "pip install 'vel-tutor-mcp[otel]'"


@dataclass(frozen=True, slots=True)
class Destination:
    """`endpoint`: where traces are to be sent, as it may be shown; None: nowhere, which `why` tells.

    `advice`: they are wanted, but cannot be sent unless this is done.
    """

    endpoint: str | None
    why: str = ""
    advice: str = ""


def wanted(environment: Mapping[str, str]) -> Destination:
    """What is wanted, and whether it can be had."""
    given = {name: value.strip() for name, value in environment.items() if name.startswith("OTEL_") and value.strip()}
    if given.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Destination(None, "OTEL_SDK_DISABLED is true")
    exporter = given.get(_EXPORTER, "otlp" if {_BASE, _OWN} & given.keys() else "")
    if exporter in {"", "none"}:
        return Destination(None, f"{_EXPORTER} is none" if exporter else f"{_BASE} is not set")
    # Such as console: stdout may belong to the protocol.
    if exporter != "otlp":
        return Destination(
            None, f"{_EXPORTER} is {exporter!r}", f"set {_EXPORTER} to otlp, the one that is spoken here"
        )
    variable = next((name for name in _PROTOCOLS if name in given), None)
    if variable and given[variable] != _PROTOCOL:
        return Destination(None, f"{variable} is {given[variable]!r}", f"set {variable} to {_PROTOCOL}")
    # As OpenTelemetry has it: the address of traces is whole, the general one is only its beginning.
    address = given.get(_OWN) or given.get(_BASE, _DEFAULT).rstrip("/") + "/v1/traces"
    return _reachable(address, _OWN if _OWN in given else _BASE)


def _reachable(address: str, variable: str) -> Destination:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        return Destination(None, f"{variable} is no http:// or https:// address", f"correct {variable}")
    if not _is_installed():
        return Destination(None, "the packages for it are not installed", INSTALL)
    # Without what may be secret in it: a name, a password, a query.
    named = f"[{host}]" if ":" in host else host
    return Destination(f"{parts.scheme}://{named}{f':{port}' if port else ''}{parts.path}")


def _is_installed() -> bool:
    return all(_is_there(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor what it would be in
        return False

"""What alerts are about. (Pure.)"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

Severity = Literal["warning", "critical"]


class AlertKind(StrEnum):
    BUDGET = "budget"
    ERROR_RATE = "error_rate"
    LATENCY = "latency"
    COST = "cost"
    PROVIDER_DOWN = "provider_down"


class Key(NamedTuple):
    """Of each there is one open alert at most in an organisation."""

    kind: AlertKind
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """What is wrong; `about` names the subject for people.

    `value` and `threshold` are shares of a budget or of calls, times the usual, or calls that failed, by the kind.
    """

    key: Key
    about: str
    message: str
    value: float
    threshold: float
    severity: Severity = "warning"

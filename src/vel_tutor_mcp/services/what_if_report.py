"""How one policy compares with what was, in numbers and in words (pure)."""

from dataclasses import dataclass
from typing import Any

from vel_tutor_mcp.models import NanoUsd, Policy
from vel_tutor_mcp.routing.evaluation import FEWEST_MATCHING, FEWEST_ROWS, Estimate
from vel_tutor_mcp.routing.ledger import usd

_ASSUMES = (
    "All models are taken to be up and as fast as the catalog says; prices, models and what feedback says of them are "
    "today's; no fallback is counted in."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is expected of the first choices: the sum of their costs, mean wait, mean P(good enough) x P(up)."""

    cost_nanousd: NanoUsd
    latency_ms: int | None
    good_enough: float | None
    without_model: int

    def shown(self) -> dict[str, Any]:
        return {
            "expected_cost_usd": usd(self.cost_nanousd),
            "expected_latency_ms": self.latency_ms,
            "expected_good_enough": self.good_enough,
            "without_model": self.without_model,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfReport:
    """Decisions of a period, and what another policy would have made of them.

    What was: `cost_nanousd` is what all calls cost, `latency_ms` the mean of the answers, `answered` the share (0-1).
    `same` had the same first choice. `outcome` is the mean of the `outcomes` that are known (0-1), `estimate` what it
    would have been; None where the log says too little.
    """

    policy: Policy
    decisions: int
    is_cut: bool
    same: int
    cost_nanousd: NanoUsd
    latency_ms: int | None
    answered: float | None
    was: Course
    would: Course
    outcomes: int
    outcome: float | None
    estimate: Estimate | None

    def shown(self) -> dict[str, Any]:
        booked = {"cost_usd": usd(self.cost_nanousd), "latency_ms": self.latency_ms, "answered": self.answered}
        return {
            "policy": self.policy.value,
            "decisions": self.decisions,
            "only_the_newest": self.is_cut,
            "same_choice": self.same,
            "was": booked | self.was.shown(),
            "would": self.would.shown(),
            "outcomes": {"known": self.outcomes, "mean": self.outcome, "estimate": self._estimate()},
            "assumes": _ASSUMES,
        }

    def text(self) -> str:
        if not self.decisions:
            return f"There was no decision to make again with the policy {self.policy.value}."
        return f"{self._choices()}\n{self._expected()}\n{self._booked()}\n{self._outcomes()}\n{_ASSUMES}"

    def _choices(self) -> str:
        again = f"The newest {self.decisions:,} decisions" if self.is_cut else f"{self.decisions:,} decisions"
        return f"{again} made again with the policy {self.policy.value}: {self.same:,} have the same first choice."

    def _expected(self) -> str:
        return (
            f"Expected ${usd(self.would.cost_nanousd):.6f}, {_seconds(self.would.latency_ms)}, "
            f"{_percent(self.would.good_enough)} good enough; of what was chosen ${usd(self.was.cost_nanousd):.6f}, "
            f"{_seconds(self.was.latency_ms)}, {_percent(self.was.good_enough)}."
        )

    def _booked(self) -> str:
        return (
            f"It did cost ${usd(self.cost_nanousd):.6f} and take {_seconds(self.latency_ms)} an answer; "
            f"{_percent(self.answered)} were answered."
        )

    def _outcomes(self) -> str:
        if self.estimate is None:
            return (
                f"Nothing can be said of how good the answers would have been: {self.outcomes} outcomes are known of "
                f"at least {FEWEST_ROWS}, of which at least {FEWEST_MATCHING} must have the same choice; rate answers "
                "with task_rate."
            )
        found = self.estimate
        return (
            f"Of {found.rows} known outcomes {_percent(self.outcome)} were good enough; it would have been "
            f"{_percent(found.low)} to {_percent(found.high)} (95% interval, doubly robust); {found.matching} have the "
            "same choice, the others rest on what is expected."
        )

    def _estimate(self) -> dict[str, Any] | None:
        if self.estimate is None:
            return None
        found = self.estimate
        return {"mean": found.mean, "low": found.low, "high": found.high, "n": found.rows, "matching": found.matching}


def _seconds(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.1f} s"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"

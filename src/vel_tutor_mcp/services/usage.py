"""What was used, what it cost, how it went, and what it would have cost on the strongest model alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import quantiles
from typing import Any, Literal

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import NanoUsd, Outcome, Principal
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.ledger import Prices, usd
from vel_tutor_mcp.routing.priors import TIERS
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.budgets import ToldBudget, told
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import usage
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.store.usage import Group, Used

Period = Literal["day", "week", "month"]

PERIODS: dict[Period, timedelta] = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One group. Latencies are those of completed attempts, in milliseconds; `fallbacks` answered for another model."""

    group: str
    tasks: int
    attempts: int
    completed: int
    fallbacks: int
    tokens_in: int
    tokens_out: int
    cost_nanousd: NanoUsd
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None

    def shown(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "tasks": self.tasks,
            "attempts": self.attempts,
            "success": self.completed / self.attempts,
            "fallbacks": self.fallbacks,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "cost_usd": usd(self.cost_nanousd),
            "p50_ms": self.p50_ms,
            "p95_ms": self.p95_ms,
            "p99_ms": self.p99_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Usage of the last `period`, with what the same answers would have cost on one model alone.

    `baseline` is that model, None where none has a price; `answers_nanousd` is what the answers did cost, which is less
    than `cost_nanousd` where calls failed, were stopped or were cut. `budgets` are those of the reader's calls.
    """

    period: Period
    group_by: Group
    lines: Sequence[Line]
    cost_nanousd: NanoUsd
    answers_nanousd: NanoUsd
    baseline: str | None
    baseline_nanousd: NanoUsd | None
    budgets: Sequence[ToldBudget]

    def shown(self) -> dict[str, Any]:
        saved = None if self.baseline_nanousd is None else usd(NanoUsd(self.baseline_nanousd - self.answers_nanousd))
        return {
            "period": self.period,
            "group_by": self.group_by,
            "groups": [line.shown() for line in self.lines],
            "cost_usd": usd(self.cost_nanousd),
            "answers_cost_usd": usd(self.answers_nanousd),
            "baseline_model": self.baseline,
            "baseline_cost_usd": None if self.baseline_nanousd is None else usd(self.baseline_nanousd),
            "savings_usd": saved,
            "budgets": [budget.shown() for budget in self.budgets],
        }

    def text(self) -> str:
        budgets = [budget.line() for budget in self.budgets]
        if not self.lines:
            return "\n".join([f"Nothing was used in the last {self.period}.", *budgets])
        lines = [
            f"{line.group}: {line.tasks} tasks, {line.completed} of {line.attempts} attempts answered, "
            f"${usd(line.cost_nanousd):.6f}, p50 {line.p50_ms or '-'} ms"
            for line in self.lines
        ]
        if self.baseline is not None and self.baseline_nanousd is not None:
            lines.append(
                f"In all ${usd(self.cost_nanousd):.6f}, of which answers ${usd(self.answers_nanousd):.6f}; the same "
                f"answers from {self.baseline} alone: ${usd(self.baseline_nanousd):.6f}."
            )
        return "\n".join(lines + budgets)


class Usage:
    """Reports, for every door."""

    def __init__(
        self, database: Database, catalog: Catalog, prices: Prices, configured: frozenset[str], settings: Settings
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._prices = prices
        self._configured = configured
        self._settings = settings

    @allows(Operation.USAGE_READ)
    @unbroken
    async def report(self, principal: Principal, period: Period, group_by: Group) -> Report:
        """What the principal may see of the last day, week (7 days) or month (30 days), dearest group first."""
        async with self._database.read(principal.organisation_id) as tx:
            used = await usage.since(tx, principal, record.now() - PERIODS[period], group_by)
            applying = await told(tx, principal, self._settings, everyone=False)
        groups: defaultdict[str, list[Used]] = defaultdict(list)
        for attempt in used:
            groups[attempt.group].append(attempt)
        failed = {(attempt.task_id, attempt.attempt_set): attempt.model for attempt in used if _failed(attempt)}
        lines = [_line(group, members, failed) for group, members in groups.items()]
        baseline = self._strongest()
        return Report(
            period=period,
            group_by=group_by,
            lines=sorted(lines, key=lambda line: (-line.cost_nanousd, line.group)),
            cost_nanousd=_cost(used),
            answers_nanousd=_cost([attempt for attempt in used if attempt.outcome is Outcome.COMPLETED]),
            baseline=baseline.name if baseline else None,
            baseline_nanousd=self._alone(baseline, used) if baseline else None,
            budgets=applying,
        )

    def _strongest(self) -> ModelRow | None:
        """The model of the highest tier that can be called and has a price; the dearest of several."""
        priced = [
            (-TIERS.index(row.tier), cost, row)
            for row in self._catalog.models
            if row.provider in self._configured and not row.retired
            if (cost := self._prices.cost(row, 1000, 1000))
        ]
        return max(priced, key=lambda known: known[:2])[2] if priced else None

    def _alone(self, model: ModelRow, used: Sequence[Used]) -> NanoUsd:
        answered = [attempt for attempt in used if attempt.outcome is Outcome.COMPLETED]
        return NanoUsd(
            sum(self._prices.cost(model, attempt.tokens_in, attempt.tokens_out) or 0 for attempt in answered)
        )


def _cost(used: Sequence[Used]) -> NanoUsd:
    return NanoUsd(sum(attempt.cost_nanousd for attempt in used))


def _failed(attempt: Used) -> bool:
    return attempt.outcome is Outcome.FAILED


def _line(group: str, used: Sequence[Used], failed: Mapping[tuple[str, int], str]) -> Line:
    """`failed` holds, for each attempt set, the model that failed last in it."""
    completed = [attempt for attempt in used if attempt.outcome is Outcome.COMPLETED]
    times = sorted(attempt.total_ms for attempt in completed if attempt.total_ms is not None)
    p50, p95, p99 = _percentiles(times)
    return Line(
        group=group,
        tasks=len({attempt.task_id for attempt in used}),
        attempts=len(used),
        completed=len(completed),
        fallbacks=sum(
            failed.get((attempt.task_id, attempt.attempt_set), attempt.model) != attempt.model for attempt in completed
        ),
        tokens_in=sum(attempt.tokens_in for attempt in used),
        tokens_out=sum(attempt.tokens_out for attempt in used),
        cost_nanousd=_cost(used),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def _percentiles(times: Sequence[int]) -> tuple[int | None, int | None, int | None]:
    if not times:
        return None, None, None
    if len(times) == 1:
        return times[0], times[0], times[0]
    cuts = quantiles(times, n=100, method="inclusive")
    return round(cuts[49]), round(cuts[94]), round(cuts[98])

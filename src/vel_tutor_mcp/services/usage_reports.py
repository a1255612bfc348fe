"""How usage is told: by groups, over time, and what the month will come to (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from vel_tutor_mcp.models import NanoUsd
from vel_tutor_mcp.routing.ledger import usd
from vel_tutor_mcp.services.budgets import ToldBudget
from vel_tutor_mcp.services.reports import shown_usd
from vel_tutor_mcp.store.latencies import percentile
from vel_tutor_mcp.store.spans import ReportPeriod, Step, Window
from vel_tutor_mcp.store.usage import Group, Used
from vel_tutor_mcp.store.usage_sums import Sums

MOST_GROUPS = 12
OTHERS, ALL = "other", "all"
# A month is projected by the mean of so many whole days, or of as many as there are.
BASIS_DAYS = 7

_DAY = timedelta(days=1)
_SHARES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


@dataclass(frozen=True, slots=True)
class Line:
    """One group; `baseline_nanousd` is what its answers would have cost on the baseline model, where there is one."""

    group: str
    sums: Sums
    baseline_nanousd: NanoUsd | None

    @property
    def saved_nanousd(self) -> NanoUsd | None:
        return None if self.baseline_nanousd is None else NanoUsd(self.baseline_nanousd - self.sums.answers_nanousd)

    def shown(self) -> dict[str, Any]:
        sums = self.sums
        return {
            "group": self.group,
            "tasks": sums.tasks,
            "attempts": sums.attempts,
            "completed": sums.completed,
            "success": sums.completed / sums.attempts,
            "fallbacks": sums.fallbacks,
            "hedges": sums.hedges,
            "tokens_in": sums.tokens_in,
            "tokens_out": sums.tokens_out,
            "cost_usd": usd(NanoUsd(sums.cost_nanousd)),
            "baseline_cost_usd": shown_usd(self.baseline_nanousd),
            "savings_usd": shown_usd(self.saved_nanousd),
        } | percentiles(sums)

    def text(self) -> str:
        sums = self.sums
        return (
            f"{self.group}: {sums.tasks} tasks, {sums.completed} of {sums.attempts} attempts answered, "
            f"${usd(NanoUsd(sums.cost_nanousd)):.6f}, p50 {percentiles(sums)['p50_ms'] or '-'} ms"
        )


@dataclass(frozen=True, slots=True)
class Projection:
    """What the month has cost, and will have at its end if each day still costs the mean of the last `basis_days`."""

    month_to_date: NanoUsd
    month_end: NanoUsd | None
    basis_days: int

    def shown(self) -> dict[str, Any]:
        ends = shown_usd(self.month_end)
        return {
            "month_to_date_usd": usd(self.month_to_date), "month_end_usd": ends, "basis_days": self.basis_days
        }  # fmt: skip

    def text(self) -> str:
        told = f"This month so far: ${usd(self.month_to_date):.6f}"
        if self.month_end is None:
            return f"{told}."
        return f"{told}; at the pace of the last {self.basis_days} days ${usd(self.month_end):.6f} by its end."


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Usage of a period, dearest group first, with what the same answers would have cost on one model alone.

    `baseline` is that model, None where none has a price. `budgets` are those of the reader's calls.
    """

    period: ReportPeriod
    group_by: Group
    window: Window
    lines: Sequence[Line]
    baseline: str | None
    projection: Projection
    budgets: Sequence[ToldBudget]

    @property
    def total(self) -> Line:
        """Of all groups; its baseline is the sum of theirs."""
        whole = Sums()
        for line in self.lines:
            whole.add(line.sums)
        alone = NanoUsd(sum(line.baseline_nanousd or 0 for line in self.lines))
        return Line(ALL, whole, None if self.baseline is None else alone)

    def shown(self) -> dict[str, Any]:
        total = self.total
        return {
            "period": self.period,
            "group_by": self.group_by,
            "since": moment(self.window.since),
            "until": moment(self.window.until),
            "groups": [line.shown() for line in self.lines],
            "cost_usd": usd(NanoUsd(total.sums.cost_nanousd)),
            "answers_cost_usd": usd(NanoUsd(total.sums.answers_nanousd)),
            "baseline_model": self.baseline,
            "baseline_cost_usd": shown_usd(total.baseline_nanousd),
            "savings_usd": shown_usd(total.saved_nanousd),
            "projection": self.projection.shown(),
            "budgets": [budget.shown() for budget in self.budgets],
        }

    def text(self) -> str:
        budgets = [budget.line() for budget in self.budgets]
        if not self.lines:
            return "\n".join([f"Nothing was used in the last {self.period}.", *budgets])
        return "\n".join([*(line.text() for line in self.lines), *self._in_all(), self.projection.text(), *budgets])

    def _in_all(self) -> Iterator[str]:
        total = self.total
        if total.baseline_nanousd is not None:
            yield (
                f"In all ${usd(NanoUsd(total.sums.cost_nanousd)):.6f}, of which answers "
                f"${usd(NanoUsd(total.sums.answers_nanousd)):.6f}; the same answers from {self.baseline} alone: "
                f"${usd(total.baseline_nanousd):.6f}."
            )


@dataclass(frozen=True, slots=True)
class Curve:
    """One group over time: what each step comes to, those included in which there was nothing."""

    group: str
    steps: Sequence[Sums]

    def shown(self) -> dict[str, Any]:
        told = [_numbers(sums) for sums in self.steps]
        return {"group": self.group} | {name: [step[name] for step in told] for name in _numbers(Sums())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Usage step by step; of many groups the dearest stand alone, the others together."""

    period: ReportPeriod
    group_by: Group
    window: Window
    at: Sequence[datetime]
    curves: Sequence[Curve]

    def shown(self) -> dict[str, Any]:
        return self._head() | {
            "at": [moment(at) for at in self.at],
            "groups": [curve.shown() for curve in self.curves],
        }

    def table(self) -> dict[str, Any]:
        """A row for each step of a group in which there was anything."""
        return self._head() | {"rows": list(self.rows())}

    def rows(self) -> Iterator[dict[str, Any]]:
        for place, at in enumerate(self.at):
            for curve in self.curves:
                if curve.steps[place].attempts:
                    yield {"at": moment(at), "group": curve.group} | _numbers(curve.steps[place])

    def _head(self) -> dict[str, Any]:
        ends = {"since": moment(self.window.since), "until": moment(self.window.until)}
        return {"period": self.period, "group_by": self.group_by, "step": self.window.step.value} | ends


# The columns of a table.
COLUMNS = (
    "at", "group", "tasks", "attempts", "completed", "fallbacks", "hedges", "tokens_in", "tokens_out", "cost_usd",
    *_SHARES,
)  # fmt: skip


def by_group(used: Used) -> dict[str, Sums]:
    """What each group comes to, the dearest first."""
    found: dict[str, Sums] = {}
    for (_, group), sums in used.items():
        found.setdefault(group, Sums()).add(sums)
    return dict(sorted(found.items(), key=lambda item: (-item[1].cost_nanousd, item[0])))


def curves(used: Used, at: Sequence[datetime], most: int | None) -> list[Curve]:
    """Each group over these steps; those beyond so many are summed up."""
    names = list(by_group(used))
    alone, others = names[:most], names[len(names) if most is None else most :]
    found = [Curve(name, [used.get((step, name)) or Sums() for step in at]) for name in alone]
    return [*found, Curve(OTHERS, [_together(used, step, others) for step in at])] if others else found


def projected(spent: Mapping[datetime, int], begun: datetime, now: datetime) -> Projection:
    """By what each day cost since the month began, and in the last days: see `Projection`."""
    month, today = month_of(now), Step.DAY.begin(now)
    # The day on which it all began was no whole one.
    whole = (today - Step.DAY.begin(begun)) // _DAY - 1
    basis = min(BASIS_DAYS, max(0, whole))
    so_far = NanoUsd(sum(cost for day, cost in spent.items() if month <= day))
    if not basis:
        return Projection(so_far, None, 0)
    recent = sum(cost for day, cost in spent.items() if today - basis * _DAY <= day < today)
    # 32 days after its first day every month is over, and the next one is not.
    left = (month_of(month + 32 * _DAY) - now) / _DAY
    return Projection(so_far, NanoUsd(so_far + round(recent / basis * left)), basis)


def month_of(at: datetime) -> datetime:
    """When the month began."""
    return Step.DAY.begin(at).replace(day=1)


def percentiles(sums: Sums) -> dict[str, int | None]:
    return {name: percentile(sums.latencies, share) for name, share in _SHARES.items()}


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _numbers(sums: Sums) -> dict[str, Any]:
    return {
        "tasks": sums.tasks,
        "attempts": sums.attempts,
        "completed": sums.completed,
        "fallbacks": sums.fallbacks,
        "hedges": sums.hedges,
        "tokens_in": sums.tokens_in,
        "tokens_out": sums.tokens_out,
        "cost_usd": usd(NanoUsd(sums.cost_nanousd)),
    } | percentiles(sums)


def _together(used: Used, at: datetime, groups: Iterable[str]) -> Sums:
    whole = Sums()
    for group in groups:
        if sums := used.get((at, group)):
            whole.add(sums)
    return whole

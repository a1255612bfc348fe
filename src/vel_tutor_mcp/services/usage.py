"""What was used, what it cost, how it went, and what it would have cost on the strongest model alone: docs/analytics.md
defines each number.
"""

from datetime import timedelta

from vel_tutor_mcp.auth.roles import Operation
from vel_tutor_mcp.models import NanoUsd, Principal
from vel_tutor_mcp.routing.catalog import Catalog, ModelRow
from vel_tutor_mcp.routing.ledger import Prices
from vel_tutor_mcp.routing.priors import TIERS
from vel_tutor_mcp.services import record
from vel_tutor_mcp.services.budgets import told
from vel_tutor_mcp.services.inputs import storable
from vel_tutor_mcp.services.permission import allows
from vel_tutor_mcp.services.usage_reports import (
    ALL,
    BASIS_DAYS,
    MOST_GROUPS,
    Line,
    Report,
    Series,
    by_group,
    curves,
    month_of,
    projected,
)
from vel_tutor_mcp.settings import Settings
from vel_tutor_mcp.store import usage
from vel_tutor_mcp.store.database import Database, unbroken
from vel_tutor_mcp.store.spans import ReportPeriod, Step, Window
from vel_tutor_mcp.store.usage import EVERYTHING, Group, Only
from vel_tutor_mcp.store.usage_sums import Sums


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
    async def report(self, principal: Principal, period: ReportPeriod, group_by: Group) -> Report:
        """What the principal may see of the last day, week, month (30 days) or quarter (90), dearest group first."""
        now = record.now()
        window = Window.of(period, now)
        # The days whose mean is projected may lie in the month before.
        month = Window(Step.DAY, min(month_of(now), Step.DAY.begin(now - timedelta(days=BASIS_DAYS))), now)
        async with self._database.read(principal.organisation_id) as tx:
            groups = by_group(await usage.used(tx, principal, window, group_by))
            spent = await usage.spent(tx, principal, month)
            begun = await usage.begun(tx, principal)
            applying = await told(tx, principal, self._settings, everyone=False)
        baseline = self._strongest()
        return Report(
            period=period,
            group_by=group_by,
            window=window,
            lines=[Line(group, sums, self._alone(baseline, sums)) for group, sums in groups.items()],
            baseline=baseline.name if baseline else None,
            projection=projected(spent, begun, now),
            budgets=applying,
        )

    @allows(Operation.USAGE_READ)
    @unbroken
    async def series(
        self,
        principal: Principal,
        period: ReportPeriod,
        group_by: Group,
        only: Only = EVERYTHING,
        most: int | None = MOST_GROUPS,
    ) -> Series:
        """The same step by step, by the hour for a day and else by the day; by day there is one group, of all calls.

        `most`: groups beyond so many are summed up.
        """
        window = Window.of(period, record.now())
        # What cannot be kept is looked for all the same: it is nowhere.
        only = Only(*(text if text is None else storable(text) for text in (only.provider, only.model, only.agent)))
        async with self._database.read(principal.organisation_id) as tx:
            used = await usage.used(tx, principal, window, group_by, only)
        if group_by == "day":
            used = {(at, ALL): sums for (at, _), sums in used.items()}
        steps = window.steps()
        found = curves(used, steps, most)
        return Series(period=period, group_by=group_by, window=window, at=steps, curves=found)

    def _strongest(self) -> ModelRow | None:
        """The model of the highest tier that can be called and has a price; the dearest of several."""
        priced = [
            (-TIERS.index(row.tier), cost, row)
            for row in self._catalog.models
            if row.provider in self._configured and not row.retired
            if (cost := self._prices.cost(row, 1000, 1000))
        ]
        return max(priced, key=lambda known: known[:2])[2] if priced else None

    def _alone(self, model: ModelRow | None, sums: Sums) -> NanoUsd | None:
        if model is None:
            return None
        return self._prices.cost_of_all(model, sums.completed, sums.answers_tokens_in, sums.answers_tokens_out)

"""Budgets, and how they stand. Pure: `store.budgets` reads the ledger for it. Days and months are those of UTC."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vel_tutor_mcp.models import NanoUsd

WARNING_PERCENT, EXCEEDED_PERCENT = 80, 100


class Scope(StrEnum):
    TASK = "task"
    RUN = "run"
    AGENT = "agent"
    USER = "user"
    ORGANISATION = "organisation"


class Period(StrEnum):
    """Of a task and of a run there is one period: its whole life."""

    TASK = "task"
    RUN = "run"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit for what all calls of a subject cost in a period. A hard one is never passed, a soft one only warns.

    `of_settings`: it is the installation's own, and no row.
    """

    scope: Scope
    subject_id: str
    period: Period
    limit_nanousd: NanoUsd
    hard: bool = True
    of_settings: bool = False

    @property
    def kind(self) -> str:
        return "hard" if self.hard else "soft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a budget stands at a moment.

    `spent` is what ended calls cost, `reserved` what is set aside for open ones, `held` the part of it that is set
    aside for other tasks and may come back. `tail` is how many rows of the ledger were read for it.
    """

    budget: Budget
    at: datetime
    spent: NanoUsd
    reserved: NanoUsd
    held: NanoUsd
    tail: int = 0

    @property
    def left(self) -> NanoUsd:
        return NanoUsd(max(0, self.budget.limit_nanousd - self.spent - self.reserved))

    @property
    def at_best(self) -> NanoUsd:
        """What is left if the open calls of other tasks turn out to cost nothing."""
        return NanoUsd(max(0, self.budget.limit_nanousd - self.spent - self.reserved + self.held))

    @property
    def percent(self) -> float:
        return 100 * self.spent / self.budget.limit_nanousd

    def crossed(self, cost: NanoUsd) -> Sequence[int]:
        """The marks, in percent of the limit, that it passed with the last `cost` that was spent.

        What is spent never falls within a period: each mark is passed once, unless the limit is raised.
        """
        limit, before = self.budget.limit_nanousd, self.spent - cost
        # In whole numbers: a share would be rounded, and a mark passed twice or never.
        warned = before * 100 < WARNING_PERCENT * limit <= self.spent * 100
        exceeded = before <= limit < self.spent
        return (WARNING_PERCENT,) * warned + (EXCEEDED_PERCENT,) * exceeded


def tightest(standings: Iterable[Standing]) -> Standing | None:
    """Of the hard budgets the one with the least left; None where there is none."""
    return min((row for row in standings if row.budget.hard), key=lambda row: row.left, default=None)


def available(standings: Iterable[Standing], *, at_best: bool = False) -> NanoUsd | None:
    """What every hard budget leaves; None where there is none. `at_best` as in `Standing`."""
    left = (row.at_best if at_best else row.left for row in standings if row.budget.hard)
    return min(left, default=None)


def begins(period: Period, at: datetime) -> datetime | None:
    """When the period began in which `at` (aware, UTC) lies; None for one that is not of the calendar."""
    if period not in {Period.DAY, Period.MONTH}:
        return None
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if period is Period.DAY else day.replace(day=1)


def renews(period: Period, at: datetime) -> datetime | None:
    """When the next period begins; None as for `begins`."""
    began = begins(period, at)
    if began is None or period is Period.DAY:
        return began and began + timedelta(days=1)
    # From the first of a month this is in the next one, however long that month is.
    return (began + timedelta(days=32)).replace(day=1)

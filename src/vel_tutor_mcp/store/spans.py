"""Hours and days in UTC: which of them a report is about, which are rolled up, and which are due to be (pure)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, NamedTuple

ReportPeriod = Literal["day", "week", "month", "quarter"]

# Longer than a transaction takes, and than clocks of processes differ: what comes later still is found by its count.
MARGIN = timedelta(minutes=5)
# Reports by the hour look back a day; what is older is rolled up by the day alone, as far as reports look back.
HOURS_KEPT, DAYS_KEPT = timedelta(days=2), timedelta(days=100)

_LENGTHS: dict[ReportPeriod, timedelta] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "quarter": timedelta(days=90),
}


class Step(StrEnum):
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        return timedelta(hours=1) if self is Step.HOUR else timedelta(days=1)

    def begin(self, moment: datetime) -> datetime:
        """When the hour or day began in which the moment is."""
        moment = moment.astimezone(UTC)
        hour = 0 if self is Step.DAY else moment.hour
        return moment.replace(hour=hour, minute=0, second=0, microsecond=0)


class Span(NamedTuple):
    """An hour or a day, by its beginning."""

    step: Step
    at: datetime

    @property
    def end(self) -> datetime:
        return self.at + self.step.length


class Stretch(NamedTuple):
    """From a moment on, up to another one."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """What a report is about: whole steps from `since` on, the last of which goes on at `until`."""

    step: Step
    since: datetime
    until: datetime

    @classmethod
    def of(cls, period: ReportPeriod, now: datetime) -> "Window":
        """At least the last day, week (7 days), month (30) or quarter (90), from the step on in which that began."""
        step = Step.HOUR if period == "day" else Step.DAY
        return cls(step, step.begin(now - _LENGTHS[period]), now)

    def steps(self) -> list[datetime]:
        return _begins(self.step, self.since, self.until)


@dataclass(frozen=True, slots=True)
class Cover:
    """What makes up a window: days and hours that are rolled up, and stretches that are summed up when asked for."""

    rolled: Sequence[Span]
    raw: Sequence[Stretch]


def cover(window: Window, rolled: Collection[Span]) -> Cover:
    """Each moment of the window once; by the largest spans that its steps allow."""
    spans: list[Span] = []
    raw: list[Stretch] = []
    for at in window.steps():
        span = Span(window.step, at)
        if span in rolled:
            spans.append(span)
            continue
        for begin in _begins(Step.HOUR, at, min(span.end, window.until)):
            hour = Span(Step.HOUR, begin)
            if hour in rolled:
                spans.append(hour)
            else:
                _lengthen(raw, Stretch(begin, min(hour.end, window.until)))
    return Cover(spans, raw)


def due(now: datetime, first: datetime, rolled: Collection[Span]) -> list[Span]:
    """The spans since the first attempt that are over and not yet rolled up, the newest hours and days first."""
    over = now - MARGIN
    today, hour = Step.DAY.begin(over), Step.HOUR.begin(over)
    hours = _begins(Step.HOUR, max(Step.HOUR.begin(first), hours_since(now)), hour)
    days = _begins(Step.DAY, max(Step.DAY.begin(first), days_since(now)), today)
    spans = [*(Span(Step.HOUR, at) for at in reversed(hours)), *(Span(Step.DAY, at) for at in reversed(days))]
    return [span for span in spans if span not in rolled]


def hours_since(now: datetime) -> datetime:
    """From when on hours are kept."""
    return Step.DAY.begin(now - MARGIN - HOURS_KEPT)


def days_since(now: datetime) -> datetime:
    """From when on days are kept."""
    return Step.DAY.begin(now - MARGIN - DAYS_KEPT)


def _begins(step: Step, since: datetime, until: datetime) -> list[datetime]:
    """The beginnings of the steps from `since`, which is one, up to `until`."""
    count = max(0, -(-(until - since) // step.length))
    return [since + number * step.length for number in range(count)]


def _lengthen(raw: list[Stretch], more: Stretch) -> None:
    if raw and raw[-1].until == more.since:
        raw[-1] = Stretch(raw[-1].since, more.until)
    else:
        raw.append(more)

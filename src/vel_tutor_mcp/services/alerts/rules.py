"""When something is wrong, and when it is well again. (Pure.)

Each rule gives a verdict on one subject: it is `OVER` its threshold, `CALM` again, `BETWEEN` the two, or `UNKNOWN`,
where there is too little to tell. No numbers are both over and calm, so nothing that closes an alert would raise it.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from math import exp, log, sqrt
from typing import NamedTuple

from vel_tutor_mcp.store.alert_measures import Counts, History, Logs, Unanswered

# What is judged: the calls that ended so lately. What they cost goes by what is asked, which takes turns: only a day's
# calls compare with those of other days.
WINDOW, COST_WINDOW = timedelta(minutes=30), timedelta(hours=24)
# What they are compared with, in stretches as long as the window: it needs so long, so many of them, and so many calls.
HISTORY, SHORTEST_HISTORY, FEWEST_STRETCHES, FEWEST_KNOWN = timedelta(days=7), timedelta(hours=24), 5, 100
# Nothing is said of fewer calls than these.
FEWEST_COUNTED, FEWEST_COMPARED = 20, 15
# A provider is down after so many errors in a row over so long. They are few, for the router soon asks others.
FEWEST_DOWN, DOWN_FOR = 3, timedelta(minutes=5)

HIGHEST_ERROR_RATE, CALM_ERROR_RATE = 0.10, 0.05
# One-sided 99.5 %: an error rate is over only where chance is no excuse for it.
_WILSON_Z = 2.576
RAISING_SIGMAS, CALM_SIGMAS = 3.0, 2.0
# What is less than twice the usual is nobody's concern, however steady the usual is.
RAISING_TIMES, CALM_TIMES = 2.0, 1.5


class Verdict(StrEnum):
    OVER = "over"
    BETWEEN = "between"
    CALM = "calm"
    UNKNOWN = "unknown"


class Usual(NamedTuple):
    """How a measure is usually: its mean, and the variances of a stretch's own level and of calls within a stretch."""

    mean: float
    between: float
    within: float

    def sigma(self, calls: int) -> float:
        """How far the mean of so many calls is usually from the mean of all."""
        return sqrt(self.between + self.within / calls)


def usual(history: History, now: datetime) -> Usual | None:
    """The two parts of the variance, by their moments; None where the history is too short."""
    degrees = history.calls - history.stretches
    enough = history.calls >= FEWEST_KNOWN and history.stretches >= FEWEST_STRETCHES and degrees > 0
    if not enough or now - history.first < SHORTEST_HISTORY:
        return None
    mean = history.total / history.calls
    within = max(0.0, history.squares - history.means) / degrees
    spread = history.means - history.total * mean
    weight = history.calls - history.squared_calls / history.calls
    return Usual(mean, max(0.0, (spread - (history.stretches - 1) * within) / weight), within)


def compared(recent: Logs, usually: Usual | None) -> Verdict:
    """Of pace and cost: whether their mean is more than three sigmas above the usual one, and noticeably so."""
    if usually is None or recent.calls < FEWEST_COMPARED:
        return Verdict.UNKNOWN
    above, sigma = recent.total / recent.calls - usually.mean, usually.sigma(recent.calls)
    if above > RAISING_SIGMAS * sigma and above > log(RAISING_TIMES):
        return Verdict.OVER
    return Verdict.CALM if above <= CALM_SIGMAS * sigma or above <= log(CALM_TIMES) else Verdict.BETWEEN


def times_usual(recent: Logs, usually: Usual) -> float:
    """How many times the usual the mean is, of logarithms."""
    return exp(recent.total / recent.calls - usually.mean)


def most_times(recent: Logs, usually: Usual) -> float:
    """Above how many times the usual so many calls are over."""
    return max(RAISING_TIMES, exp(RAISING_SIGMAS * usually.sigma(recent.calls)))


def error_rate(counts: Counts) -> Verdict:
    """Over where the rate is above 10 % by the lower bound of Wilson's interval."""
    if counts.calls < FEWEST_COUNTED:
        return Verdict.UNKNOWN
    if wilson_low(counts) > HIGHEST_ERROR_RATE:
        return Verdict.OVER
    return Verdict.CALM if counts.errors <= CALM_ERROR_RATE * counts.calls else Verdict.BETWEEN


def wilson_low(counts: Counts) -> float:
    """The lower bound of Wilson's score interval for the share of errors."""
    calls, share, square = counts.calls, counts.errors / counts.calls, _WILSON_Z**2
    centre = share + square / (2 * calls)
    spread = _WILSON_Z * sqrt((share * (1 - share) + square / (4 * calls)) / calls)
    return max(0.0, (centre - spread) / (1 + square / calls))


def provider_down(window: Counts, unanswered: Unanswered, breakers: Collection[bool]) -> Verdict:
    """Over where no call was answered for a while, or at once where the breakers of all its models are open.

    `breakers` says of each model that was called in the window whether its breaker is open. They are of the calls with
    the server's own keys, whose ever these are: what was answered since says more.
    """
    if unanswered.calls and breakers and all(breakers):
        return Verdict.OVER
    if unanswered.first is None or unanswered.last is None:
        return Verdict.CALM if window.calls else Verdict.UNKNOWN
    lasting = unanswered.calls >= FEWEST_DOWN and unanswered.last - unanswered.first >= DOWN_FOR
    return Verdict.OVER if lasting else Verdict.BETWEEN

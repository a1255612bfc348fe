"""Comparisons that say how far they can be trusted.

Ours and theirs are measured in turn, round by round, so that a slow minute of the machine meets both. Theirs is
measured twice in each round: how far it seems to differ from itself (the A/A control) is what cannot be resolved.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

Measurement = Callable[[], Awaitable[float]]

_OURS, _THEIRS, _CONTROL = "ours", "theirs", "control"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        return cls(middle, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}-{self.high:.2f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`ratio` is ours to theirs, `control` theirs to theirs; a goal bounds the ratio, or ours where there is none."""

    name: str
    unit: str
    ours: float
    theirs: float | None = None
    ratio: Spread | None = None
    control: Spread | None = None
    goal: float | None = None

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return "for information"
        reached = self.ratio.median if self.ratio else self.ours
        return "met" if reached <= self.goal else "MISSED"

    def row(self) -> tuple[str, ...]:
        goal = "-" if self.goal is None else f"<= {self.goal:g}{'x' if self.ratio else f' {self.unit}'}"
        theirs = "-" if self.theirs is None else f"{self.theirs:,.1f}"
        return (
            self.name,
            f"{self.ours:,.1f}",
            theirs,
            self.unit,
            str(self.ratio or "-"),
            str(self.control or "-"),
            goal,
            self.verdict,
        )

    def shown(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


async def in_turn(subjects: Mapping[str, Measurement], *, rounds: int, warmups: int) -> dict[str, list[float]]:
    """Each subject once a round, each round beginning with another one; warm-ups are thrown away."""
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(warmups + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            value = await subjects[name]()
            if number >= warmups:
                taken[name].append(value)
    return taken


async def compared(
    name: str,
    ours: Measurement,
    theirs: Measurement,
    *,
    unit: str,
    rounds: int,
    warmups: int = 2,
    goal: float | None = None,
) -> Result:
    taken = await in_turn({_OURS: ours, _THEIRS: theirs, _CONTROL: theirs}, rounds=rounds, warmups=warmups)
    return Result(
        name=name,
        unit=unit,
        ours=median(taken[_OURS]),
        theirs=median(taken[_THEIRS]),
        ratio=_ratio(taken[_OURS], taken[_THEIRS]),
        control=_ratio(taken[_CONTROL], taken[_THEIRS]),
        goal=goal,
    )


async def alone(
    name: str, ours: Measurement, *, unit: str, rounds: int, warmups: int = 2, goal: float | None = None
) -> Result:
    """What has no peer: only its own time."""
    taken = await in_turn({_OURS: ours}, rounds=rounds, warmups=warmups)
    return Result(name=name, unit=unit, ours=median(taken[_OURS]), goal=goal)


def _ratio(these: list[float], those: list[float]) -> Spread:
    return Spread.of([this / that for this, that in zip(these, those, strict=True)])

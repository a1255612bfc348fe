"""Comparisons that say how far they can be trusted.

Ours and theirs are measured in turn, round by round, so that a slow minute of the machine meets both. Theirs is
measured twice in each round: how far it seems to differ from itself (the A/A control) is what cannot be resolved.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any, TypeVar

Taken = TypeVar("Taken")
Measuring = Callable[[], Awaitable[Taken]]
Measurement = Measuring[float]

OURS, THEIRS, CONTROL = "ours", "theirs", "control"

# Below it hundredths are told too.
_LARGE = 10


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
    """One line of the table.

    Attributes:
        ratio: ours to theirs, round by round.
        control: theirs to theirs, the same way.
        goal: bounds the ratio.
        limit: bounds ours.
        missing: why it was not measured here; there are no numbers then.
    """

    name: str
    unit: str = ""
    ours: float = 0
    theirs: float | None = None
    ratio: Spread | None = None
    control: Spread | None = None
    goal: float | None = None
    limit: float | None = None
    missing: str | None = None

    @property
    def verdict(self) -> str:
        if self.missing is not None:
            return f"not measured here: {self.missing}"
        if self.goal is None and self.limit is None:
            return "for information"
        slow = self.goal is not None and self.ratio is not None and self.ratio.median > self.goal
        long = self.limit is not None and self.ours > self.limit
        return "MISSED" if slow or long else "met"

    def row(self) -> tuple[str, ...]:
        if self.missing is not None:
            return (self.name, *["-"] * 7, self.verdict)
        return (
            self.name,
            _told(self.ours),
            "-" if self.theirs is None else _told(self.theirs),
            "-" if self.theirs is None else _told(self.ours - self.theirs, "+"),
            self.unit,
            str(self.ratio or "-"),
            str(self.control or "-"),
            self._bounds(),
            self.verdict,
        )

    def shown(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}

    def _bounds(self) -> str:
        ratio = [] if self.goal is None else [f"<= {self.goal:g}x"]
        own = [] if self.limit is None else [f"<= {self.limit:,g} {self.unit}"]
        return ", ".join(ratio + own) or "-"


def _told(value: float, sign: str = "") -> str:
    return f"{value:{sign},.{1 if abs(value) >= _LARGE else 2}f}"


async def in_turn(subjects: Mapping[str, Measuring[Taken]], *, rounds: int, warmups: int = 2) -> dict[str, list[Taken]]:
    """Each subject once a round, each round beginning with another one; warm-ups are thrown away."""
    taken: dict[str, list[Taken]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(warmups + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            value = await subjects[name]()
            if number >= warmups:
                taken[name].append(value)
    return taken


async def both_in_turn(
    ours: Measuring[Taken], theirs: Measuring[Taken], *, rounds: int, warmups: int = 2
) -> dict[str, list[Taken]]:
    """Ours, theirs and theirs again, for `against`."""
    return await in_turn({OURS: ours, THEIRS: theirs, CONTROL: theirs}, rounds=rounds, warmups=warmups)


def against(
    name: str,
    taken: Mapping[str, Sequence[Taken]],
    value: Callable[[Taken], float],
    *,
    unit: str,
    goal: float | None = None,
    limit: float | None = None,
) -> Result:
    """One value of what `both_in_turn` took, compared."""
    ours, theirs, control = ([value(one) for one in taken[who]] for who in (OURS, THEIRS, CONTROL))
    return Result(
        name=name,
        unit=unit,
        ours=median(ours),
        theirs=median(theirs),
        ratio=_ratio(ours, theirs),
        control=_ratio(control, theirs),
        goal=goal,
        limit=limit,
    )


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
    taken = await both_in_turn(ours, theirs, rounds=rounds, warmups=warmups)
    return against(name, taken, float, unit=unit, goal=goal)


async def alone(
    name: str, ours: Measurement, *, unit: str, rounds: int, warmups: int = 2, limit: float | None = None
) -> Result:
    """What has no peer: only its own time."""
    taken = await in_turn({OURS: ours}, rounds=rounds, warmups=warmups)
    return Result(name=name, unit=unit, ours=median(taken[OURS]), limit=limit)


def fewer(rounds: int, share: float) -> int:
    """So many rounds of a shorter run."""
    return max(2, round(rounds * share))


def unmeasured(name: str, why: str) -> Result:
    return Result(name=name, missing=why)


def _ratio(these: list[float], those: list[float]) -> Spread:
    return Spread.of([this / that for this, that in zip(these, those, strict=True)])

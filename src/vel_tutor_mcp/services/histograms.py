"""How long things took, counted in fixed steps. (Pure, and light: the door counts before the product is loaded.)"""

from bisect import bisect_left
from dataclasses import dataclass, field

# Upper bounds in seconds, of what takes from a millisecond to minutes.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(slots=True)
class Histogram:
    """How long something took, how often; the last count is of what took longer than all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

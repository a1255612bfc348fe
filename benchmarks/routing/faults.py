"""How a provider fails: in bursts, and now and then alone. A Gilbert model, with a memory in time and none between two.

A provider is in order or in a burst of faults; it changes between the two as a Markov process does, so that how long
each lasts is drawn from an exponential distribution. In a burst every request fails, in the way that the burst does; in
order, one request in a thousand fails, in a way of its own. Everything follows from the seed.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    REFUSED = "connection refused"
    ERROR = "500"
    UNAVAILABLE = "503"
    LIMITED = "429, come back later"
    HANG = "nothing before the first token"
    BREAK = "breaks off in mid-stream"


SHARES = {
    Fault.REFUSED: 0.15,
    Fault.ERROR: 0.20,
    Fault.UNAVAILABLE: 0.20,
    Fault.LIMITED: 0.20,
    Fault.HANG: 0.15,
    Fault.BREAK: 0.10,
}
RETRY_AFTER_SECONDS = (2, 5, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultModel:
    """`burst_seconds`: how long a burst lasts, on average; `in_bursts`: share of time; `alone`: share of requests."""

    burst_seconds: float = 60.0
    in_bursts: float = 0.004
    alone: float = 0.001

    @property
    def availability(self) -> float:
        """The probability that one request at any time is answered."""
        return (1 - self.in_bursts) * (1 - self.alone)

    @property
    def seconds_in_order(self) -> float:
        return self.burst_seconds * (1 - self.in_bursts) / self.in_bursts


class Weather:
    """The faults of one provider. Must be asked in order of time."""

    def __init__(self, model: FaultModel, seed: str) -> None:
        self._model = model
        self._bursts = Random(f"{seed} bursts")
        self._alone = Random(f"{seed} alone")
        self._next()

    def fault(self, now: float) -> Fault | None:
        """What happens to a request that arrives now; in seconds since the beginning."""
        while now >= self._end:
            self._next(self._end)
        if now >= self._begin:
            return self._kind
        return _drawn(self._alone) if self._alone.random() < self._model.alone else None

    def _next(self, after: float = 0.0) -> None:
        self._begin = after + self._bursts.expovariate(1 / self._model.seconds_in_order)
        self._end = self._begin + self._bursts.expovariate(1 / self._model.burst_seconds)
        self._kind = _drawn(self._bursts)


def _drawn(random: Random) -> Fault:
    return random.choices(list(SHARES), list(SHARES.values()))[0]

"""How fast each model may be asked: what its vendor's headers say is left, less what is on its way. In memory.

It never reads a clock: times are given as epoch seconds. A call is counted from before it is sent until the headers of
its answer, which count it too; so a burst does not pass what was left before it.
"""

from dataclasses import dataclass, field, replace

from vel_tutor_mcp.providers.base import Announced, Limit

# Where calls on their way fill the whole limit, their headers say more: look again after so many seconds.
LOOK_AGAIN = 0.1
# A shorter one would be lost in a clock of epoch seconds.
_LEAST_WAIT = 0.001

# A vendor that counts in a bucket gives back all of it, evenly, in a minute (OpenAI) or a day (Groq's requests).
_BUCKETS = (60.0, 86_400.0)
# How far what a vendor says may be from what a bucket would say: a share of the time, and seconds, for it rounds.
_TOLERANCE, _ROUNDING = 0.1, 0.05


@dataclass(frozen=True, slots=True)
class Level:
    """What was left of one limit at a time.

    A bucket is refilled evenly: a whole one takes a minute or a day, so what was taken says how long. What is left of
    any other limit stays the same until it is full again. What is heard at `at` was said at most `age` seconds before.
    """

    most: int
    left: float
    at: float
    full_in: float
    is_bucket: bool
    age: float

    @classmethod
    def of(cls, limit: Limit, now: float, age: float = 0.0, earlier: "Level | None" = None) -> "Level":
        """What a vendor says; it never was a bucket where it was none `earlier`, for a window may look like one."""
        taken = (limit.most - limit.left) / limit.most
        slack = _ROUNDING + _TOLERANCE * limit.full_in
        fits = any(abs(limit.full_in - taken * whole) <= slack for whole in _BUCKETS)
        return cls(limit.most, limit.left, now, limit.full_in, fits and (earlier is None or earlier.is_bucket), age)

    def left_at(self, now: float) -> float:
        passed = max(0.0, now - self.at)
        if passed >= self.full_in:
            return self.most
        return self.left + ((self.most - self.left) * passed / self.full_in if self.is_bucket else 0.0)

    def wait(self, wanted: float, now: float) -> float:
        """Seconds until so much is left; `LOOK_AGAIN` where it never will be, as long as as much is on its way."""
        left = self.left_at(now)
        if wanted <= left:
            return 0.0
        if wanted > self.most:
            return LOOK_AGAIN
        # A clock that jumped back makes it no longer than it was.
        until_full = min(self.full_in, self.at + self.full_in - now)
        return until_full * ((wanted - left) / (self.most - left) if self.is_bucket else 1.0)

    def beside(self, other: "Level | None", now: float) -> "Level":
        """What is known where `other` was heard before this level, and either may be the later one."""
        if other is None:
            return self
        if self.at + self.full_in < other.at + other.full_in - other.age - _ROUNDING:
            return other  # of the window after
        return replace(self, left=min(self.left, other.left_at(now)))


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """Leave to make one call, which counts so many tokens."""

    tokens: int
    given_at: float


@dataclass(slots=True)
class _Pace:
    requests: Level | None = None
    tokens: Level | None = None
    heard_at: float = 0.0
    refused_at: float = 0.0
    refused_for: float = 0.0
    on_their_way: set[Pass] = field(default_factory=set)

    def refusal_left(self, now: float) -> float:
        return max(0.0, self.refused_for - max(0.0, now - self.refused_at))


class Pace:
    """The pace of all models of this process."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str], _Pace] = {}

    def delay(self, provider: str, model: str, tokens: int, now: float) -> float:
        """Seconds until a call that counts so many tokens may be made; asking changes nothing."""
        pace = self._paces.get((provider, model))
        if pace is None:
            return 0.0
        waits = [pace.refusal_left(now)]
        if pace.requests:
            waits.append(pace.requests.wait(len(pace.on_their_way) + 1, now))
        if pace.tokens:
            # A call of more than the whole limit is for the vendor to refuse.
            wanted = min(tokens, pace.tokens.most) + sum(given.tokens for given in pace.on_their_way)
            waits.append(pace.tokens.wait(wanted, now))
        longest = max(waits)
        return max(longest, _LEAST_WAIT) if longest > 0 else 0.0

    def delays(self, tokens: int, now: float) -> dict[str, float]:
        """The delay of each model, by its full name, that has one."""
        found = {f"{provider}/{model}": self.delay(provider, model, tokens, now) for provider, model in self._paces}
        return {name: seconds for name, seconds in found.items() if seconds > 0}

    def begin(self, provider: str, model: str, tokens: int, now: float) -> Pass | float:
        """Leave to make a call, or the seconds after which to ask again."""
        if delay := self.delay(provider, model, tokens, now):
            return delay
        given = Pass(tokens, now)
        self._paces.setdefault((provider, model), _Pace()).on_their_way.add(given)
        return given

    def heard(self, provider: str, model: str, given: Pass, limits: Announced, now: float) -> None:
        """The headers of the call's answer, or refusal, say so."""
        pace = self._paces.setdefault((provider, model), _Pace())
        pace.on_their_way.discard(given)
        # Headers may overtake each other; those of a call that was sent later are the later ones.
        in_order = given.given_at >= pace.heard_at
        for unit, limit in (("requests", limits.requests), ("tokens", limits.tokens)):
            if limit is not None:
                earlier: Level | None = getattr(pace, unit)
                level = Level.of(limit, now, max(0.0, now - given.given_at), earlier)
                setattr(pace, unit, level if in_order else level.beside(earlier, now))
        pace.heard_at = now

    def refused(self, provider: str, model: str, seconds: float, now: float) -> None:
        """The vendor asks not to be called for so long."""
        pace = self._paces.setdefault((provider, model), _Pace())
        if seconds > pace.refusal_left(now):
            pace.refused_at, pace.refused_for = now, seconds

    def forget(self, line: str) -> None:
        """The line is closed."""
        for known in [key for key in self._paces if key[0] == line]:
            del self._paces[known]

    def end(self, provider: str, model: str, given: Pass) -> None:
        """The call has ended, or was not made."""
        self._paces[provider, model].on_their_way.discard(given)

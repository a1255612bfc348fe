"""How the models have been doing: a circuit breaker, uptime and speed for each (provider, model), in memory.

For calls on an owner's line that is (line, model): see `lines`.

It never reads a clock and stores nothing: times are given as epoch seconds, and `snapshot` and `restore` let the caller
keep the breakers. A clock that jumps back makes a period last at most once more, it never wedges a breaker.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from vel_tutor_mcp.models import FailureKind
from vel_tutor_mcp.routing.catalog import ModelRow

FAILURES_TO_OPEN = 5
WINDOW_SECONDS = 60.0
OPEN_SECONDS = 30.0
# A probe whose outcome is never reported (cancelled, crashed) blocks the next one no longer than this.
PROBE_SECONDS = 120.0

DOWN = frozenset(
    {
        FailureKind.SERVER_ERROR,
        FailureKind.CONNECTION,
        FailureKind.TIMEOUT,
        FailureKind.RATE_LIMITED,
        FailureKind.MALFORMED,
    }
)
# The vendor answered; that the answer was of no use says nothing against its being up.
ANSWERED = frozenset({None, FailureKind.BAD_REQUEST, FailureKind.INVALID_OUTPUT})

UPTIME_HALF_LIFE = 600.0
SPEED_HALF_LIFE = 3600.0
PRIOR_UP, PRIOR_UP_CALLS = 0.99, 5.0
PRIOR_SPEED_CALLS = 3.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker: pure, each method gives the next one. Plain values, so `dataclasses.asdict` can store it.

    `failures` are the times of the recent ones, `opened_at` when it last opened, `probe_at` when its probe started.
    """

    failures: tuple[float, ...] = ()
    opened_at: float | None = None
    probe_at: float | None = None

    def state(self, now: float) -> BreakerState:
        if self.opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if _within(OPEN_SECONDS, self.opened_at, now) else BreakerState.HALF_OPEN

    def allows(self, now: float) -> bool:
        """Whether a call may be made: always while closed, never while open, one probe at a time while half open."""
        state = self.state(now)
        probing = self.probe_at is not None and _within(PROBE_SECONDS, self.probe_at, now)
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not probing)

    def recent(self, now: float) -> int:
        """How many failures are not too old to open it."""
        return sum(_within(WINDOW_SECONDS, at, now) for at in self.failures)

    def open_until(self, now: float) -> float | None:
        """When the next call may be tried, as epoch seconds; None where it may be now."""
        if self.opened_at is None or self.allows(now):
            return None
        if self.state(now) is BreakerState.OPEN:
            return self.opened_at + OPEN_SECONDS
        return (now if self.probe_at is None else self.probe_at) + PROBE_SECONDS

    def started(self, now: float) -> "Breaker":
        """A call starts; while half open it is the probe."""
        return replace(self, probe_at=now) if self.state(now) is BreakerState.HALF_OPEN else self

    def failed(self, now: float) -> "Breaker":
        match self.state(now):
            # A call from before it opened: it is not open for longer by that.
            case BreakerState.OPEN:
                return self
            case BreakerState.HALF_OPEN:
                return Breaker(self.failures, opened_at=now)
        recent = (*(at for at in self.failures if _within(WINDOW_SECONDS, at, now)), now)[-FAILURES_TO_OPEN:]
        return Breaker(recent, opened_at=now if len(recent) == FAILURES_TO_OPEN else None)

    def succeeded(self, now: float) -> "Breaker":
        """Closes a half-open breaker; a call from before it opened closes nothing, a success excuses no failure."""
        return Breaker() if self.state(now) is BreakerState.HALF_OPEN else self

    def released(self) -> "Breaker":
        """The probe ended without telling whether the model is up: the next call may probe."""
        return replace(self, probe_at=None)


def _within(seconds: float, then: float, now: float) -> bool:
    # In either direction: where the clock was set back, what was seems yet to come.
    return abs(now - then) < seconds


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean in which an observation counts half after each half-life."""

    weight: float = 0.0
    total: float = 0.0
    at: float = 0.0

    def plus(self, value: float, now: float, half_life: float) -> "Mean":
        fading = self._fading(now, half_life)
        return Mean(self.weight * fading + 1, self.total * fading + value, now)

    def shrunk(self, prior: float, strength: float, now: float, half_life: float) -> float:
        """The mean as it stands now, drawn to the prior as by `strength` more observations of it."""
        if not self.weight:
            return prior
        fading = self._fading(now, half_life)
        return (self.total * fading + prior * strength) / (self.weight * fading + strength)

    def _fading(self, now: float, half_life: float) -> float:
        return float(0.5 ** (max(0.0, now - self.at) / half_life))


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one model."""

    breaker: Breaker = Breaker()
    up: Mean = Mean()
    first_token_ms: Mean = Mean()
    token_ms: Mean = Mean()

    def p_up(self, now: float) -> float:
        """Probability that the next call is answered: recent calls, shrunk to a prior."""
        return self.up.shrunk(PRIOR_UP, PRIOR_UP_CALLS, now, UPTIME_HALF_LIFE)

    def total_ms(self, row: ModelRow, tokens_out: int, now: float) -> int:
        """Expected milliseconds until the last token: recent calls, shrunk to the catalog's estimate."""
        first = self.first_token_ms.shrunk(row.first_token_ms, PRIOR_SPEED_CALLS, now, SPEED_HALF_LIFE)
        each = self.token_ms.shrunk(1000 / row.tokens_per_second, PRIOR_SPEED_CALLS, now, SPEED_HALF_LIFE)
        return round(first + tokens_out * each)


class Health:
    """The records of all models of this process."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self._opened: set[tuple[str, str]] = set()

    @property
    def any_open(self) -> bool:
        """Whether any breaker is not closed."""
        return bool(self._opened)

    def state(self, provider: str, model: str, now: float) -> BreakerState:
        return self.known(provider, model).breaker.state(now)

    def allows(self, provider: str, model: str, now: float) -> bool:
        """Whether a call may be made now; asking changes nothing."""
        return self.known(provider, model).breaker.allows(now)

    def start(self, provider: str, model: str, now: float) -> bool:
        """Ask to make a call; True takes the one probe of a half-open breaker."""
        record = self.known(provider, model)
        if not record.breaker.allows(now):
            return False
        self._keep((provider, model), replace(record, breaker=record.breaker.started(now)))
        return True

    def open_until(self, provider: str, model: str, now: float) -> float | None:
        """When the next call may be tried, as epoch seconds; None where it may be now."""
        return self.known(provider, model).breaker.open_until(now)

    def release(self, provider: str, model: str) -> None:
        """The call that was started ends without telling anything: the next one may probe."""
        record = self.known(provider, model)
        self._keep((provider, model), replace(record, breaker=record.breaker.released()))

    def record(
        self,
        provider: str,
        model: str,
        failure: FailureKind | None,
        now: float,
        *,
        first_token_ms: int | None = None,
        total_ms: int | None = None,
        tokens_out: int | None = None,
    ) -> BreakerState | None:
        """Take note of how a call ended (`failure` None: well); the breaker's new state where that changed it."""
        record = _seen_up(self.known(provider, model), failure, now)
        if failure is None:
            record = _seen_speed(record, now, first_token_ms, total_ms, tokens_out)
        before, record = record.breaker, replace(record, breaker=_next(record.breaker, failure, now))
        self._keep((provider, model), record)
        return record.breaker.state(now) if before.opened_at != record.breaker.opened_at else None

    def known(self, provider: str, model: str) -> Record:
        """What is remembered of the model; of one that was not called, that."""
        return self._records.get((provider, model), _UNSEEN)

    def snapshot(self, provider: str, model: str) -> Breaker:
        return self.known(provider, model).breaker

    def restore(self, provider: str, model: str, breaker: Breaker) -> None:
        """Continue with a stored breaker; the probe of the process that stored it died with it."""
        # A list where it comes from JSON.
        restored = Breaker(tuple(breaker.failures), breaker.opened_at)
        self._keep((provider, model), replace(self.known(provider, model), breaker=restored))

    def forget(self, line: str) -> None:
        """The line is closed."""
        for known in [key for key in self._records if key[0] == line]:
            del self._records[known]
            self._opened.discard(known)

    def _keep(self, of: tuple[str, str], record: Record) -> None:
        self._records[of] = record
        if record.breaker.opened_at is None:
            self._opened.discard(of)
        else:
            self._opened.add(of)


_UNSEEN = Record()


def _next(breaker: Breaker, failure: FailureKind | None, now: float) -> Breaker:
    if failure in DOWN:
        return breaker.failed(now)
    return breaker.succeeded(now) if failure in ANSWERED else breaker.released()


def _seen_up(record: Record, failure: FailureKind | None, now: float) -> Record:
    if failure in DOWN or failure in ANSWERED:
        return replace(record, up=record.up.plus(float(failure in ANSWERED), now, UPTIME_HALF_LIFE))
    return record


def _seen_speed(
    record: Record, now: float, first_token_ms: int | None, total_ms: int | None, tokens_out: int | None
) -> Record:
    if first_token_ms is None:
        return record
    record = replace(record, first_token_ms=record.first_token_ms.plus(first_token_ms, now, SPEED_HALF_LIFE))
    if not total_ms or not tokens_out or total_ms <= first_token_ms:
        return record
    each = (total_ms - first_token_ms) / tokens_out
    return replace(record, token_ms=record.token_ms.plus(each, now, SPEED_HALF_LIFE))

"""The product's own rules over simulated calls, minute by minute, as the watch applies them to rows."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import log, sqrt
from typing import NamedTuple

from alert_month import MINUTE, Call

from vel_tutor_mcp.routing.health import FAILURES_TO_OPEN, WINDOW_SECONDS
from vel_tutor_mcp.services.alerts import judging, rules
from vel_tutor_mcp.services.alerts.judging import Usuals
from vel_tutor_mcp.services.alerts.kinds import Key
from vel_tutor_mcp.store.alert_measures import TOKENS_TO_BEGIN, Counts, History, Logs, Model, Recent, Unanswered

_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Raised(NamedTuple):
    at: float
    key: Key


def watched(calls: Sequence[Call], since: float, until: float) -> list[Raised]:
    """What alerts the calls raise from one second to another, looked at each minute."""
    watch = _Watch()
    raised: list[Raised] = []
    minutes = iter(range(int(until // MINUTE) + 1))
    waiting = deque(calls)
    for minute in minutes:
        now = minute * MINUTE
        while waiting and waiting[0].at <= now:
            watch.hear(waiting.popleft())
        watch.forget(now)
        if now >= since:
            raised += [Raised(now, key) for key in watch.look(now)]
    return raised


def by_single_calls(calls: Sequence[Call], since: float, until: float) -> int:
    """How many alerts there were if each call were compared with the mean and three sigmas of its model's last week."""
    raised, hour = 0, -1
    known: defaultdict[Model, deque[Call]] = defaultdict(deque)
    bounds: dict[Model, float] = {}
    over_at: dict[Model, float] = {}
    for call in calls:
        if call.failed or call.at >= until:
            continue
        model = Model(call.provider, call.model)
        if int(call.at // 3600) != hour:
            hour = int(call.at // 3600)
            bounds = {model: _bound(of, call.at) for model, of in known.items()}
        if call.at >= since and call.ms > bounds[model]:
            raised += call.at - over_at.get(model, -1e9) > judging.CALM_FOR.total_seconds()
            over_at[model] = call.at
        known[model].append(call)
    return raised


def _bound(calls: deque[Call], now: float) -> float:
    while calls[0].at < now - rules.HISTORY.total_seconds():
        calls.popleft()
    values = [call.ms for call in calls]
    mean = sum(values) / len(values)
    return mean + 3 * sqrt(sum(value * value for value in values) / len(values) - mean * mean)


class _Window:
    """What of a model's calls ended so lately."""

    def __init__(self, length: timedelta, value: Callable[[Call], float]) -> None:
        self._length = length.total_seconds()
        self._value = value
        self.values: deque[tuple[float, float]] = deque()
        self.total = 0.0

    @property
    def logs(self) -> Logs:
        return Logs(len(self.values), self.total)

    def add(self, call: Call) -> None:
        self.values.append((call.at, self._value(call)))
        self.total += self.values[-1][1]

    def forget(self, now: float) -> None:
        while self.values and self.values[0][0] < now - self._length:
            self.total -= self.values.popleft()[1]


class _Measure:
    """A pace or a cost: of late, and in the stretches of its history."""

    def __init__(self, length: timedelta, value: Callable[[Call], float]) -> None:
        self.recent = _Window(length, value)
        self._seconds = length.total_seconds()
        self._value = value
        self._stretches: dict[int, list[float]] = {}

    def add(self, call: Call) -> None:
        self.recent.add(call)
        value = self._value(call)
        sums = self._stretches.setdefault(int(call.at // self._seconds), [0, 0.0, 0.0])
        sums[0], sums[1], sums[2] = sums[0] + 1, sums[1] + value, sums[2] + value * value

    def usual(self, now: float) -> rules.Usual | None:
        """From the calls before those that are judged now."""
        until = now - self._seconds
        first = (until - rules.HISTORY.total_seconds()) // self._seconds
        self._stretches = {number: sums for number, sums in self._stretches.items() if number >= first}
        sums = [sums for number, sums in self._stretches.items() if number < until // self._seconds]
        if not sums:
            return None
        history = History(
            calls=int(sum(calls for calls, _, _ in sums)),
            total=sum(total for _, total, _ in sums),
            squares=sum(squares for _, _, squares in sums),
            means=sum(total * total / calls for calls, total, _ in sums),
            squared_calls=sum(calls * calls for calls, _, _ in sums),
            stretches=len(sums),
            first=_moment(min(self._stretches) * self._seconds),
        )
        return rules.usual(history, _moment(until))


class _OfModel:
    def __init__(self) -> None:
        self.calls = _Window(rules.WINDOW, lambda call: float(call.failed))
        self.pace = _Measure(rules.WINDOW, lambda call: log(call.ms / (call.tokens + TOKENS_TO_BEGIN)))
        self.cost = _Measure(rules.COST_WINDOW, lambda call: log(call.nano))
        self.failures: deque[float] = deque(maxlen=FAILURES_TO_OPEN)

    def hear(self, call: Call) -> None:
        self.calls.add(call)
        if call.failed:
            self.failures.append(call.at)
        else:
            self.pace.add(call)
            self.cost.add(call)

    def forget(self, now: float) -> None:
        for window in (self.calls, self.pace.recent, self.cost.recent):
            window.forget(now)

    def recent(self, answered_at: float) -> Recent:
        """`answered_at`: when the provider last answered."""
        since = [at for at, failed in self.calls.values if failed and at > answered_at]
        unanswered = Unanswered(len(since), _moment(since[0]), _moment(since[-1])) if since else Unanswered()
        counts = Counts(len(self.calls.values), round(self.calls.total))
        return Recent(counts, unanswered, self.pace.recent.logs)

    def is_open(self, now: float) -> bool:
        """Roughly as a breaker: for half a minute after five failures in one."""
        lately = [at for at in self.failures if at >= now - WINDOW_SECONDS]
        return len(lately) == FAILURES_TO_OPEN


class _Watch:
    def __init__(self) -> None:
        self._models: defaultdict[Model, _OfModel] = defaultdict(_OfModel)
        self._usuals: Mapping[Model, Usuals] = {}
        self._answered_at: defaultdict[str, float] = defaultdict(float)
        self._known_at = -1
        self._open: dict[Key, datetime] = {}

    def hear(self, call: Call) -> None:
        if not call.failed:
            self._answered_at[call.provider] = call.at
        self._models[Model(call.provider, call.model)].hear(call)

    def forget(self, now: float) -> None:
        for of in self._models.values():
            of.forget(now)

    def look(self, now: float) -> Iterator[Key]:
        if int(now // 3600) != self._known_at:
            self._known_at = int(now // 3600)
            self._usuals = {
                model: Usuals(of.pace.usual(now), of.cost.usual(now), of.cost.recent.logs)
                for model, of in self._models.items()
            }
        recent = {model: of.recent(self._answered_at[model.provider]) for model, of in self._models.items()}
        open_breakers = {model for model, of in self._models.items() if of.is_open(now)}
        found = judging.findings(recent, self._usuals, open_breakers)
        wrong, well = judging.steps(found, self._open, at := _moment(now))
        for key in well:
            del self._open[key]
        for each in wrong:
            if each.key not in self._open:
                yield each.key
            self._open[each.key] = at


def _moment(seconds: float) -> datetime:
    return _BEGAN + timedelta(seconds=seconds)
